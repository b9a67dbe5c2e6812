"""Down to how few weights tickets hold, by Frankle & Carbin's text (lth_key_numbers.csv), beside our own rounds."""

import re
from dataclasses import dataclass

import pandas as pd

from ebreplicate import published
from ebreplicate.catalog import TITLES
from ebreplicate.experiments.common.experiment import Cell
from ebreplicate.experiments.common.lineage import Traced, records_of
from ebreplicate.experiments.common.rows import by_seed, interval
from ebreplicate.experiments.lottery.claims import PAPER
from ebreplicate.experiments.lottery.runs import TRIALS

ONE_ROUND = 0.25
"""Of a printed level: a round of 20 % more or less."""


@dataclass(frozen=True)
class Level:
    """One level: `series` of a setting is held against its dense network minus `slack` points, at early stopping or at
    the end; `below`: the text names the first level that fails, not the last that holds."""

    printed_model: str
    metric: str
    model: str
    setting: str
    what: str
    series: str = "ticket"
    slack: float = 0.0
    below: bool = False

    @property
    def column(self) -> str:
        """Small networks are read at early stopping, deep ones at the end, as in the paper's figures."""
        return "last_accuracy" if self.model in ("vgg19", "preresnet20") else "early_stop_accuracy"


LENET = "LeNet-300-100"
HOLDS = "fewest weights of a ticket as accurate as the dense network"
LEVELS = (
    Level(LENET, "returns_to_original_at_Pm", "lenet300", "plain", HOLDS),
    Level(
        LENET,
        "winning_ticket_falls_below_until_Pm",
        "lenet300",
        "plain",
        "weights left where tickets fall below the dense network",
        below=True,
    ),
    Level(
        LENET,
        "reinit_falls_below_original_at_Pm",
        "lenet300",
        "plain",
        "weights left where fresh weights fall below the dense network",
        "reinit",
        below=True,
    ),
    *(Level("Conv-2/4/6", "above_original_for_Pm", f"conv{n}", "plain", HOLDS) for n in (2, 4, 6)),
    Level("VGG-19", "lr0.01_within_1pp_for_Pm", "vgg19", "low", f"{HOLDS} minus 1 point, low rate", slack=1.0),
    Level("VGG-19", "warmup_winning_tickets_for_Pm", "vgg19", "warmup", f"{HOLDS}, warmup"),
    Level(
        "ResNet-18 (271K, 20 layers)",
        "warmup_winning_tickets_for_Pm",
        "preresnet20",
        "warmup",
        f"{HOLDS}, warmup",
    ),
)


def printed(level: Level) -> float:
    """Percent of weights left: the number in the CSV's cell (">=3.5")."""
    rows = published.read("lth_key_numbers")
    row = rows[(rows.model == level.printed_model) & (rows.metric == level.metric)]
    return float(re.findall(r"\d+(?:\.\d+)?", str(row.value.iloc[0]))[0])


def measured(table: pd.DataFrame, level: Level) -> dict[int, float]:
    """Percent of weights left at the last round that holds (or the one after it), by seed.

    The last one, not the last before the first that fails: a single round may be unlucky. A seed whose last trained
    round still holds has no level yet.
    """
    here = table[(table.model == level.model) & (table.setting == level.setting) & (table.series == level.series)]
    values = {k: by_seed(here, level.column, round=k) for k in sorted(set(here["round"]))}
    left = {k: by_seed(here, "remaining", round=k) for k in values}
    dense = by_seed(table, level.column, model=level.model, setting=level.setting, series="dense")
    out: dict[int, float] = {}
    for seed, whole in dense.items():
        rounds = {k: found[seed] for k, found in values.items() if seed in found and seed in left[k]}
        last = max((k for k, value in rounds.items() if value >= whole - level.slack), default=0)
        if last + 1 in rounds:
            share = left[last + 1][seed] if level.below else left[last][seed] if last else 1.0
            records = records_of(whole, rounds[last + 1], *([rounds[last]] if last else []))
            out[seed] = Traced(round(100 * share, 6), records)
    return out


def cells(table: pd.DataFrame) -> list[Cell]:
    """One cell a level of the text."""
    out = []
    for level in LEVELS:
        value, found = printed(level), measured(table, level)
        out.append(
            Cell(
                f"{TITLES[level.model]}: {level.what}",
                value,
                interval(found),
                "% of weights",
                f"{PAPER}, text",
                "early stopping" if level.column.startswith("early") else "last epoch",
                ONE_ROUND * value,
                note=f"{level.metric} in lth_key_numbers.csv; blank while the last trained round still holds",
                runs=TRIALS.get(level.model, 1),
            )
        )
    return out

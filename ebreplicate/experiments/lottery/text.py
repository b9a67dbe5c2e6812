"""Numbers that Frankle & Carbin's text gives (lth_key_numbers.csv), beside the same quantity of our runs."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from ebreplicate import published
from ebreplicate.catalog import TITLES
from ebreplicate.experiments.common.experiment import Cell
from ebreplicate.experiments.common.margins import MARGINS
from ebreplicate.experiments.common.rows import by_seed, interval
from ebreplicate.experiments.lottery.claims import PAPER
from ebreplicate.experiments.lottery.runs import TRIALS

Seeds = dict[int, float]
ROUND = 0.08
"""A printed level is that of the round whose share of weights left is nearest to it, if within this fraction."""
FACTOR = 0.2
"""Of a printed factor of iterations: early stopping is known to one evaluation, here an epoch."""


@dataclass(frozen=True)
class Text:
    """One number: the CSV's model and metric, our network and setting, and how it is measured. `level`: percent of
    weights left (nan: not of one round)."""

    printed_model: str
    metric: str
    model: str
    setting: str
    level: float
    measure: Callable[["At"], Seeds]
    what: str
    unit: str


@dataclass(frozen=True)
class At:
    """Values by seed of a column in one network, setting and round."""

    table: pd.DataFrame
    model: str
    setting: str
    number: int | None

    def of(self, series: str, column: str, number: int | None = None, setting: str | None = None) -> Seeds:
        """Values of a series; the dense network is round 0."""
        number = 0 if series == "dense" else self.number if number is None else number
        where = {"model": self.model, "setting": setting or self.setting, "series": series, "round": number}
        return {} if number is None else by_seed(self.table, column, **where)

    def rounds(self) -> list[int]:
        """Rounds of winning tickets that have run."""
        here = self.table[(self.table.model == self.model) & (self.table.setting == self.setting)]
        return sorted(set(here[(here.series == "ticket") & here.last_accuracy.notna()]["round"]))


def _each(a: Seeds, b: Seeds, how: Callable[[float, float], float]) -> Seeds:
    return {s: how(a[s], b[s]) for s in sorted(set(a) & set(b)) if b[s]}


def _sooner(at: At) -> Seeds:
    pair = at.of("ticket", "early_stop_iteration"), at.of("dense", "early_stop_iteration")
    return _each(*pair, lambda ticket, dense: 100 * (1 - ticket / dense))


def _speed(series: str) -> Callable[[At], Seeds]:
    def measure(at: At) -> Seeds:
        pair = at.of(series, "early_stop_iteration"), at.of("ticket", "early_stop_iteration")
        return _each(*pair, lambda other, ticket: other / ticket)

    return measure


def _gain(series: str) -> Callable[[At], Seeds]:
    def measure(at: At) -> Seeds:
        pair = at.of("ticket", "early_stop_accuracy"), at.of(series, "early_stop_accuracy")
        return _each(*pair, lambda ticket, other: ticket - other)

    return measure


def _largest(at: At, column: str = "last_accuracy") -> Seeds:
    """Most accurate round of each seed."""
    out: Seeds = {}
    for number in at.rounds():
        for seed, value in at.of("ticket", column, number).items():
            out[seed] = max(value, out.get(seed, -math.inf))
    return out


def _largest_gain(at: At) -> Seeds:
    return _each(_largest(at), at.of("dense", "last_accuracy"), lambda best, dense: best - dense)


def _warm_dense(at: At) -> Seeds:
    pair = at.of("dense", "last_accuracy"), at.of("dense", "last_accuracy", setting="high")
    return _each(*pair, lambda warm, plain: warm - plain)


LENET, RESNET = "LeNet-300-100", "ResNet-18 (271K, 20 layers)"
NAN = math.nan
TEXTS = (
    Text(LENET, "early_stop_speedup_at_Pm_21%", "lenet300", "plain", 21.1, _sooner, "earlier than dense", "%"),
    Text(
        LENET, "ticket_vs_reinit_speed_at_21%", "lenet300", "plain", 21.1, _speed("reinit"), "faster than re-init", "x"
    ),
    Text(LENET, "ticket_vs_reinit_acc_at_21%", "lenet300", "plain", 21.1, _gain("reinit"), "above re-init", "pp"),
    Text(LENET, "acc_gain_max_at_Pm_13.5%", "lenet300", "plain", 13.5, _gain("dense"), "above dense", "pp"),
    Text(LENET, "acc_gain_at_50K_up_to", "lenet300", "plain", NAN, _largest_gain, "most above dense, at the end", "pp"),
    *(
        Text(f"Conv-{n}", "early_stop_speedup", f"conv{n}", "plain", level, _speed("dense"), "faster than dense", "x")
        for n, level in ((2, 8.8), (4, 9.2), (6, 15.1))
    ),
    *(
        Text(f"Conv-{n}", "acc_gain", f"conv{n}", "plain", level, _gain("dense"), "above dense", "pp")
        for n, level in ((2, 4.6), (4, 11.1), (6, 26.4))
    ),
    Text("VGG-19", "warmup10K_lr0.1_unpruned_gain", "vgg19", "warmup", NAN, _warm_dense, "dense gains by warmup", "pp"),
    Text(
        RESNET,
        "lr0.1_unpruned",
        "preresnet20",
        "high",
        NAN,
        lambda at: at.of("dense", "last_accuracy"),
        "dense network, high rate",
        "%",
    ),
    Text(RESNET, "lr0.01_best_ticket", "preresnet20", "low", NAN, _largest, "most accurate ticket, low rate", "%"),
    Text(
        RESNET,
        "warmup20K_lr0.03_acc_at_27.1%",
        "preresnet20",
        "warmup",
        27.1,
        lambda at: at.of("ticket", "last_accuracy"),
        "ticket with warmup",
        "%",
    ),
)


def printed(text: Text) -> float:
    """The number: the first one in the CSV's cell ("3.5x at 8.8%")."""
    rows = published.read("lth_key_numbers")
    row = rows[(rows.model == text.printed_model) & (rows.metric == text.metric)]
    return float(re.findall(r"\d+(?:\.\d+)?", str(row.value.iloc[0]))[0])


def _round_at(table: pd.DataFrame, text: Text) -> int | None:
    """The round that leaves the printed share of the weights; None if none comes near."""
    here = table[(table.model == text.model) & (table.setting == text.setting) & (table.series == "ticket")]
    left = here[here.remaining.notna()].groupby("round").remaining.mean() * 100
    if math.isnan(text.level) or not len(left):
        return None
    number = min(left.index, key=lambda k: abs(left[k] / text.level - 1))
    return int(number) if abs(left[number] / text.level - 1) < ROUND else None


def _margin(text: Text, value: float) -> float:
    """Margin of a number of the text, in its unit."""
    if text.unit == "x" or text.metric.startswith("early_stop_speedup_at"):
        return FACTOR * value
    return MARGINS["mnist" if text.model == "lenet300" else "cifar10"]


def cells(table: pd.DataFrame) -> list[Cell]:
    """One cell a number of the text."""
    out = []
    for text in TEXTS:
        value = printed(text)
        level = "" if math.isnan(text.level) else f", {text.level:g} % of weights left"
        measured = text.measure(At(table, text.model, text.setting, _round_at(table, text)))
        out.append(
            Cell(
                f"{TITLES[text.model]}: {text.what}{level}",
                value,
                interval(measured),
                text.unit,
                f"{PAPER}, text",
                "early stopping"
                if "early_stop" in text.metric or text.metric.startswith(("ticket_vs", "acc_gain_max"))
                else "last epoch",
                _margin(text, value),
                note=f"{text.metric} in lth_key_numbers.csv",
                runs=TRIALS.get(text.model, 1),
            )
        )
    return out

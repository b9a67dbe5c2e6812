"""Claims about lottery tickets, judged over rounds, networks and seeds. No torch."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from ebreplicate.experiments.common.contrasts import BySeed, Where, mean_by_seed, paired, pooled
from ebreplicate.experiments.common.experiment import Claim
from ebreplicate.experiments.common.family import Judged, diverged, judge
from ebreplicate.experiments.common.finding import Finding
from ebreplicate.experiments.common.judgement import BETTER, NO_WORSE, Rule
from ebreplicate.experiments.common.margins import MARGINS, margin_of
from ebreplicate.experiments.common.rows import interval
from ebreplicate.experiments.common.stats import Interval
from ebreplicate.experiments.common.verdicts import at_least, greater
from ebreplicate.experiments.lottery.curves import printed
from ebreplicate.experiments.lottery.runs import DEEP, SMALL, Panel, grid_of
from ebreplicate.specs.scale import Scale

PAPER = "Frankle & Carbin, ICLR 2019"
LENET = "lenet300"
FAMILY = "LeNet-300-100"
"""The family that Holm's correction of the protocol's claims is over."""


def _contrast(
    scale: Scale,
    table: pd.DataFrame,
    column: str,
    a: Where,
    b: Where,
    models: Collection[str],
    judged: Callable[[Panel, int], bool],
) -> Interval:
    """Mean over `models` and rounds of `a` minus `b`, interval over seeds. Round 0 of `b` is the dense network."""
    contrasts = {}
    for model, panel in grid_of(scale).panels.items():
        for number in range(1, panel.rounds + 1):
            if model in models and judged(panel, number):
                here = {"model": model, "round": number}
                found = paired(table, column, {**here, **a}, {**here, **b})
                if found:
                    contrasts[model, number] = found
    return pooled(contrasts)


def every(panel: Panel, number: int) -> bool:
    """All rounds."""
    return True


def moderate(panel: Panel, number: int) -> bool:
    """Rounds that leave at least a fifth of the weights."""
    return panel.left(number) >= 0.2


def late(panel: Panel, number: int) -> bool:
    """The second half of the rounds, where the paper's curves part."""
    return number > panel.rounds / 2


def _small(scale: Scale, table: pd.DataFrame, models: Collection[str]) -> list[Claim]:
    """Claims about small networks, pooled over those of `models`."""
    source = f"{PAPER}, " + ("Figures 4a and 5" if LENET in models else "Figure 5")
    ticket = {"setting": "plain", "series": "ticket"}
    dense = {"setting": "plain", "series": "dense", "round": 0}

    def of(column: str, a: Where, b: Where, rounds: Callable[[Panel, int], bool]) -> Interval:
        return _contrast(scale, table, column, a, b, models, judged=rounds)

    def control(series: str) -> Finding:
        difference = of("early_stop_accuracy", ticket, ticket | {"series": series}, every)
        return greater(difference, f"ticket minus {series}")

    accuracy = of("early_stop_accuracy", ticket, dense, moderate)
    sooner = of("early_stop_iteration", dense, ticket, moderate)
    rule = "mean over networks and rounds of the difference at early stopping, t-interval over seeds; supported if "
    return [
        Claim(
            "tickets-beat-reinit",
            "Winning tickets reach a higher accuracy than the same masks with fresh weights.",
            source,
            rule + "above zero",
            control("reinit"),
        ),
        Claim(
            "tickets-beat-random-sparsity",
            "Winning tickets reach a higher accuracy than random sparsity with as many weights in every layer.",
            f"{PAPER}, Figure 1",
            rule + "above zero",
            control("random"),
        ),
        Claim(
            "tickets-match-dense",
            "Winning tickets that keep a fifth of the weights or more reach at least the dense network's accuracy.",
            source,
            rule + "at least zero; rounds that leave a fifth or more",
            at_least(accuracy, 0.0, "ticket minus dense"),
        ),
        Claim(
            "tickets-learn-faster",
            "Winning tickets that keep a fifth of the weights or more reach their minimum loss in fewer iterations "
            "than the dense network.",
            source,
            "mean over networks and rounds of (dense minus ticket) iterations of minimum test loss, t-interval over "
            "seeds; supported if above zero; rounds that leave a fifth or more",
            greater(sooner, "dense minus ticket", "iterations"),
        ),
    ]


def _deep(scale: Scale, table: pd.DataFrame) -> list[Claim]:
    def gain(setting: str, control: str | None = None) -> Interval:
        a = {"setting": setting, "series": "ticket"}
        b = {"setting": control or setting, "series": "reinit"}
        return _contrast(scale, table, "last_accuracy", a, b, DEEP, judged=late)

    margin, high = margin_of(scale, "cifar10"), gain("high")
    lost = replace(high, mean=-high.mean, values=tuple(-v for v in high.values))
    rule = "mean over networks and the later half of the rounds of (rewound minus re-initialised), t-interval over "
    rule += "seeds; supported if "
    found = {
        "low-rate-finds-tickets": (
            "At a low learning rate deep networks have winning tickets: rewound beats re-initialised.",
            "Figures 7 and 8, rate 0.01",
            "above zero",
            greater(gain("low"), "low rate: rewound minus re-initialised"),
        ),
        "high-rate-loses-tickets": (
            "At a high learning rate the advantage of rewinding to the initialisation vanishes.",
            "Figures 7 and 8, rate 0.1",
            f"not above {margin:g} pp",
            at_least(lost, -margin, "high rate: re-initialised minus rewound"),
        ),
        "warmup-finds-tickets": (
            "With warmup the advantage of rewinding returns at a high learning rate.",
            "Figures 7 and 8, warmup",
            "above zero",
            greater(gain("warmup"), "warmup: rewound minus re-initialised"),
        ),
        "early-rewinding-finds-tickets": (
            "At a high learning rate rewinding to an early epoch beats re-initialised weights.",
            "no figure; later work of the same authors (Stabilizing the Lottery Ticket Hypothesis, 2019)",
            "above zero",
            greater(gain("rewind", "high"), "rewound to an early epoch minus re-initialised"),
        ),
    }
    return [
        Claim(name, statement, f"{PAPER}, {where}", rule + bound, judged)
        for name, (statement, where, bound, judged) in found.items()
    ]


def has_protocol(scale: Scale) -> bool:
    """Whether LeNet is judged by the protocol of docs/lottery-tickets.md: at the paper's scale, images held out."""
    panel = grid_of(scale).lenet300
    return scale.comparable and panel is not None and panel.validation > 0


@dataclass(frozen=True)
class Compared:
    """One claim of the protocol: `first` minus `second` in `column`, mean over `rounds`, held against `rule`.

    `first` and `second` select rows by column; they are of the compared round, unless they name another one.
    """

    name: str
    statement: str
    source: str
    what: str
    column: str
    first: dict[str, Any]
    second: dict[str, Any]
    rounds: tuple[int, ...]
    rule: Rule
    unit: str = "pp"

    def differences(self, table: pd.DataFrame) -> BySeed:
        """Mean over rounds by seed, of the seeds that have all of them, in `unit`."""
        here = ({"round": number} for number in self.rounds)
        return mean_by_seed(paired(table, self.column, at | self.first, at | self.second) for at in here)

    def judged(self, table: pd.DataFrame, theirs: pd.DataFrame) -> Judged:
        """What is judged of the rows of `table`, beside the same difference of the paper's curves, `theirs`."""
        over = f"mean of rounds {', '.join(map(str, self.rounds))}"
        series = (self.first["series"], self.second["series"])
        return Judged(
            self.name,
            self.statement,
            self.source,
            f"{self.what}, {over}",
            self.differences(table),
            self.rule,
            self.unit,
            interval(self.differences(theirs)).mean,
            diverged(table[table["round"].isin([0, *self.rounds])], *series, column="series"),
            f" at early stopping (minimum loss on held-out images), {over} within each seed",
        )


def protocol(panel: Panel) -> tuple[Compared, ...]:
    """The four claims about LeNet-300-100, in the order of docs/lottery-tickets.md."""
    ticket, dense = {"series": "ticket"}, {"series": "dense", "round": 0}
    controls = panel.control_rounds or tuple(range(1, panel.rounds + 1))
    larger = tuple(number for number in range(1, panel.rounds + 1) if moderate(panel, number))
    accuracy, iteration = "early_stop_accuracy", "early_stop_iteration"
    better = Rule(BETTER, MARGINS["mnist"])
    return (
        Compared(
            "tickets-beat-reinit",
            "Winning tickets of LeNet-300-100 are more accurate than the same masks with fresh weights.",
            f"{PAPER}, Figures 3 and 4a",
            "ticket minus its mask with fresh weights",
            accuracy,
            ticket,
            {"series": "reinit"},
            controls,
            better,
        ),
        Compared(
            "tickets-beat-random-sparsity",
            "Winning tickets of LeNet-300-100 are more accurate than random sparsity with as many weights in every "
            "layer.",
            f"{PAPER}, Figure 1",
            "ticket minus random sparsity",
            accuracy,
            ticket,
            {"series": "random"},
            controls,
            better,
        ),
        Compared(
            "tickets-match-dense",
            "Winning tickets of LeNet-300-100 that keep a fifth of the weights or more are no less accurate than the "
            "dense network.",
            f"{PAPER}, Figures 3 and 4a",
            "ticket minus dense",
            accuracy,
            ticket,
            dense,
            larger,
            Rule(NO_WORSE, MARGINS["mnist"]),
        ),
        Compared(
            "tickets-learn-faster",
            "Winning tickets of LeNet-300-100 that keep a fifth of the weights or more stop earlier than the dense "
            "network.",
            f"{PAPER}, Figures 3 and 4a",
            "dense minus ticket",
            iteration,
            dense,
            ticket,
            larger,
            Rule(BETTER, math.nan),
            "iterations",
        ),
    )


def _lenet(scale: Scale, table: pd.DataFrame) -> list[Claim]:
    """The protocol's claims: one family under Holm's correction, intervals over seeds."""
    panel = grid_of(scale).lenet300
    assert panel is not None  # `has_protocol`
    here, theirs = table[table.model == LENET], printed(LENET)
    return judge([compared.judged(here, theirs) for compared in protocol(panel)], FAMILY)


def claims(scale: Scale, table: pd.DataFrame, models: Collection[str] = (*SMALL, *DEEP)) -> list[Claim]:
    """Claims about `models`. LeNet is judged by its protocol where it has one, and with the other small networks else;
    those then have claims of their own, under other names."""
    apart = LENET in models and has_protocol(scale)
    small = [model for model in SMALL if model in models and not (apart and model == LENET)]
    out = _lenet(scale, table) if apart else []
    if small:
        pooled_claims = _small(scale, table, small)
        out += [replace(c, name=f"conv-{c.name}") for c in pooled_claims] if apart else pooled_claims
    return out + (_deep(scale, table) if set(models) & set(DEEP) else [])

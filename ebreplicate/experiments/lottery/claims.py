"""Claims about lottery tickets, judged over rounds, networks and seeds. No torch."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ebreplicate.experiments.common.experiment import Claim
from ebreplicate.experiments.common.rows import by_seed
from ebreplicate.experiments.common.stats import Interval
from ebreplicate.experiments.common.verdicts import Judged, at_least, greater, pooled
from ebreplicate.experiments.lottery.runs import DEEP, Panel, grid_of
from ebreplicate.specs.scale import Scale

PAPER = "Frankle & Carbin, ICLR 2019"
Where = dict[str, Any]


def paired(table: Any, column: str, a: Where, b: Where) -> dict[int, float]:
    """`a` minus `b` by seed, for the seeds that have both."""
    first, second = by_seed(table, column, **a), by_seed(table, column, **b)
    return {s: first[s] - second[s] for s in sorted(set(first) & set(second))}


def _contrast(
    scale: Scale,
    table: Any,
    column: str,
    a: Where,
    b: Where,
    deep: bool,
    judged: Callable[[Panel, int], bool],
) -> tuple[Interval, int]:
    """Mean over networks and rounds of `a` minus `b`, interval over seeds. Round 0 of `b` is the dense network."""
    contrasts = {}
    for model, panel in grid_of(scale).panels.items():
        for number in range(1, panel.rounds + 1):
            if (model in DEEP) == deep and judged(panel, number):
                here = {"model": model, "round": number}
                found = paired(table, column, here | a, here | b)
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


def _small(scale: Scale, table: Any) -> list[Claim]:
    ticket = {"setting": "plain", "series": "ticket"}
    dense = {"setting": "plain", "series": "dense", "round": 0}

    def of(column: str, a: Where, b: Where, rounds: Callable[[Panel, int], bool]) -> tuple[Interval, int]:
        return _contrast(scale, table, column, a, b, deep=False, judged=rounds)

    def control(series: str) -> Judged:
        difference, groups = of("early_stop_accuracy", ticket, ticket | {"series": series}, every)
        return greater(difference, f"ticket minus {series}", groups)

    accuracy, many = of("early_stop_accuracy", ticket, dense, moderate)
    sooner, groups = of("early_stop_iteration", dense, ticket, moderate)
    rule = "mean over networks and rounds of the difference at early stopping, t-interval over seeds; supported if "
    return [
        Claim(
            "tickets-beat-reinit",
            "Winning tickets reach a higher accuracy than the same masks with fresh weights.",
            f"{PAPER}, Figures 4a and 5",
            rule + "above zero",
            *control("reinit"),
        ),
        Claim(
            "tickets-beat-random-sparsity",
            "Winning tickets reach a higher accuracy than random sparsity with as many weights in every layer.",
            f"{PAPER}, Figure 1",
            rule + "above zero",
            *control("random"),
        ),
        Claim(
            "tickets-match-dense",
            "Winning tickets that keep a fifth of the weights or more reach at least the dense network's accuracy.",
            f"{PAPER}, Figures 4a and 5",
            rule + "at least zero; rounds that leave a fifth or more",
            *at_least(accuracy, 0.0, "ticket minus dense", many),
        ),
        Claim(
            "tickets-learn-faster",
            "Winning tickets that keep a fifth of the weights or more reach their minimum loss in fewer iterations "
            "than the dense network.",
            f"{PAPER}, Figures 4a and 5",
            "mean over networks and rounds of (dense minus ticket) iterations of minimum test loss, t-interval over "
            "seeds; supported if above zero; rounds that leave a fifth or more",
            *greater(sooner, "dense minus ticket", groups, "iterations"),
        ),
    ]


def _deep(scale: Scale, table: Any) -> list[Claim]:
    def gain(setting: str, control: str | None = None) -> tuple[Interval, int]:
        a = {"setting": setting, "series": "ticket"}
        b = {"setting": control or setting, "series": "reinit"}
        return _contrast(scale, table, "last_accuracy", a, b, deep=True, judged=late)

    high, groups = gain("high")
    lost = replace(high, mean=-high.mean)
    rule = "mean over networks and the later half of the rounds of (rewound minus re-initialised), t-interval over "
    rule += "seeds; supported if "
    found = {
        "low-rate-finds-tickets": (
            "At a low learning rate deep networks have winning tickets: rewound beats re-initialised.",
            "Figures 7 and 8, rate 0.01",
            "above zero",
            greater(gain("low")[0], "low rate: rewound minus re-initialised", gain("low")[1]),
        ),
        "high-rate-loses-tickets": (
            "At a high learning rate the advantage of rewinding to the initialisation vanishes.",
            "Figures 7 and 8, rate 0.1",
            f"nowhere above {VANISHED} pp",
            at_least(lost, -VANISHED, "high rate: re-initialised minus rewound", groups),
        ),
        "warmup-finds-tickets": (
            "With warmup the advantage of rewinding returns at a high learning rate.",
            "Figures 7 and 8, warmup",
            "above zero",
            greater(gain("warmup")[0], "warmup: rewound minus re-initialised", gain("warmup")[1]),
        ),
        "early-rewinding-finds-tickets": (
            "At a high learning rate rewinding to an early epoch beats re-initialised weights.",
            "no figure; later work of the same authors (Stabilizing the Lottery Ticket Hypothesis, 2019)",
            "above zero",
            greater(
                gain("rewind", "high")[0], "rewound to an early epoch minus re-initialised", gain("rewind", "high")[1]
            ),
        ),
    }
    return [
        Claim(name, statement, f"{PAPER}, {where}", rule + bound, *judged)
        for name, (statement, where, bound, judged) in found.items()
    ]


VANISHED = 0.5
"""Percentage points below which an advantage counts as gone; the paper's curves are drawn to about that."""


def claims(scale: Scale, table: Any) -> list[Claim]:
    """All claims of the item."""
    return [*_small(scale, table), *_deep(scale, table)]

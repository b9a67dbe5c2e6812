"""Printed numbers beside ours, and the claims of the protocol (docs/learned-precision.md)."""

import math
from collections.abc import Iterator

import pandas as pd

from ebreplicate import published
from ebreplicate.experiments.common.compared import Compared, judged
from ebreplicate.experiments.common.contrasts import minus
from ebreplicate.experiments.common.experiment import COST, Cell, Claim
from ebreplicate.experiments.common.judgement import BETTER, NO_WORSE
from ebreplicate.experiments.common.margins import MARGINS, margin_of
from ebreplicate.experiments.common.rows import by_seed, interval
from ebreplicate.experiments.common.stats import Interval
from ebreplicate.experiments.common.verdicts import greater
from ebreplicate.experiments.learned_precision.runs import CPT, LDP_COST, PFQ, STATIC_8
from ebreplicate.specs.bits import cyclic_saving
from ebreplicate.specs.scale import Scale

PAGE = "docs/learned-precision.md"
RECONSTRUCTION = "LDP, abstract (reconstruction)"
FAMILY = "learned precision"
RAISES_BITS, LAYERS_DIFFER = "ldp-raises-bits", "ldp-layers-differ"
STEPS = 64_000
"""Of the authors' trainings."""
SAVINGS = {"FW(3,8)/BW8": (3, 8, 8), "FW(3,6)/BW6": (3, 6, 6), "FW(3,4)/BW6": (3, 4, 6)}
"""Fewest and most forward bits, and gradient bits, of CPT's printed savings."""
COMPARED = (
    Compared(
        "cpt-matches-static",
        "Cyclic precision (3 to 8 bits) is no worse than static 8 bits, at about 36.7 % fewer bit operations.",
        "CPT, ICLR 2021",
        NO_WORSE,
        ((CPT, 1.0), (STATIC_8, -1.0)),
    ),
    Compared(
        "pfq-matches-static",
        "Progressive precision (3, 4, 6, 8 bits) is no worse than static 8 bits.",
        "FracTrain, NeurIPS 2020",
        NO_WORSE,
        ((PFQ, 1.0), (STATIC_8, -1.0)),
    ),
    Compared(
        "ldp-matches-cpt",
        "Learned precision with a cost term is no worse than cyclic precision (reconstruction).",
        RECONSTRUCTION,
        NO_WORSE,
        ((LDP_COST, 1.0), (CPT, -1.0)),
    ),
    Compared(
        RAISES_BITS,
        "Without a cost term learned bits start low and rise: median over layers (reconstruction).",
        RECONSTRUCTION,
        BETTER,
        unit="bits",
    ),
    Compared(
        LAYERS_DIFFER,
        "At the end of training learned bits differ between layers by more than one bit (reconstruction).",
        RECONSTRUCTION,
        BETTER,
        unit="bits above 1",
    ),
)


def printed(file: str, method: str, metric: str) -> float:
    """The first number of a method and metric in a published file; nan where it has none."""
    rows = published.read(file)
    found = rows[(rows.method == method) & (rows.metric == metric)].value
    return float(found.iloc[0]) if len(found) else math.nan


def cells(scale: Scale, table: pd.DataFrame) -> list[Cell]:
    """CPT's printed savings, by arithmetic; CPT's gain, as context; and LDP's two numbers, which nothing can repeat."""
    return [*_savings(), *_accuracies(table)]


def _savings() -> Iterator[Cell]:
    for name, (low, high, backward) in SAVINGS.items():
        method = f"CPT {name} against static FW{high}/BW{backward}"
        yield Cell(
            f"CPT {name}: bit operations saved, by arithmetic",
            printed("cpt_readme", method, "training_cost_cut"),
            Interval(cyclic_saving(low, high, backward, STEPS), math.nan, 1),
            "%",
            "CPT, figure of its README, CIFAR-100",
            "arithmetic",
            0.01,
            exact=True,
            note="one unit of the last printed digit, which is cut in 30.04",
            method=name,
        )


def _accuracies(table: pd.DataFrame) -> Iterator[Cell]:
    gain = interval(minus(*(by_seed(table, "last_accuracy", arm=arm) for arm in (CPT, STATIC_8))))
    yield Cell(
        "CPT FW(3,8)/BW8: accuracy gained over static 8/8",
        printed("cpt_readme", "CPT FW(3,8)/BW8 against static FW8/BW8", "accuracy_gain"),
        gain,
        "pp",
        "CPT, figure of its README, ResNet-38 on CIFAR-100",
        "last epoch; the authors' best epoch on test",
        MARGINS["cifar10"],
        note="another network and dataset",
        context=True,
    )
    for metric, what, unit in (("accuracy_gain", "accuracy gained", "pp"), ("training_cost_cut", "cost saved", "%")):
        yield Cell(
            f"LDP: {what} against the best other method",
            printed("misc_ldp_supertickets_halp", "LDP vs best prior dynamic-precision", metric),
            Interval(math.nan, math.nan, 0),
            unit,
            "LDP, abstract, ResNet-20 on CIFAR-10",
            "unknown",
            0.005 if unit == "pp" else 0.05,
            note="the other method, its bits and its seeds are unknown, so nothing is run for it",
        )


def claims(scale: Scale, table: pd.DataFrame) -> list[Claim]:
    """The five judged claims, and what LDP with a cost term costs beside CPT."""
    cpt, ldp = (by_seed(table, "share", arm=arm) for arm in (CPT, LDP_COST))
    saved = interval({seed: 100 * value for seed, value in minus(cpt, ldp).items()})
    cost = Claim(
        "ldp-costs-less",
        "Learned precision with a cost term takes fewer bit operations than cyclic precision (reconstruction).",
        RECONSTRUCTION,
        "bit operations of training, in % of static 8/8; t-interval over seeds",
        greater(saved, f"{CPT} minus {LDP_COST}", "% of static 8/8"),
        kind=COST,
    )
    return [*judged(COMPARED, table, margin_of(scale, "cifar10"), FAMILY, PAGE), cost]

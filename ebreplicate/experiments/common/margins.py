"""The margin of accuracies, and how far a published number may lie from ours (docs/statistics.md). No torch."""

import math
from typing import NamedTuple

from ebreplicate.experiments.common.stats import Interval, t_quantile
from ebreplicate.specs.scale import Scale

MARGINS = {"cifar10": 0.3, "cifar100": 1.0, "superclasses": 0.7, "imagenet": 1.0, "mnist": 0.1, "graphs": 1.0}
"""Margin of accuracies in points, at the papers' own scale: 4 % of the dense network's error, at least ten test cases,
to one digit."""
REDUCED_MARGIN = 1.0
"""The same at every other scale. MNIST's test images are the same at all scales, and so is its margin."""
COUNT_MARGIN = 0.1
"""Of a printed epoch, iteration or count of parts."""


def margin_of(scale: Scale, *datasets: str) -> float:
    """Margin in points of accuracies on `datasets`, keys of `MARGINS`; their mean, where a claim pools several."""
    found = [MARGINS[d] if scale.comparable or d == "mnist" else REDUCED_MARGIN for d in datasets]
    return math.fsum(found) / len(found)


def reach(ours: Interval, runs: int = 1, reading: float = 0.0, spread: float = math.nan) -> float:
    """How far a published mean of `runs` runs may lie from our mean over seeds by chance: t s sqrt(1/n + 1/m) + r.

    `ours`: with Student's t-interval over n seeds, half-width t s / sqrt(n). `spread`: the published standard deviation
    of those runs, with which t has Welch's degrees of freedom; where none is printed (nan) it is taken to be ours.
    `reading`: r, the half-width of rounding, or of reading a figure. nan for fewer than two seeds.
    """
    if math.isnan(spread) or math.isnan(ours.half):
        return ours.half * math.sqrt(1 + ours.n / runs) + reading
    a, b = (ours.half / t_quantile(ours.n - 1)) ** 2, spread**2 / runs
    freedom = (a + b) ** 2 / (a**2 / (ours.n - 1) + b**2 / (runs - 1)) if a + b else ours.n - 1
    return t_quantile(freedom) * math.sqrt(a + b) + reading


class Tolerance(NamedTuple):
    """Difference up to which a published value agrees with ours, and whether it is `imprecise`: too wide to agree."""

    value: float
    imprecise: bool


def tolerance(
    ours: Interval, margin: float, runs: int = 1, reading: float = 0.0, spread: float = math.nan
) -> Tolerance:
    """The margin, or the reach of both means (`reach`), whichever is more, in the unit of `ours`.

    Imprecise where the reach is more than twice the margin, and for fewer than two seeds, which have no interval.
    """
    half = reach(ours, runs, reading, spread)
    if math.isnan(half):
        return Tolerance(margin, imprecise=True)
    return Tolerance(max(half, margin), imprecise=half > 2 * margin)

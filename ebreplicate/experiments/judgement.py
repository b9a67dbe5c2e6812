"""The rules of docs/statistics.md: words of a verdict, families of claims, agreement with printed values. No torch."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ebreplicate.experiments.base import INCONCLUSIVE, NOT_RUN, NOT_SUPPORTED, SUPPORTED
from ebreplicate.stats import ENOUGH, Contrast, Interval, holm

NO_WORSE, BETTER = "no worse than", "better than"
"""Tests: against minus the margin, and against 0."""
SUPPORTED_ALONE, NOT_SUPPORTED_ALONE = f"{SUPPORTED} alone", f"{NOT_SUPPORTED} alone"
EQUIVALENT, TOO_FEW, EXPLORATORY = "equivalent", "too few seeds", "exploratory"
BELOW_MARGIN = "below the margin"
DECIDED = (SUPPORTED, NOT_SUPPORTED)
FOR, AGAINST, MIXED = "for", "against", "mixed"
LEVEL = 0.05
HINT = 5
"""Seeds from which on a row says where they point."""
AGREES, DIFFERS, IMPRECISE = "agrees", "differs", "too imprecise to say"


@dataclass(frozen=True)
class Rule:
    """What a contrast is held against: `kind` (NO_WORSE or BETTER) and the margin of the scale, in the contrast's unit;
    nan: differences have no margin."""

    kind: str
    margin: float

    @property
    def bound(self) -> float:
        """Value that the difference must exceed."""
        return -self.margin if self.kind == NO_WORSE else 0.0


def verdict(rule: Rule, i: Interval, p_adjusted: float) -> str:
    """Word for a contrast with the 95 % interval `i` and its p-value after correction, without regard to a gate.

    With "supported", a second word after a comma says that the interval lies within the margin.
    """
    if i.n < ENOUGH:
        return TOO_FEW if i.n else NOT_RUN
    inside = -rule.margin <= i.low and i.high <= rule.margin
    if i.low > rule.bound:
        word = SUPPORTED if p_adjusted < LEVEL else SUPPORTED_ALONE
        return word + (f", {EQUIVALENT if rule.kind == NO_WORSE else BELOW_MARGIN}" if inside else "")
    if i.high < rule.bound:
        return NOT_SUPPORTED if p_adjusted < LEVEL else NOT_SUPPORTED_ALONE
    return EQUIVALENT if inside and rule.kind == BETTER else INCONCLUSIVE


def points_to(values: Collection[float], bound: float) -> str:
    """Which side of the bound all seeds lie on; empty below five seeds."""
    if len(values) < HINT:
        return ""
    above = sum(v > bound for v in values)
    return FOR if above == len(values) else AGAINST if sum(v < bound for v in values) == len(values) else MIXED


def gated(rule: Rule, first: Contrast, p_values: Sequence[float]) -> tuple[bool, list[float]]:
    """Whether the gate is passed, and the p-values of the rest of its family after Holm's correction.

    The gate is decided for if its interval lies above its bound at 5 % of its own. If it is not, the rest is
    exploratory: their adjusted p-values are nan.
    """
    i = first.interval()
    passed = i.n >= ENOUGH and i.low > rule.bound and first.p(rule.bound) < LEVEL
    return passed, holm(p_values) if passed else [math.nan] * len(p_values)


def agreement(ours: Interval, printed: float, margin: float, runs: int = 1, reading: float = 0.0) -> str:
    """Word for our mean over seeds beside a printed mean of `runs` runs, whose spread is taken to be ours.

    `ours`: with Student's t-interval; `reading`: half-width of rounding, or of reading a figure (docs/statistics.md,
    the papers' own scale).
    """
    if ours.n == 0:
        return NOT_RUN
    if math.isnan(ours.half):
        return TOO_FEW
    off, half = abs(ours.mean - printed), ours.half * math.sqrt(1 + ours.n / runs) + reading
    if off > half and off > margin:
        return DIFFERS
    return AGREES if half <= 2 * margin else IMPRECISE

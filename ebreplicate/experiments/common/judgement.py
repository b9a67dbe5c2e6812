"""The rules of docs/statistics.md: words of a verdict, and families of claims. No torch."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from ebreplicate.experiments.common.experiment import (
    ACCURACY,
    ARITHMETIC,
    COST,
    INCONCLUSIVE,
    NOT_RUN,
    NOT_SUPPORTED,
    REMARK,
    SUPPORTED,
    TOO_FEW,
    Claim,
)
from ebreplicate.experiments.common.stats import ENOUGH, Contrast, Interval, holm

NO_WORSE, BETTER = "no worse than", "better than"
"""Tests: against minus the margin, and against 0."""
SUPPORTED_ALONE, NOT_SUPPORTED_ALONE = f"{SUPPORTED} alone", f"{NOT_SUPPORTED} alone"
EQUIVALENT, EXPLORATORY = "equivalent", "exploratory"
BELOW_MARGIN = "below the margin"
DECIDED = (SUPPORTED, NOT_SUPPORTED)
FOR, AGAINST, MIXED = "for", "against", "mixed"
LEVEL = 0.05
HINT = 5
"""Seeds from which on a row says where they point."""


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


KINDS = {
    "table2-flops": ARITHMETIC,
    "table3-flops": ARITHMETIC,
    "gebt-inference-costs": ARITHMETIC,
    "gebt-training-costs": ARITHMETIC,
    "gebt-printed-savings": ARITHMETIC,
    "table2-saves-energy": COST,
    "table2-costs-less": COST,
    "eb-train-costs-less": COST,
    "imagenet-eb-train-costs-less": COST,
    "one-matrix-two-networks": REMARK,
}
"""Claims that are not about accuracy."""
BY_CONSTRUCTION = ("table2-costs-less", "eb-train-costs-less", "imagenet-eb-train-costs-less")
"""A smaller network for the rest of equal epochs costs less: the ratio is measured, and nothing is judged."""
NO_VERDICT = "no verdict"
REPLACED = {
    "early-birds-exist": "p2-early-as-good-as-final",
    "emergence-suffices": "p3-early-mask-as-good",
    "match-dense": "s1-early-matches-dense",
    "draw-epoch-matters": "p1-draw-epoch-matters",
    "late-draws-lose": "p2-early-as-good-as-final",
    "eb-train-matches-dense": "p4-eb-train-matches-dense",
    "settles-before-decay": "p6-masks-settle-before-decay",
    "large-rate-helps": "s5-large-rate-better-tickets",
    "table2-ns": "p5-eb-train-matches-slimming",
    "table2-reinit": "s3-eb-train-matches-reinit",
    "table2-snip": "s4-eb-train-matches-weight-pruning",
    "table2-lottery": "s4-eb-train-matches-weight-pruning",
    "table2-channels-matter": "s2-channels-matter",
}
"""Claims of single figures and tables that a reduced scale judges as one of the analysis plan."""


def settled(claims: Sequence[Claim], comparable: bool) -> list[Claim]:
    """The claims of one item as they are shown: with kind, p after correction, and the word that n allows.

    At a reduced scale those that the analysis plan replaces are left out, and of the others, those with an interval are
    exploratory. At the papers' scale those of an item are one family: all about accuracy, and others with a p-value.
    """
    kept = [_of_kind(c) for c in claims if comparable or c.name not in REPLACED]
    if not comparable:
        return [_remarked(_worded(c) if c.family else _exploratory(c)) for c in kept]
    members = [c for c in kept if not c.family and (c.kind == ACCURACY or not math.isnan(c.found.p))]
    after = dict(zip([c.name for c in members], holm([c.found.p for c in members]), strict=True))
    found = [c if c.family else _after_correction(_worded(c), after.get(c.name, math.nan)) for c in kept]
    return [_remarked(c) for c in found]


def _remarked(claim: Claim) -> Claim:
    """With a remark where the interval excludes 0, unless the verdict and its bound say that already."""
    i = claim.found.difference
    if i is None or i.n < ENOUGH:
        return claim
    remark = beside_zero(claim.verdict, claim.found.bound, i.mean, i.half)
    return replace(claim, found=claim.found.but(remark)) if remark else claim


def beside_zero(verdict: str, bound: float, mean: float, half: float) -> str:
    """On which side of 0 an interval lies, in words; empty where it contains 0, where there is no interval, and where
    the verdict and its bound say so already."""
    above = verdict.startswith(SUPPORTED) and bound >= 0
    below = verdict.startswith(NOT_SUPPORTED) and bound <= 0
    said = above or below or not abs(mean) > half
    return "" if said else f"the whole interval is {'above' if mean > 0 else 'below'} 0"


def _after_correction(claim: Claim, p_adjusted: float) -> Claim:
    """The claim with its p-value after correction; a word that the correction takes away becomes that word alone."""
    words = {SUPPORTED: SUPPORTED_ALONE, NOT_SUPPORTED: NOT_SUPPORTED_ALONE}
    lost = p_adjusted >= LEVEL and claim.verdict in words  # False for nan, which is no p-value
    claim = replace(claim, p_holm=p_adjusted)
    return _with_verdict(claim, words[claim.verdict]) if lost else claim


def _with_verdict(claim: Claim, verdict: str) -> Claim:
    return replace(claim, found=replace(claim.found, verdict=verdict))


def _of_kind(claim: Claim) -> Claim:
    claim = replace(claim, kind=KINDS.get(claim.name, claim.kind))
    if claim.name in BY_CONSTRUCTION and claim.n:
        claim = _with_verdict(claim, NO_VERDICT)
    i, bound = claim.found.difference, claim.found.bound
    side = claim.points_to or ("" if i is None else points_to(i.values, bound))
    return replace(claim, points_to=side)


def _worded(claim: Claim) -> Claim:
    """No verdict on fewer than three seeds."""
    few = claim.found.difference is not None and 0 < claim.n < ENOUGH
    return _with_verdict(claim, TOO_FEW) if few else claim


def _exploratory(claim: Claim) -> Claim:
    """A claim outside the families: of the words, those for too few seeds and for nothing run."""
    claim = _worded(claim)
    judged = claim.kind == ACCURACY and claim.verdict not in (TOO_FEW, NOT_RUN)
    return _with_verdict(claim, EXPLORATORY) if judged else claim

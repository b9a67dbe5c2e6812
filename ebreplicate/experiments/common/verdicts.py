"""From differences to verdicts: the rules every claim and cell is judged by. No torch."""

import math

from ebreplicate.experiments.common.experiment import INCONCLUSIVE, NOT_RUN, NOT_SUPPORTED, SUPPORTED, Cell
from ebreplicate.experiments.common.lineage import Evidence
from ebreplicate.experiments.common.stats import ENOUGH, Interval, p_value
from ebreplicate.specs.scale import Scale

Judged = tuple[str, str, int]


def _evidence(i: Interval, bound: float, what: str, unit: str, groups: int) -> Evidence:
    over = f", over {groups} series" if groups > 1 else ""
    if i.n < ENOUGH or math.isnan(i.half):
        seeds, half, p = f"{i.n} seed{'s' * (i.n > 1)}, no interval", "", ""
    else:
        seeds, half, p = f"{i.n} seeds", f" +- {i.half:.2f}", f"; p = {p_value(i, bound):.3g}"
    text = f"{what}: {i.mean:+.2f}{half} {unit} ({seeds}{over}{p})"
    return Evidence(text, i.records, i, bound, unit)


def told_margin(margin: float) -> str:
    """A noise margin (percentage points) as a rule tells it: it follows from accuracies, so it waits for the first."""
    return "not known before a run" if math.isnan(margin) else f"{margin:.2f} pp"


def at_least(i: Interval, bound: float, what: str, groups: int = 1, unit: str = "pp") -> Judged:
    """Verdict on "the difference is at least `bound`": the whole interval must lie on one side of it."""
    if i.n == 0:
        return NOT_RUN, "", 0
    evidence = _evidence(i, bound, what, unit, groups)
    if math.isnan(i.half):
        return INCONCLUSIVE, evidence, i.n
    if i.low >= bound:
        return SUPPORTED, evidence, i.n
    return (NOT_SUPPORTED if i.high < bound else INCONCLUSIVE), evidence, i.n


def greater(i: Interval, what: str, groups: int = 1, unit: str = "pp") -> Judged:
    """Verdict on "the difference is positive"."""
    verdict, evidence, n = at_least(i, 0.0, what, groups, unit)
    return (INCONCLUSIVE if verdict == SUPPORTED and i.low == 0 else verdict), evidence, n


def cell_verdict(cell: Cell, comparable: bool) -> str:
    """Verdict on one cell beside the paper's number.

    agrees: the difference is within the tolerance. differs: it exceeds the tolerance by more than our interval.
    inconclusive: in between, or beyond the tolerance with a single run.
    """
    m = cell.measured
    if m.n == 0:
        return NOT_RUN
    if math.isnan(cell.published):
        return "no published value"
    if cell.context:
        return "context, not comparable"
    if not comparable and not cell.exact:
        return "not comparable at this scale"
    difference = abs(m.mean - cell.published)
    if difference <= cell.tolerance:
        return INCONCLUSIVE if cell.imprecise else "agrees"
    if cell.exact:
        return "differs"
    return "differs" if difference - m.half > cell.tolerance else "inconclusive"


def _with(evidence: str, reason: str) -> Evidence:
    return (evidence if isinstance(evidence, Evidence) else Evidence(evidence)).and_also(reason)


def confounded(scale: Scale, verdict: str, evidence: str) -> tuple[str, str]:
    """Withhold a verdict on draw epochs where retrains are shorter than searches.

    A ticket inherits weights, so a late draw has had more training in total; only a retrain long enough to make that
    immaterial compares tickets.
    """
    if verdict == NOT_RUN or scale.retrain_recipe.epochs >= scale.recipe.epochs:
        return verdict, evidence
    reason = (
        f"{scale.retrain_recipe.epochs}-epoch retrains after a {scale.recipe.epochs}-epoch search: late tickets "
        "inherit more training, so this scale cannot judge it"
    )
    return INCONCLUSIVE, _with(evidence, reason)


def cautioned(scale: Scale, verdict: str, evidence: str) -> str:
    """Evidence on an early draw beside one still earlier, with what is to be borne in mind where retrains are short."""
    if verdict == NOT_RUN or scale.retrain_recipe.epochs >= scale.recipe.epochs:
        return evidence
    reason = (
        f"with {scale.retrain_recipe.epochs}-epoch retrains part of it may be the longer training that a later ticket "
        "inherits"
    )
    return _with(evidence, reason)

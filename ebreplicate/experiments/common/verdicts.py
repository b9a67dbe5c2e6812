"""From differences to verdicts: the rules every claim and cell is judged by. No torch."""

import math
from dataclasses import replace

from ebreplicate.experiments.common.experiment import INCONCLUSIVE, NOT_RUN, NOT_SUPPORTED, SUPPORTED, Cell
from ebreplicate.experiments.common.finding import Finding
from ebreplicate.experiments.common.stats import ENOUGH, Interval, p_value
from ebreplicate.specs.scale import Scale


def told_margin(margin: float) -> str:
    """A noise margin (percentage points) as a rule tells it: it follows from accuracies, so it waits for the first."""
    return "not known before a run" if math.isnan(margin) else f"{margin:.2f} pp"


def at_least(i: Interval, bound: float, what: str, unit: str = "pp") -> Finding:
    """Judge "the difference is at least `bound`": the whole interval must lie on one side of it."""
    if i.n == 0:
        return Finding(NOT_RUN)
    p = p_value(i, bound) if i.n >= ENOUGH else math.nan
    # A half-width that is nan is on no side.
    verdict = SUPPORTED if i.low >= bound else NOT_SUPPORTED if i.high < bound else INCONCLUSIVE
    return Finding(verdict, i.n, i, bound, unit, p, what, records=i.records)


def greater(i: Interval, what: str, unit: str = "pp") -> Finding:
    """Judge "the difference is positive"."""
    found = at_least(i, 0.0, what, unit)
    return replace(found, verdict=INCONCLUSIVE) if found.verdict == SUPPORTED and i.low == 0 else found


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
    if not (comparable or cell.exact or cell.everywhere):
        return "not comparable at this scale"
    difference = abs(m.mean - cell.published)
    if difference <= cell.tolerance:
        return INCONCLUSIVE if cell.imprecise else "agrees"
    if cell.exact:
        return "differs"
    return "differs" if difference - m.half > cell.tolerance else "inconclusive"


def confounded(scale: Scale, found: Finding) -> Finding:
    """Withhold a verdict on draw epochs where retrains are shorter than searches.

    A ticket inherits weights, so a late draw has had more training in total; only a retrain long enough to make that
    immaterial compares tickets.
    """
    if found.verdict == NOT_RUN or scale.retrain_recipe.epochs >= scale.recipe.epochs:
        return found
    reason = (
        f"{scale.retrain_recipe.epochs}-epoch retrains after a {scale.recipe.epochs}-epoch search: late tickets "
        "inherit more training, so this scale cannot judge it"
    )
    return found.but(reason, INCONCLUSIVE)


def cautioned(scale: Scale, found: Finding) -> Finding:
    """An early draw beside one still earlier, with what is to be borne in mind where retrains are short."""
    if found.verdict == NOT_RUN or scale.retrain_recipe.epochs >= scale.recipe.epochs:
        return found
    reason = (
        f"with {scale.retrain_recipe.epochs}-epoch retrains part of it may be the longer training that a later ticket "
        "inherits"
    )
    return found.but(reason)

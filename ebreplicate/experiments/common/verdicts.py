"""From differences to verdicts: the rules every claim and cell is judged by. No torch."""

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import variance

from ebreplicate.experiments.common.experiment import (
    AGREES,
    DIFFERS,
    IMPRECISE,
    INCONCLUSIVE,
    NOT_RUN,
    NOT_SUPPORTED,
    SUPPORTED,
    TOO_FEW,
    Cell,
)
from ebreplicate.experiments.common.finding import Finding
from ebreplicate.experiments.common.rows import interval
from ebreplicate.experiments.common.stats import ENOUGH, Interval, p_value
from ebreplicate.specs.scale import Scale


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
    """Word for one cell beside the paper's number: docs/statistics.md, agreement with a printed value.

    `comparable`: whether the scale is the paper's own.
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
    if math.isnan(m.half) and not cell.exact:
        return TOO_FEW
    off = abs(m.mean - cell.published)
    if not math.isnan(cell.error):
        far = NORMAL * cell.error
        return AGREES if off + far <= cell.margin else DIFFERS if off - far > cell.margin else IMPRECISE
    allowed = cell.tolerance
    if off > allowed.value:
        return DIFFERS
    return IMPRECISE if allowed.imprecise else AGREES


NORMAL = 1.96
"""Quantile of the normal distribution for 95 %: the difference of a whole table is a mean of many."""


def whole(name: str, source: str, cells: Sequence[Cell]) -> list[Cell]:
    """A figure or table of one margin as one cell: means over its printed cells, of the seeds that all of them have.
    None where nothing is printed; cells that are context alone are left out.

    It agrees if the mean difference, with 1.96 standard errors either way, lies within the margin (docs/statistics.md);
    the error has the scatter of our mean between seeds, and that of the printed runs, taken to scatter as ours.
    """
    printed = [cell for cell in cells if not (math.isnan(cell.published) or cell.context)]
    if not printed:
        return []
    values = [dict(zip(cell.measured.seeds, cell.measured.values, strict=True)) for cell in printed]
    seeds = set.intersection(*map(set, values))
    ours = interval({s: math.fsum(v[s] for v in values) / len(values) for s in seeds} if len(seeds) >= ENOUGH else {})
    records = frozenset().union(*(cell.measured.records for cell in printed)) if ours.n else frozenset()
    error = math.nan
    if ours.n:
        theirs = math.fsum(variance(v.values()) / cell.runs for v, cell in zip(values, printed, strict=True))
        error = math.sqrt(variance(ours.values) / ours.n + theirs / len(values) ** 2)
    differ = sum(cell_verdict(cell, comparable=True) == DIFFERS for cell in printed)
    first = printed[0]
    one = Cell(
        name,
        math.fsum(cell.published for cell in printed) / len(printed),
        replace(ours, records=records),
        first.unit,
        source,
        first.selection,
        first.margin,
        note=f"{differ} of {len(printed)} cells differ, by chance at most {len(printed) / 20:.2g}" if ours.n else "",
        cells=len(printed),
        error=error,
    )
    return [one]


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

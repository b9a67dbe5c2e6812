"""From differences to verdicts: the rules every claim and cell is judged by. No torch."""

import math
from collections.abc import Mapping

from ebreplicate.experiments.base import INCONCLUSIVE, NOT_RUN, NOT_SUPPORTED, SUPPORTED, Cell
from ebreplicate.stats import Interval, t_interval

Judged = tuple[str, str, int]


def pooled(contrasts: Mapping[object, Mapping[int, float]]) -> Interval:
    """Average contrasts over panels within each seed, then a t-interval over seeds: seeds are the independent unit.

    `contrasts`: per series, difference by seed. Only seeds that every series has count, so that a missing run does not
    reweight the others.
    """
    if not contrasts:
        return t_interval([])
    seeds = sorted(set.intersection(*(set(v) for v in contrasts.values())))
    return t_interval([sum(v[s] for v in contrasts.values()) / len(contrasts) for s in seeds])


def _evidence(i: Interval, what: str, unit: str, groups: int) -> str:
    over = f", over {groups} series" if groups > 1 else ""
    seeds = "1 seed, no interval" if i.n == 1 else f"{i.n} seeds"
    half = "" if math.isnan(i.half) else f" +- {i.half:.2f}"
    return f"{what}: {i.mean:+.2f}{half} {unit} ({seeds}{over})"


def at_least(i: Interval, bound: float, what: str, groups: int = 1, unit: str = "pp") -> Judged:
    """Verdict on "the difference is at least `bound`": the whole interval must lie on one side of it."""
    if i.n == 0:
        return NOT_RUN, "", 0
    evidence = _evidence(i, what, unit, groups)
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
    if not comparable and not cell.exact:
        return "not comparable at this scale"
    difference = abs(m.mean - cell.published)
    if difference <= cell.tolerance:
        return "agrees"
    if cell.exact:
        return "differs"
    return "differs" if difference - m.half > cell.tolerance else "inconclusive"

"""Differences of two arms by seed: the step from the rows of a table to what a claim judges. No torch."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ebreplicate.experiments.common.rows import by_seed
from ebreplicate.experiments.common.stats import Interval, t_interval, t_quantile

if TYPE_CHECKING:
    import pandas as pd

BySeed = dict[int, float]
"""A value of each seed."""
Where = Mapping[str, Any]
"""Columns of a table and the values that its rows must have."""


def minus(a: Mapping[int, float], b: Mapping[int, float]) -> BySeed:
    """`a` minus `b` by seed, of the seeds that have both."""
    return {s: a[s] - b[s] for s in sorted(set(a) & set(b))}


def paired(table: "pd.DataFrame", column: str, a: Where, b: Where) -> BySeed:
    """`column` in the rows that match `a` minus that in the rows that match `b`, of the seeds that have both."""
    return minus(by_seed(table, column, **a), by_seed(table, column, **b))


def mean_by_seed(parts: Iterable[Mapping[int, float]]) -> BySeed:
    """Mean over the parts (rounds, ratios, draws) within each seed that has all of them."""
    found = list(parts)
    seeds = set.intersection(*map(set, found)) if found else set()
    return {s: sum((part[s] for part in found[1:]), found[0][s]) / len(found) for s in sorted(seeds)}


def pooled(contrasts: Mapping[Any, Mapping[int, float]]) -> Interval:
    """Average contrasts over series within each seed, then a t-interval over seeds: seeds are the independent unit.

    `contrasts`: per series (panel, ratio, draw), difference by seed. Series must share their seeds, or a missing run
    would reweight the others: of the sets of seeds that occur, the largest is taken (at a tie, that of most series),
    and series lacking one of them are left out. The interval's `series` says how many it is over.

    Two seeds may agree by luck, and an interval over their means alone would then be next to nothing. So it is never
    narrower than the scatter of the series between seeds gives (`_scatter`).
    """
    if not contrasts:
        return t_interval([])
    groups = {
        seeds: [v for v in contrasts.values() if set(v) >= seeds]
        for seeds in {frozenset(v) for v in contrasts.values()}
    }
    seeds = max(groups, key=lambda s: (len(s), len(groups[s]), sorted(s, reverse=True)))
    series = groups[seeds]
    over_seeds = t_interval([sum(v[s] for v in series) / len(series) for s in sorted(seeds)])
    half = over_seeds.half
    if over_seeds.n >= 2:
        half = max(half, _scatter([[float(v[s]) for s in seeds] for v in series]))
    return replace(over_seeds, half=half, series=len(series))


def _scatter(values: list[list[float]]) -> float:
    """Half-width of the mean of series x seeds from what neither a series nor a seed explains; 0 for one series.

    The mean square of that interaction (two-way analysis of variance without replication) over the number of values is
    part of the variance of the mean, whatever the seeds' own part is.
    """
    rows, columns = len(values), len(values[0])
    degrees = (rows - 1) * (columns - 1)
    if not degrees or not all(math.isfinite(v) for row in values for v in row):
        return 0.0
    mean = math.fsum(v for row in values for v in row) / (rows * columns)
    of_row = [math.fsum(row) / columns for row in values]
    of_column = [math.fsum(row[j] for row in values) / rows for j in range(columns)]
    rest = [v - of_row[i] - of_column[j] + mean for i, row in enumerate(values) for j, v in enumerate(row)]
    square = math.fsum(r * r for r in rest) / degrees
    return t_quantile(degrees) * math.sqrt(square / (rows * columns))

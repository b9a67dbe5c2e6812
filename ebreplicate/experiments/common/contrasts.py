"""Differences of two arms by seed: the step from the rows of a table to what a claim judges. No torch."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ebreplicate.experiments.common.rows import by_seed

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

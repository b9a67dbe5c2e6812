"""Intervals over few seeds: Student's t, never a bootstrap of three."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from ebreplicate.lineage import records_of


@dataclass(frozen=True)
class Interval:
    """Mean of n values with the half-width of its 95 % t-interval; nan where n does not allow one.

    `records`: keys of the records behind the values, where these are `lineage.Traced`.
    """

    mean: float
    half: float
    n: int
    records: frozenset[str] = field(default=frozenset(), compare=False, repr=False)

    @property
    def low(self) -> float:
        """Lower end, in the unit of the mean."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """Upper end, in the unit of the mean."""
        return self.mean + self.half


def t_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Mean and t-interval of independent values (seeds). n = 1 has no interval (half-width nan), n = 0 no mean."""
    known = [v for v in values if v is not None and math.isfinite(v)]
    finite, records = [float(v) for v in known], records_of(*known)
    n = len(finite)
    if n == 0:
        return Interval(math.nan, math.nan, 0)
    mean = math.fsum(finite) / n
    if n == 1:
        return Interval(mean, math.nan, 1, records)
    from scipy.stats import t

    variance = math.fsum((v - mean) ** 2 for v in finite) / (n - 1)
    return Interval(mean, float(t.ppf(0.5 + confidence / 2, n - 1)) * math.sqrt(variance / n), n, records)


def paired_difference(a: Sequence[float], b: Sequence[float]) -> Interval:
    """t-interval of a - b over pairs that share everything but what is compared."""
    return t_interval([x - y for x, y in zip(a, b, strict=True)])


def p_value(i: Interval, bound: float = 0.0, confidence: float = 0.95) -> float:
    """Two-sided p-value of Student's t-test of the mean of `i` against `bound`, a fraction; nan without an interval.

    It is below 1 - `confidence` exactly where the interval, of that confidence, leaves `bound` out.
    """
    if math.isnan(i.half):
        return math.nan
    if i.half == 0:
        return 1.0 if i.mean == bound else 0.0
    from scipy.stats import t

    error = i.half / float(t.ppf(0.5 + confidence / 2, i.n - 1))
    return 2 * float(t.sf(abs(i.mean - bound) / error, i.n - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment of p-values, fractions; nan, a claim that was not tested, stays and does not count.

    The chance of one or more false verdicts among all of them is at most a if those at or below a are taken (S. Holm,
    Scandinavian Journal of Statistics 6, 1979).
    """
    order = sorted((i for i, p in enumerate(p_values) if not math.isnan(p)), key=lambda i: p_values[i])
    adjusted, least = list(p_values), 0.0
    for rank, i in enumerate(order):
        least = max(least, min(1.0, (len(order) - rank) * p_values[i]))
        adjusted[i] = least
    return adjusted


def accuracy_margin(accuracy: float, images: int) -> float:
    """Two standard errors of an accuracy in percent measured on `images` test images: differences below are noise.

    The margin every accuracy claim is judged with; a rule, so that no claim gets a margin that suits it.
    """
    p = min(max(accuracy / 100, 0.0), 1.0)
    return 200.0 * math.sqrt(p * (1 - p) / images)

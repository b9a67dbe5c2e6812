"""Intervals over few seeds: Student's t, never a bootstrap of three."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ebreplicate.experiments.common.lineage import records_of


@dataclass(frozen=True)
class Interval:
    """Mean of n values with the half-width of its 95 % t-interval; nan where n does not allow one.

    `records`: keys of the records behind the values, where these are `lineage.Traced`; `seeds`: those of the values,
    where they are known; `series`: how many series (panels, ratios) each value is the mean of; `values`: the values
    themselves, where it was made from values.
    """

    mean: float
    half: float
    n: int
    records: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    seeds: tuple[int, ...] = field(default=(), compare=False, repr=False)
    series: int = field(default=1, compare=False, repr=False)
    values: tuple[float, ...] = field(default=(), compare=False, repr=False)

    @property
    def low(self) -> float:
        """Lower end, in the unit of the mean."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """Upper end, in the unit of the mean."""
        return self.mean + self.half


def t_quantile(freedom: float, confidence: float = 0.95) -> float:
    """Quantile of Student's t with `freedom` degrees: half of the rest of `confidence`, a fraction, lies above it.

    As scipy.stats.t.ppf, bit for bit, whose module takes a second to import.
    """
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + confidence / 2))


def t_tails(statistic: float, freedom: float) -> float:
    """Probability that |t| of Student's t with `freedom` degrees is above `statistic` >= 0: twice scipy.stats.t.sf."""
    from scipy.special import stdtr

    return 2 * float(stdtr(freedom, -statistic))


def t_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Mean and t-interval of independent values (seeds). n = 1 has no interval (half-width nan), n = 0 no mean."""
    known = [v for v in values if v is not None and math.isfinite(v)]
    finite, records = [float(v) for v in known], records_of(*known)
    n = len(finite)
    if n == 0:
        return Interval(math.nan, math.nan, 0)
    mean = math.fsum(finite) / n
    if n == 1:
        return Interval(mean, math.nan, 1, records, values=(mean,))
    variance = math.fsum((v - mean) ** 2 for v in finite) / (n - 1)
    half = t_quantile(n - 1, confidence) * math.sqrt(variance / n)
    return Interval(mean, half, n, records, values=tuple(finite))


def p_value(i: Interval, bound: float = 0.0, confidence: float = 0.95) -> float:
    """Two-sided p-value of Student's t-test of the mean of `i` against `bound`, a fraction; nan without an interval.

    It is below 1 - `confidence` exactly where the interval, of that confidence, leaves `bound` out.
    """
    if math.isnan(i.half):
        return math.nan
    if i.half == 0:
        return 1.0 if i.mean == bound else 0.0
    error = i.half / t_quantile(i.n - 1, confidence)
    return t_tails(abs(i.mean - bound) / error, i.n - 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment of p-values, fractions; nan, a claim that has not been tested yet, stays and counts.

    A family's size is fixed before its runs: with the untested left out, what runs first would pass an easier test.

    The chance of one or more false verdicts among all of them is at most a if those at or below a are taken (S. Holm,
    Scandinavian Journal of Statistics 6, 1979).
    """
    order = sorted((i for i, p in enumerate(p_values) if not math.isnan(p)), key=lambda i: p_values[i])
    adjusted, least = list(p_values), 0.0
    for rank, i in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = least
    return adjusted


@dataclass(frozen=True)
class Contrast:
    """Difference of two arms by seed, in points, and what its mean varies by.

    `images`: variance of the mean that the sampling of test images adds to that of the seeds; 0 where the two arms are
    not compared image by image. docs/statistics.md, the interval.
    """

    differences: Mapping[int, float]
    images: float = 0.0

    @property
    def n(self) -> int:
        """Seeds."""
        return len(self.differences)

    @property
    def mean(self) -> float:
        """Mean over seeds; nan without any."""
        return math.fsum(self.differences.values()) / self.n if self.n else math.nan

    def _errors(self) -> list[tuple[float, float]]:
        """Standard errors with their degrees of freedom: of the seeds alone, and with the test images."""
        seeds = math.fsum((v - self.mean) ** 2 for v in self.differences.values()) / (self.n - 1) / self.n
        freedom = (self.n - 1) * (1 + self.images / seeds) ** 2 if seeds else self.n - 1
        return [(math.sqrt(seeds), self.n - 1), (math.sqrt(seeds + self.images), freedom)]

    def interval(self, confidence: float = 0.95) -> Interval:
        """The wider of the two t-intervals; no half-width (nan) below three seeds."""
        half, values = math.nan, tuple(self.differences.values())
        if self.n >= ENOUGH:
            half = max(t_quantile(freedom, confidence) * error for error, freedom in self._errors())
        return Interval(self.mean, half, self.n, values=values)

    def p(self, bound: float = 0.0) -> float:
        """Two-sided p-value of the mean against `bound`, the larger of the two; nan below three seeds."""
        if self.n < ENOUGH:
            return math.nan
        off, found = abs(self.mean - bound), []
        for error, freedom in self._errors():
            found.append(t_tails(off / error, freedom) if error else float(off == 0))
        return max(found)


ENOUGH = 3
"""Seeds from which on there is an interval."""


def image_variance(products: Sequence[Sequence[float]], means: Sequence[float], images: int) -> float:
    """Variance that the sampling of `images` test images adds to the mean of n seeds' differences, in points squared.

    `products` (n, n): mean over images of the product of two seeds' differences d[s,i]; `means` (n,): mean over images
    of each. max(0, var_i(mean_s d) - mean_i(var_s d) / n) / images, with sample variances (docs/statistics.md).
    """
    n = len(means)
    whole = math.fsum(math.fsum(row) for row in products) / n**2  # mean over images of (mean_s d)^2
    mean = math.fsum(means) / n
    of_means = images / (images - 1) * (whole - mean**2)
    within = (math.fsum(products[s][s] for s in range(n)) - n * whole) / (n - 1) if n > 1 else 0.0
    return max(0.0, of_means - within / n) / images

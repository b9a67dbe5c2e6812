"""Intervals over few seeds: Student's t, never a bootstrap of three."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """Mean of n values with the half-width of its 95 % t-interval; nan where n does not allow one."""

    mean: float
    half: float
    n: int

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
    finite = [float(v) for v in values if v is not None and math.isfinite(v)]
    n = len(finite)
    if n == 0:
        return Interval(math.nan, math.nan, 0)
    mean = math.fsum(finite) / n
    if n == 1:
        return Interval(mean, math.nan, 1)
    from scipy.stats import t

    variance = math.fsum((v - mean) ** 2 for v in finite) / (n - 1)
    return Interval(mean, float(t.ppf(0.5 + confidence / 2, n - 1)) * math.sqrt(variance / n), n)


def paired_difference(a: Sequence[float], b: Sequence[float]) -> Interval:
    """t-interval of a - b over pairs that share everything but what is compared."""
    return t_interval([x - y for x, y in zip(a, b, strict=True)])


def accuracy_margin(accuracy: float, images: int) -> float:
    """Two standard errors of an accuracy in percent measured on `images` test images: differences below are noise.

    The margin every accuracy claim is judged with; a rule, so that no claim gets a margin that suits it.
    """
    p = min(max(accuracy / 100, 0.0), 1.0)
    return 200.0 * math.sqrt(p * (1 - p) / images)

"""Intervals where there are too few values for one."""

import math

import pytest

from ebreplicate.experiments.common.stats import Interval, holm, p_value, t_interval


def test_one_value_has_a_mean_and_no_interval():
    one = t_interval([93.5])
    assert (one.mean, one.n) == (93.5, 1)
    assert math.isnan(one.half)
    assert math.isnan(one.low)


@pytest.mark.parametrize("values", [[], [None], [math.nan, math.inf]])
def test_no_value_has_no_mean(values):
    none = t_interval(values)
    assert none.n == 0
    assert math.isnan(none.mean)


def test_values_that_are_missing_do_not_count():
    assert t_interval([90.0, None, 92.0, math.nan]) == t_interval([90.0, 92.0])


def test_two_values_by_hand():
    """Student's t at 97.5 percent and one degree of freedom is tan(0.475 pi) = 12.706."""
    two = t_interval([90.0, 92.0])
    assert two.mean == 91.0
    assert two.half == pytest.approx(math.tan(0.475 * math.pi))
    assert (two.low, two.high) == pytest.approx((91 - two.half, 91 + two.half))


def test_p_of_two_seeds_by_hand():
    """With one degree of freedom the t distribution is Cauchy's: P(|T| > t) = 1 - 2 atan(t) / pi."""
    two = t_interval([90.0, 92.0])  # mean 91, standard error 1
    assert p_value(two, 88.0) == pytest.approx(1 - 2 * math.atan(3.0) / math.pi)
    assert p_value(two, 91.0) == pytest.approx(1.0)


def test_p_without_spread_or_interval():
    assert math.isnan(p_value(t_interval([93.0])))
    assert [p_value(Interval(1.0, 0.0, 3), b) for b in (0.0, 1.0)] == [0.0, 1.0]


def test_holm_by_hand():
    """Four p-values: 4 x 0.005, 3 x 0.01, 2 x 0.03, and the last no less than the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    untested = holm([0.2, math.nan, 0.3])  # counts: 3 x 0.2 and 2 x 0.3
    assert untested[::2] == pytest.approx([0.6, 0.6])
    assert math.isnan(untested[1])
    assert holm([0.6, 0.7]) == [1.0, 1.0]  # a probability
    assert holm([]) == []

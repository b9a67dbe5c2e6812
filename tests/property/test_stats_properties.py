"""Intervals against scipy."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from ebreplicate.experiments.common.stats import holm, p_value, t_interval

VALUES = st.lists(st.floats(0, 100), min_size=2, max_size=12)


@given(VALUES, st.sampled_from([0.8, 0.95, 0.99]))
def test_t_interval_is_scipys(values, confidence):
    ours = t_interval(values, confidence)
    error = scipy_stats.sem(values)
    low, high = (
        scipy_stats.t.interval(confidence, len(values) - 1, np.mean(values), error) if error else 2 * [ours.mean]
    )
    assert np.allclose([ours.mean, ours.low, ours.high], [np.mean(values), low, high], rtol=1e-9, atol=1e-9)
    assert ours.n == len(values)


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=12, unique=True), st.floats(-50, 150))
def test_p_value_is_that_of_scipys_test_and_agrees_with_the_interval(hundredths, bound):
    values = [v / 100 for v in hundredths]
    i = t_interval(values)
    p = p_value(i, bound)
    assert math.isclose(p, scipy_stats.ttest_1samp(values, bound).pvalue, rel_tol=1e-6, abs_tol=1e-9)
    if min(abs(i.low - bound), abs(i.high - bound)) > 1e-6:
        assert (p < 0.05) == (not i.low <= bound <= i.high)


@given(st.lists(st.floats(0, 1), max_size=10), st.floats(0.001, 0.5))
def test_holm_takes_what_the_step_down_procedure_rejects(p, level):
    rejected, ordered = set(), sorted(range(len(p)), key=lambda i: p[i])
    for rank, i in enumerate(ordered):  # the procedure as Holm states it: stop at the first that is too large
        if (len(p) - rank) * p[i] > level:
            break
        rejected.add(i)
    assert {i for i, a in enumerate(holm(p)) if a <= level} == rejected

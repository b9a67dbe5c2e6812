"""Verdicts on intervals and cells worked out by hand."""

import math
from dataclasses import replace

import pandas as pd
import pytest

from ebreplicate.experiments.common.contrasts import pooled
from ebreplicate.experiments.common.experiment import Cell
from ebreplicate.experiments.common.finding import Finding
from ebreplicate.experiments.common.rows import by_seed
from ebreplicate.experiments.common.stats import Interval, t_interval
from ebreplicate.experiments.common.verdicts import at_least, cell_verdict, greater

T1, T2 = 12.7062, 4.3027
"""97.5 % points of Student's t with 1 and 2 degrees of freedom, from a printed table."""
NAN = math.nan


@pytest.mark.parametrize(
    ("mean", "half", "n", "bound", "verdict"),
    [
        (1.0, 0.5, 3, 0.0, "supported"),
        (0.5, 0.5, 3, 0.0, "supported"),  # the lower end may touch the bound
        (0.4, 0.5, 3, 0.0, "inconclusive"),
        (-0.4, 0.5, 3, 0.0, "inconclusive"),
        (-0.5, 0.5, 3, 0.0, "inconclusive"),  # the upper end is at the bound, not below it
        (-0.6, 0.5, 3, 0.0, "not supported"),
        (-0.6, 0.5, 3, -1.2, "supported"),
        (-1.5, 0.2, 3, -1.2, "not supported"),
        (9.0, NAN, 1, 0.0, "inconclusive"),  # one seed has no interval
        (-9.0, NAN, 1, 0.0, "inconclusive"),
        (NAN, NAN, 0, 0.0, "not run"),
    ],
)
def test_at_least_needs_the_whole_interval_on_one_side(mean, half, n, bound, verdict):
    found = at_least(Interval(mean, half, n), bound, "difference")
    assert (found.verdict, found.n) == (verdict, n)
    assert math.isnan(found.p) == (n < 3)


def test_two_seeds_have_no_p_value():
    assert math.isnan(at_least(t_interval([1.0, 2.0]), 0.0, "difference").p)


@pytest.mark.parametrize(
    ("mean", "half", "verdict"),
    [
        (0.6, 0.5, "supported"),
        (0.5, 0.5, "inconclusive"),  # greater than zero, not equal to it
        (0.0, 0.0, "inconclusive"),
        (-0.6, 0.5, "not supported"),
    ],
)
def test_greater_needs_more_than_zero(mean, half, verdict):
    assert greater(Interval(mean, half, 2), "difference").verdict == verdict


def test_a_findings_sentence_is_made_of_its_numbers():
    # t = 1.5 / (4.3027 / 4.3027) with 2 degrees of freedom, of which the tail has a closed form.
    p = 1 - 1.5 / math.sqrt(2 + 1.5**2)
    found = at_least(Interval(-1.0, T2, 3, series=12), 0.5, "early minus late")
    assert found.sentence == f"early minus late: -1.00 +- 4.30 pp (3 seeds, over 12 series; p = {p:.3g})"
    assert (found.difference, found.bound, found.unit) == (Interval(-1.0, T2, 3), 0.5, "pp")
    assert found.p == pytest.approx(p, abs=1e-4)
    found = greater(Interval(2.0, NAN, 1), "fall", unit="epochs")
    assert found.sentence == "fall: +2.00 epochs (1 seed, no interval)"
    found = greater(Interval(2.0, 9.0, 2), "fall", unit="epochs")
    assert found.sentence == "fall: +2.00 epochs (2 seeds, no interval)"
    found = found.but("one run diverged").but("of three", "inconclusive")
    assert (found.verdict, found.difference) == ("inconclusive", Interval(2.0, 9.0, 2))
    assert found.sentence == "fall: +2.00 epochs (2 seeds, no interval); one run diverged; of three"
    nothing = at_least(Interval(NAN, NAN, 0), 0.0, "early minus late")
    assert repr(nothing) == repr(Finding("not run"))  # nan equals nothing, not even itself from Python 3.13 on
    assert Finding("not run", remarks=("a remark on nothing",)).sentence == ""


def test_pooling_averages_series_within_a_seed_first():
    # Seed means 2, 5, 8: standard deviation 3. Pooled as six values it would be 3.63 and the interval far narrower.
    i = pooled({"a": {0: 1.0, 1: 4.0, 2: 10.0}, "b": {0: 3.0, 1: 6.0, 2: 6.0}})
    assert (i.mean, i.n, i.series) == (5.0, 3, 2)
    assert i.half == pytest.approx(T2 * 3 / math.sqrt(3), rel=1e-4)


def test_pooling_leaves_out_series_that_lack_a_seed():
    i = pooled({"a": {0: 1.0, 1: 3.0}, "b": {0: 3.0, 1: 5.0}, "late": {0: 100.0}})
    assert (i.mean, i.n, i.series) == (3.0, 2, 2)
    assert i.half == pytest.approx(T1 * math.sqrt(2) / math.sqrt(2), rel=1e-4)


def test_pooling_never_mixes_seeds_of_different_series():
    i = pooled({"a": {0: 1.0}, "b": {1: 9.0}, "c": {1: 11.0}})
    assert (i.mean, i.n, i.series) == (10.0, 1, 2)
    assert pooled({}).n == 0


def cell(published, mean, half, n, exact=False):
    return Cell("c", published, Interval(mean, half, n), "%", "source", margin=1.0, exact=exact)


@pytest.mark.parametrize(
    ("given", "comparable", "verdict"),
    [
        (cell(93.0, 93.9, 0.1, 3), True, "agrees"),
        (cell(93.0, 92.0, 0.1, 3), True, "agrees"),  # a difference equal to the tolerance is within it
        (cell(93.0, 93.9, NAN, 1), True, "too few seeds"),  # one run says nothing about spread
        (cell(93.0, 95.0, 0.5, 3), True, "differs"),
        (cell(93.0, 91.0, 0.5, 3), True, "differs"),
        (cell(93.0, 94.8, 0.95, 3), True, "agrees"),  # one printed run: 0.95 sqrt(1 + 3) = 1.9 is reached by chance
        (cell(93.0, 95.0, 1.1, 3), True, "too imprecise to say"),  # 2.2 is more than twice the margin
        (cell(93.0, 95.3, 1.1, 3), True, "differs"),
        (cell(93.0, 93.0, 0.1, 3), False, "not comparable at this scale"),
        (cell(302.0, 302.4, NAN, 1, exact=True), False, "agrees"),
        (cell(302.0, 304.0, NAN, 1, exact=True), False, "differs"),
        (cell(302.0, NAN, NAN, 0, exact=True), False, "not run"),
        (cell(NAN, 93.0, 0.1, 3), True, "no published value"),
        (cell(NAN, 93.0, 0.1, 3), False, "no published value"),
        (cell(93.0, NAN, NAN, 0), True, "not run"),
        (cell(NAN, NAN, NAN, 0), True, "not run"),
        (cell(93.0, 93.9, 0.1, 2), True, "agrees"),  # two seeds have a scatter
        (replace(cell(93.0, 93.0, 0.1, 3), context=True), True, "context, not comparable"),
        (replace(cell(93.0, 93.0, 0.1, 3), everywhere=True), False, "agrees"),
        # A whole table: 1.96 standard errors of 0.51 are just less than 1, those of 0.511 just more.
        (replace(cell(93.0, 93.0, 0.1, 3), error=0.51), True, "agrees"),
        (replace(cell(93.0, 93.0, 0.1, 3), error=0.511), True, "too imprecise to say"),
        (replace(cell(93.0, 91.0, 0.1, 3), error=0.51), True, "differs"),
        (replace(cell(93.0, 95.0, 0.1, 3), error=0.511), True, "too imprecise to say"),
    ],
)
def test_cell_verdict(given, comparable, verdict):
    assert cell_verdict(given, comparable) == verdict


TABLE = pd.DataFrame(
    [
        ("vgg16", 0.3, "20", 0, 90.0, 80.0),
        ("vgg16", 3 * 0.1, "20", 1, 91.0, 81.0),
        ("vgg16", 0.3, "20", 2, NAN, 82.0),
        ("vgg16", 0.3, "40", 0, 92.0, 83.0),
        ("vgg16", 0.5, "20", 0, 93.0, 84.0),
        ("preresnet101", 0.3, "20", 0, 94.0, 85.0),
        ("vgg16", NAN, "dense", 0, 95.0, 86.0),
    ],
    columns=["model", "ratio", "draw", "seed", "last_accuracy", "best_accuracy"],
)


def test_by_seed_filters_on_every_name_and_leaves_out_what_has_no_value():
    where = {"model": "vgg16", "ratio": 0.3, "draw": "20"}
    assert by_seed(TABLE, **where) == {0: 90.0, 1: 91.0}
    assert by_seed(TABLE, "best_accuracy", **where) == {0: 80.0, 1: 81.0, 2: 82.0}
    assert by_seed(TABLE, model="vgg16", draw="dense") == {0: 95.0}
    assert by_seed(TABLE, model="vgg16", ratio=0.7) == {}


def test_two_seeds_that_agree_by_luck_have_no_interval_of_nothing():
    # Means of both seeds 0. Interaction of [[3, -1], [-3, 1]]: series means 1, -1, so rest +-2, mean square 16 / 1;
    # t(0.975, 1 degree) = 12.706, of 4 values: 12.706 x sqrt(16 / 4) = 25.41.
    difference = pooled({"a": {0: 3.0, 1: -1.0}, "b": {0: -3.0, 1: 1.0}})
    assert (difference.mean, difference.n, difference.series) == (0.0, 2, 2)
    assert difference.half == pytest.approx(25.412, abs=1e-3)


def test_series_that_move_together_have_the_interval_over_seeds():
    difference = pooled({"a": {0: 1.0, 1: 3.0}, "b": {0: 11.0, 1: 13.0}})  # no interaction
    assert difference.half == pytest.approx(t_interval([6.0, 8.0]).half)
    alone = pooled({"a": {0: 1.0, 1: 3.0}})
    assert alone.half == pytest.approx(t_interval([1.0, 3.0]).half)

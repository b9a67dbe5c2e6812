"""The rules of docs/statistics.md: the interval by a second implementation and by simulation, words, families."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t, ttest_1samp

from ebreplicate.experiments.common.experiment import ACCURACY, COST, SUPPORTED, Claim
from ebreplicate.experiments.common.family import Judged, diverged, judge
from ebreplicate.experiments.common.finding import Finding
from ebreplicate.experiments.common.judgement import (
    BETTER,
    NO_WORSE,
    Rule,
    gated,
    points_to,
    settled,
    verdict,
)
from ebreplicate.experiments.common.per_image import columns
from ebreplicate.experiments.common.per_image import contrast as stored
from ebreplicate.experiments.common.stats import Contrast, Interval, holm, image_variance, t_interval
from ebreplicate.experiments.common.verdicts import at_least

NI, SUP = Rule(NO_WORSE, 1.0), Rule(BETTER, 1.0)


def by_the_page(d):
    """Mean, half-width and p-value against 0 of differences d (seeds, images), as docs/statistics.md writes it."""
    n, images = d.shape
    means = d.mean(1)
    a = means.var(ddof=1) / n
    b = max(0.0, d.mean(0).var(ddof=1) - d.var(0, ddof=1).mean() / n) / images
    f = (n - 1) * (1 + b / a) ** 2 if a else n - 1
    half = max(t.ppf(0.975, n - 1) * math.sqrt(a), t.ppf(0.975, f) * math.sqrt(a + b))
    p = max(2 * t.sf(abs(means.mean()) / math.sqrt(v), k) for v, k in ((a, n - 1), (a + b, f)))
    return means.mean(), half, p


def contrast(d):
    """The same differences as the package takes them: means, and mean products of seeds."""
    products, means = d @ d.T / d.shape[1], d.mean(1)
    return Contrast(dict(enumerate(means)), image_variance(products.tolist(), means.tolist(), d.shape[1]))


@pytest.mark.parametrize("n", [3, 5, 8])
@pytest.mark.parametrize("cells", [1, 4])
def test_the_interval_is_that_of_the_page(n, cells):
    rng = np.random.default_rng(n)
    d = 100 * (rng.integers(-1, 2, (cells, n, 400)) + rng.normal(0, 0.1, (n, 1))).mean(0)
    mean, half, p = by_the_page(d)
    found = contrast(d)
    assert (found.mean, found.interval().half, found.p()) == pytest.approx((mean, half, p))


@pytest.mark.parametrize("without", [(), (7,), (2, 5)])
def test_the_interval_over_stored_products_is_that_of_the_images_of_the_seeds_that_are_left(without):
    d = 100.0 * np.random.default_rng(3).integers(-1, 2, (5, 60)) + np.linspace(-40, 40, 60)
    seeds = [2, 3, 5, 7, 11]
    rows = pd.DataFrame([{"seed": s, **row} for s, row in columns(dict(zip(seeds, d, strict=True))).items()])
    found = stored(rows.iloc[[3, 0, 4, 1, 2]], without)
    left = [s not in without for s in seeds]
    assert [*found.differences] == [s for s in seeds if s not in without]
    assert (found.mean, found.interval().half, found.p()) == pytest.approx(by_the_page(d[left]))


def test_images_that_all_seeds_get_wrong_alike_widen_the_interval_and_seeds_alone_narrow_nothing():
    one = np.array([100.0] * 10 + [0.0] * 90)
    same = np.tile(one, (4, 1))  # no scatter between seeds at all
    assert contrast(same).images == pytest.approx(one.var(ddof=1) / 100)
    assert contrast(same).interval().half == pytest.approx(t.ppf(0.975, 3) * math.sqrt(one.var(ddof=1) / 100))
    noise = np.random.default_rng(0).normal(0, 50, (4, 1000))  # images independent between seeds: nothing to add
    alone = Contrast(dict(enumerate(noise.mean(1))))
    assert contrast(noise).interval().half >= alone.interval().half


def test_without_scatter_the_interval_is_a_point():
    found = Contrast({0: 2.0, 1: 2.0, 2: 2.0})
    assert found.interval() == Interval(2.0, 0.0, 3)
    assert (found.p(2.0), found.p(1.0)) == (1.0, 0.0)


def test_below_three_seeds_there_is_no_interval():
    assert math.isnan(Contrast({0: 1.0, 1: 2.0}).interval().half)
    assert math.isnan(Contrast({0: 1.0, 1: 2.0}).p())


LOGIT = {0.0: 0.0, 0.11: 0.69, 0.21: 1.43}
"""SD of an image's shift of the logit, for each SD over images of the difference of success probabilities."""


def simulated(n, interaction, rng, images=1000):
    """Differences d (n, images) of two arms whose true difference is zero over the population of images.

    Success probabilities Beta(0.53, 0.17), whose logit each arm shifts by an image's own interaction.
    """
    p = rng.beta(0.53, 0.17, images).clip(1e-9, 1 - 1e-9)
    shift = rng.normal(0, LOGIT[interaction], (2, images))
    chance = 1 / (1 + np.exp(-(np.log(p / (1 - p)) + shift)))
    right = rng.random((2, n, images)) < chance[:, None]
    return 100.0 * (right[0].astype(float) - right[1])


def test_the_simulation_is_that_of_the_page():
    """75.6 % correct; two trainings disagree on 15.2 % of images; the interaction has the SD that it is named by."""
    rng = np.random.default_rng(0)
    p = rng.beta(0.53, 0.17, 100_000)
    assert (p.mean(), (2 * p * (1 - p)).mean()) == pytest.approx((0.756, 0.152), abs=0.01)
    logit = np.log(p.clip(1e-9, 1 - 1e-9) / (1 - p.clip(1e-9, 1 - 1e-9)))
    for said, sd in LOGIT.items():
        arms = (1 / (1 + np.exp(-(logit + rng.normal(0, sd, p.size)))) for _ in range(2))
        assert (next(arms) - next(arms)).std() == pytest.approx(said, abs=0.01)


@pytest.mark.parametrize(
    ("n", "interaction", "seeds_only", "whole"),
    [(3, 0.0, 0.96, 0.96), (3, 0.21, 0.90, 0.96), (5, 0.11, 0.92, 0.95), (5, 0.21, 0.83, 0.94), (8, 0.21, 0.75, 0.95)],
)
def test_the_interval_covers_the_truth_as_often_as_the_page_says(n, interaction, seeds_only, whole):
    rng = np.random.default_rng(100 + n)
    repeats, ours, alone = 600, 0, 0
    for _ in range(repeats):
        found = contrast(simulated(n, interaction, rng))
        ours += abs(found.mean) <= found.interval().half
        alone += abs(found.mean) <= Contrast(found.differences).interval().half
    assert ours / repeats == pytest.approx(whole, abs=0.03)  # 600 repetitions: three standard errors are 0.027
    assert alone / repeats == pytest.approx(seeds_only, abs=0.05)


@pytest.mark.parametrize(
    ("test", "low", "high", "p", "word"),
    [
        (NI, -0.9, 1.4, 0.01, "supported"),
        (NI, -0.9, 1.4, 0.06, "supported alone"),
        (NI, -0.9, 0.4, 0.01, "supported, equivalent"),
        (NI, -0.9, 0.4, 0.05, "supported alone, equivalent"),
        (NI, -1.0, 0.4, 0.06, "inconclusive"),
        (NI, -2.0, -1.1, 0.01, "not supported"),
        (NI, -2.0, -1.1, 0.06, "not supported alone"),
        (NI, -2.0, -1.1, 0.05, "not supported alone"),
        (NI, -2.0, -1.0, 0.01, "inconclusive"),  # its upper end is at the bound
        (NI, -1.2, 3.0, 0.2, "inconclusive"),
        (SUP, 0.1, 4.0, 0.01, "supported"),
        (SUP, 0.1, 0.9, 0.01, "supported, below the margin"),
        (SUP, -0.2, 0.9, 0.3, "equivalent"),
        (SUP, -0.2, 1.1, 0.3, "inconclusive"),
        (SUP, -1.1, 0.2, 0.3, "inconclusive"),
        (SUP, -3.0, -0.1, 0.01, "not supported"),
        (SUP, -3.0, -0.1, 0.06, "not supported alone"),
    ],
)
def test_words(test, low, high, p, word):
    for n in (3, 5):
        assert verdict(test, Interval((low + high) / 2, (high - low) / 2, n), p) == word


def test_inconclusive_is_never_said_of_fewer_than_three_seeds():
    assert verdict(NI, Interval(0.0, math.nan, 2), math.nan) == "too few seeds"
    assert verdict(NI, Interval(0.0, math.nan, 1), math.nan) == "too few seeds"
    assert verdict(NI, Interval(math.nan, math.nan, 0), math.nan) == "not run"


def test_a_contrast_without_a_margin_is_never_within_it():
    assert verdict(Rule(BETTER, math.nan), Interval(0.0, 1.0, 5), 0.9) == "inconclusive"


@pytest.mark.parametrize(
    ("values", "bound", "word"),
    [
        ([1, 2, 3, 4, 5], 0, "for"),
        ([-1, -2, -3, -4, -5], 0, "against"),
        ([-0.5, -0.2, 0.1, 0.3, 0.2], -1.0, "for"),
        ([1, 2, -3, 4, 5], 0, "mixed"),
        ([0, 1, 2, 3, 4], 0, "mixed"),
        ([0, -1, -2, -3, -4], 0, "mixed"),
        ([1, 2, 3, 4], 0, ""),
    ],
)
def test_points_to(values, bound, word):
    assert points_to(values, bound) == word


def test_points_to_errs_as_often_as_the_page_says():
    """2 x 0.5^n with the truth at the bound: 6.25 % at n = 5, 0.8 % at n = 8."""
    for n, said in ((5, 0.0625), (8, 0.0078125)):
        sides = itertools.product((-1, 1), repeat=n)
        wrong = sum(points_to(side, 0) != "mixed" for side in sides)
        assert wrong / 2**n == said


def test_the_gate_closes_its_family():
    good, bad = Contrast({0: 5.0, 1: 6.0, 2: 7.0}), Contrast({0: -1.0, 1: 6.0, 2: 1.0})
    assert gated(SUP, good, [0.01, 0.04, 0.2]) == (True, holm([0.01, 0.04, 0.2]))
    passed, adjusted = gated(SUP, bad, [0.01, 0.04])
    assert not passed
    assert all(map(math.isnan, adjusted))


def test_a_gate_that_is_decided_against_or_below_its_own_bound_stays_closed():
    worse, below, near = (Contrast({0: m - 0.01, 1: m, 2: m + 0.01}) for m in (-5.0, -2.0, -0.5))
    assert [gated(SUP, gate, [0.01])[0] for gate in (worse, below, near)] == [False, False, False]
    assert [gated(NI, gate, [0.01])[0] for gate in (worse, below, near)] == [False, False, True]


def judged(name, rule, *values, **more):
    return Judged(name, "s", "s", "d", dict(enumerate(map(float, values))), rule, "bits", **more)


def test_claims_of_a_family_are_held_against_their_own_bounds_and_corrected_together():
    """p by scipy; Holm of four claims, one of two seeds and so untested: 4 times the least, 3 times the next."""
    first, second = [-0.5, -0.4, -0.6, -0.5, -0.45], [0.1, 0.4, 0.2, 0.35, 0.3]
    p = [ttest_1samp(first, -1.0).pvalue, ttest_1samp(second, 0.0).pvalue]
    family = [judged("a", NI, *first), judged("b", SUP, *second), judged("c", SUP, 1, 2), judged("d", SUP)]
    a, b, c, d = judge(family, "f")
    assert p[0] < p[1]
    assert [a.found.p, b.found.p] == pytest.approx(p)
    assert [a.p_holm, b.p_holm] == pytest.approx([4 * p[0], 3 * p[1]])
    assert all(math.isnan(x) for x in (c.found.p, c.p_holm, d.found.p))
    words = ["supported, equivalent", "supported, below the margin", "too few seeds", "not run"]
    assert [claim.verdict for claim in (a, b, c, d)] == words
    assert [claim.points_to for claim in (a, b, c, d)] == ["for", "for", "", ""]
    assert [claim.found.bound for claim in (a, b)] == [-1.0, 0.0]


def test_what_withholds_a_claim_opens_its_verdict_and_no_other():
    given = ((-3, -3.5, -3.2), (1, 2), ())
    found = judge([judged("a", NI, *values, withheld="one diverged") for values in given], "f")
    assert [claim.verdict for claim in found] == ["inconclusive", "too few seeds", "not run"]
    assert ["one diverged" in claim.evidence for claim in found] == [True, True, False]
    trained = pd.DataFrame({"arm": ["a", "a", "b", "c"], "status": ["ok", "diverged", "diverged", "ok"]})
    said = "1 of its trainings diverged"
    assert [diverged(trained, *arms) for arms in ("a", "ac", "c")] == [said, said, ""]


@pytest.mark.parametrize("at_bound", [True, False])
def test_the_family_wise_error_is_at_most_five_percent(at_bound):
    """All true differences at their bounds (0.050 on the page), and with a gate that is always passed (0.050)."""
    rng = np.random.default_rng(7)
    repeats, wrong = 700, 0
    for _ in range(repeats):
        gate = Contrast(dict(enumerate(rng.normal(0.0 if at_bound else 20.0, 2.0, 5))))
        others = [Contrast(dict(enumerate(rng.normal(-1.0, 0.4, 8)))) for _ in range(5)]
        passed, adjusted = gated(SUP, gate, [c.p(-1.0) for c in others])
        words = [verdict(NI, c.interval(), p) for c, p in zip(others, adjusted, strict=True)]
        false_gate = at_bound and gate.p(0.0) < 0.05
        wrong += false_gate or (passed and any(w.split(",")[0] in ("supported", "not supported") for w in words))
    assert wrong / repeats == pytest.approx(0.05, abs=0.025)  # three standard errors


@pytest.mark.parametrize(
    ("mean", "bound", "said"),
    [
        (-1.0, -1.0, "the whole interval is below 0"),  # inconclusive
        (-0.2, -1.0, ""),  # supported, and the interval contains 0
        (-0.7, -1.5, "the whole interval is below 0"),  # supported: no worse than 1.5 less, and less
        (0.7, -1.0, "the whole interval is above 0"),
        (0.7, 0.0, ""),  # supported above 0 says it
        (-3.0, -1.0, ""),  # not supported below -1 says it
        (0.7, 2.0, "the whole interval is above 0"),  # not supported: more, but not by 2
    ],
)
@pytest.mark.parametrize("comparable", [True, False])
def test_a_claim_says_that_its_interval_excludes_zero_unless_the_verdict_does(mean, bound, said, comparable):
    """Half-width 0.5, five seeds."""
    found = at_least(Interval(mean, 0.5, 5), bound, "d")
    (claim,) = settled([Claim("a", "s", "s", "r", found, family="f")], comparable)
    assert claim.found.remarks == ((said,) if said else ())


def test_claims_of_one_item_are_corrected_together_at_the_papers_scale():
    """p of 0.001, 0.03 and 0.04: Holm gives 0.003, 0.06 and 0.06, so two are supported alone.

    A cost that is no test is no member; a claim about accuracy that has not run is: 0.004, 0.09 and 0.09.
    """

    def claim(name, i, kind=ACCURACY):
        return Claim(name, "s", "s", "r", at_least(i, 0.0, "d"), kind=kind)

    halves = [t.ppf(0.975, 9) / t.ppf(1 - p / 2, 9) for p in (0.001, 0.03, 0.04)]
    run = [claim(name, Interval(1.0, half, 10)) for name, half in zip("abc", halves, strict=True)]
    cost = claim("d", Interval(math.nan, math.nan, 0), COST)
    found = settled([*run, cost], comparable=True)[:3]
    assert [c.p_holm for c in found] == pytest.approx([0.003, 0.06, 0.06], rel=0.01)
    assert [c.verdict for c in found] == [SUPPORTED, "supported alone", "supported alone"]
    waiting = settled([*run, replace(cost, kind=ACCURACY)], comparable=True)[:3]
    assert [c.p_holm for c in waiting] == pytest.approx([0.004, 0.09, 0.09], rel=0.01)


def test_a_family_keeps_its_own_correction_and_is_no_part_of_its_items():
    """Holm of two: a cost with a p-value is a member, the family's claim is none; 2 x 0.02 and 0.03, which is less."""

    def claim(name, p, **more):
        return Claim(name, "s", "s", "r", Finding(SUPPORTED, 5, Interval(1.0, 0.5, 5), 0.0, p=p), **more)

    found = settled([claim("a", 0.02), claim("b", 0.03, kind=COST), claim("c", 0.04, family="f", p_holm=0.2)], True)
    assert [(c.p_holm, c.verdict) for c in found] == [(0.04, "supported"), (0.04, "supported"), (0.2, "supported")]
    (at_level,) = settled([claim("a", 0.05)], True)
    assert at_level.verdict == "supported alone"
    against = claim("a", 0.06)
    (alone,) = settled([replace(against, found=replace(against.found, verdict="not supported"))], True)
    assert alone.verdict == "not supported alone"


@pytest.mark.parametrize(
    ("name", "n", "verdict", "reduced"),
    [
        ("any-claim", 3, "supported", "exploratory"),
        ("any-claim", 2, "too few seeds", "too few seeds"),
        ("any-claim", 0, "not run", "not run"),
        ("match-dense", 3, "supported", None),  # the plan has one in its place
        ("eb-train-costs-less", 3, "no verdict", "no verdict"),
        ("eb-train-costs-less", 0, "not run", "not run"),
        ("table2-saves-energy", 3, "supported", "supported"),  # a cost
    ],
)
def test_what_the_scale_and_the_name_make_of_a_verdict(name, n, verdict, reduced):
    made = Claim(name, "s", "s", "r", at_least(Interval(1.0, 0.5, n), 0.0, "d"))
    assert [c.verdict for c in settled([made], comparable=True)] == [verdict]
    assert [c.verdict for c in settled([made], comparable=False)] == ([] if reduced is None else [reduced])


def test_a_count_needs_no_three_seeds():
    counted = Claim("a", "s", "s", "r", Finding(SUPPORTED, 2, counted="2 of 2"))
    assert [c.verdict for c in settled([counted], comparable=True)] == ["supported"]


@pytest.mark.parametrize(("mean", "half", "n"), [(0.5, 0.5, 5), (0.6, 0.5, 3), (-0.6, 0.5, 3)])
def test_an_interval_that_ends_at_zero_does_not_exclude_it(mean, half, n):
    open_one = Claim("a", "s", "s", "r", Finding("inconclusive", n, Interval(mean, half, n), 0.7))
    (claim,) = settled([open_one], comparable=True)
    assert ("whole interval" in claim.evidence) == (abs(mean) > half)


@pytest.mark.parametrize(
    ("values", "side"),
    [((1, 2, -0.5, 1, 2), "for"), ((-2, -3, -2, -4, -2), "against"), ((-2, 3, 1, 1, 1), "mixed"), ((1, 2, 3), "")],
)
def test_a_claim_points_where_all_of_its_seeds_lie(values, side):
    """At the bound -1, from five seeds on."""
    judged = at_least(t_interval(values), -1.0, "early minus late")
    (claim,) = settled([Claim("gebt-early-edges", "As good.", "paper", "rule", judged)], comparable=True)
    assert claim.points_to == side
    said = replace(claim, points_to="mixed")
    assert settled([said], comparable=True)[0].points_to == "mixed"  # what its item says of it stays


@pytest.mark.parametrize("seeds", [{0: 1.5, 3: -0.5}, {0: 1.0, 1: 2.0, 5: 4.0}])
def test_a_contrast_tells_the_difference_of_every_seed(seeds):
    assert Contrast(seeds, images=0.2).interval().values == tuple(seeds.values())

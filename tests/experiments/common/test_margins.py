"""The margin, and agreement with a printed value: docs/statistics.md, by hand, by scipy and by simulation."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t, ttest_ind_from_stats

from ebreplicate.experiments.common.experiment import Cell
from ebreplicate.experiments.common.margins import Tolerance, margin_of, reach, tolerance
from ebreplicate.experiments.common.rows import interval
from ebreplicate.experiments.common.stats import Interval, t_interval
from ebreplicate.experiments.common.verdicts import cell_verdict, whole
from ebreplicate.specs.scale import load_scale


def word_of(ours, printed, margin, runs):
    """Verdict of a cell at the paper's own scale."""
    return cell_verdict(Cell("c", printed, ours, "%", "source", margin=margin, runs=runs), comparable=True)


@pytest.mark.parametrize(
    ("mean", "half", "printed", "runs", "word"),
    [
        (97.0, 0.05, 97.05, 5, "agrees"),  # |d| 0.05 <= margin 0.1, half 0.07
        (97.0, 0.05, 97.3, 5, "differs"),  # beyond both
        (97.0, 0.30, 97.3, 5, "too imprecise to say"),  # half 0.42 > 0.2
        (97.0, 0.13, 97.15, 5, "agrees"),  # within half 0.18 <= 0.2, beyond the margin
    ],
)
def test_agreement_with_a_printed_value(mean, half, printed, runs, word):
    assert word_of(Interval(mean, half, 5), printed, 0.1, runs) == word
    assert word_of(Interval(mean, math.nan, 1), printed, 0.1, runs) == "too few seeds"


def test_tolerance_beside_one_published_run():
    """t(4) = 2.776: s = 0.0354 and n = 5 reach 2.776 s sqrt(1.2) + 0.005 from the mean."""
    values = (1.45, 1.5, 1.4, 1.45, 1.45)
    found = tolerance(t_interval(values), 0.1, reading=0.005)
    assert found.value == pytest.approx(2.776 * 0.035355 * math.sqrt(1.2) + 0.005, abs=1e-4)
    assert not found.imprecise
    assert tolerance(t_interval([10 * v for v in values]), 0.1).imprecise
    assert tolerance(Interval(0.0, 1.0, 3), 1.0) == Tolerance(2.0, imprecise=False)  # twice the margin is not more
    assert tolerance(t_interval(values), 0.2, reading=0.005) == Tolerance(0.2, imprecise=False)
    assert tolerance(t_interval([1.4]), 0.1, reading=0.005) == Tolerance(0.1, imprecise=True)


def test_with_a_printed_spread_what_is_just_reached_has_welchs_p_of_five_percent():
    values = (1.45, 1.5, 1.4, 1.45, 1.45)
    far = reach(t_interval(values), runs=3, spread=0.1)
    ours = np.mean(values), np.std(values, ddof=1), 5
    assert ttest_ind_from_stats(*ours, ours[0] + far, 0.1, 3, equal_var=False).pvalue == pytest.approx(0.05)
    assert reach(t_interval(values), runs=3, reading=0.005, spread=0.1) == pytest.approx(far + 0.005)
    assert reach(t_interval([1.0, 1.0]), runs=3, spread=0.0) == 0.0
    assert math.isnan(reach(t_interval([1.0]), runs=3, spread=0.1))


def test_the_margin_is_that_of_the_scale_and_dataset():
    paper, quick = load_scale("paper"), load_scale("quick")
    assert [margin_of(paper, d) for d in ("cifar10", "cifar100", "mnist", "graphs", "imagenet")] == [0.3, 1, 0.1, 1, 1]
    assert [margin_of(quick, d) for d in ("cifar10", "cifar100", "mnist", "graphs")] == [1.0, 1.0, 0.1, 1.0]
    assert margin_of(paper, "cifar10", "cifar100") == pytest.approx(0.65)  # a claim over both


def test_agreement_is_found_as_often_as_the_page_says():
    """GEBT: s 0.85, n = 10, m = 3, margin 1.0: agrees .96, .66, .12, .00 at 0, 1, 2 and 3 points; LeNet .89 at 0."""
    rng = np.random.default_rng(3)

    def share(s, n, m, margin, off, repeats=1500):
        count = 0
        for _ in range(repeats):
            ours = rng.normal(0.0, s, n)
            half = t.ppf(0.975, n - 1) * ours.std(ddof=1) / math.sqrt(n)
            printed = off + rng.normal(0.0, s, m).mean()
            count += word_of(Interval(ours.mean(), half, n), printed, margin, m) == "agrees"
        return count / repeats

    found = [share(0.85, 10, 3, 1.0, off) for off in (0, 1, 2, 3)]
    assert found == pytest.approx([0.96, 0.66, 0.12, 0.0], abs=0.035)
    assert share(0.08, 5, 5, 0.1, 0.0) == pytest.approx(0.89, abs=0.03)


def cells_of(differences, published=(80.0, 70.0, 60.0), runs=3):
    """Cells with a printed value each, over seeds 0, 1, ...: ours is printed plus the differences of the cell."""
    return [
        Cell("c", v, interval({s: v + d for s, d in enumerate(row)}), "%", "source", margin=1.0, runs=runs)
        for v, row in zip(published, differences, strict=True)
    ]


def test_a_whole_figure_is_the_mean_of_its_cells_within_each_seed():
    """Differences by hand: cells (0, 1, 2), (1, 1, 1), (2, 1, 0) have the mean 1 in each of three seeds.

    Our mean does not scatter between seeds; the printed ones do, s = 1, 0 and 1 of three runs: SE^2 = (1 + 1) / 3 / 9.
    """
    (found,) = whole("figure", "paper", cells_of([(0, 1, 2), (1, 1, 1), (2, 1, 0)]))
    assert (found.published, found.measured.n, found.cells) == (70.0, 3, 3)
    assert found.measured.mean == pytest.approx(71.0)
    assert found.error == pytest.approx(math.sqrt(2 / 27))
    assert found.note == "0 of 3 cells differ, by chance at most 0.15"
    assert cell_verdict(found, comparable=True) == "too imprecise to say"  # 1 +- 0.53 is on neither side of 1
    (near,) = whole("figure", "paper", cells_of([(-1, 0, 1), (0, 0, 0), (1, 0, -1)]))
    assert cell_verdict(near, comparable=True) == "agrees"
    (ours,) = whole("figure", "paper", cells_of([(-1, 0, 1)] * 2, (80.0, 70.0)))  # ours scatter as well: 1 / 3 + 2 / 12
    assert ours.error == pytest.approx(math.sqrt(1 / 3 + 1 / 6))
    (far,) = whole("figure", "paper", cells_of([(4, 5, 6)] * 3))
    assert (cell_verdict(far, comparable=True), far.note[:6]) == ("differs", "3 of 3")


def test_a_whole_figure_needs_three_seeds_of_all_its_printed_cells():
    cells = cells_of([(0, 0, 0), (0, 0, 0), (0, 0)])
    (lacking,) = whole("figure", "paper", cells)
    assert cell_verdict(lacking, comparable=True) == "not run"
    unprinted = replace(cells[2], published=math.nan)
    (found,) = whole("figure", "paper", [*cells[:2], unprinted, replace(cells[2], context=True)])
    assert (found.published, found.cells, cell_verdict(found, comparable=True)) == (75.0, 2, "agrees")
    assert whole("figure", "paper", [unprinted]) == []

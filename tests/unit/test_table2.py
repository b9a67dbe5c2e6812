"""Table 2 and accuracy against FLOPs, from records with chosen outcomes: rows, costs, verdicts."""

import math
from dataclasses import replace

import pytest
from synthetic import COMPARABLE, Outcome, claims, search_of, tabulated, write

from ebreplicate.errors import UserError
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.accuracy_vs_flops import front, points
from ebreplicate.experiments.detector_study import eb_train
from ebreplicate.experiments.table2 import printed
from ebreplicate.experiments.table2_methods import CONTROLS, DENSE, METHODS, PAPER, Block, Grid, rows
from ebreplicate.experiments.verdicts import cell_verdict
from ebreplicate.plan.fields import from_dict
from ebreplicate.plan.spec import Search, Sparse, key
from ebreplicate.records import Store
from ebreplicate.stats import Interval

PAPERLIKE = replace(COMPARABLE, name="paper")
"""The tiny networks with the paper's whole grid, two seeds."""
FLOPS = {"LT (one-shot)": 200.0, "SNIP": 100.0, "NS": 150.0, "ThiNet": 140.0, "EB Train": 60.0, "EB Train (LF)": 61.0}


def named(scale):
    """Method of every run by key; a run is one method's."""
    return {key(spec): name for _, _, name, _, _, spec in rows(scale)}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Tables of an item from accuracies by method (default 50, plus the seed) and FLOPs by method."""

    def make(item="table2", flops=None, **accuracy):
        names = named(PAPERLIKE)
        root = tmp_path_factory.mktemp("results")

        def outcome(spec):
            seed = spec.seed if isinstance(spec, (Search, Sparse)) else search_of(spec).seed
            name = names.get(key(spec), "")
            level = accuracy.get(name, 50.0)
            return Outcome(None if level is None else level + seed, flops=(flops or FLOPS).get(name, 100.0) * 1e13)

        write(Store(root), [spec for *_, spec in rows(PAPERLIKE)], outcome)
        return tabulated(item, PAPERLIKE, root)

    return make


@pytest.fixture(scope="module")
def even(tables):
    """Every method equally accurate."""
    return tables()


def test_every_method_has_a_row_in_every_block_ratio_and_seed(even):
    runs = even[even.group != "derived"]
    assert len(runs) == runs.key.nunique() == 2 * (4 + 12 * len(METHODS))
    assert set(runs.status) == {"ok"}
    assert set(even[even.group == "control"].method) == set(CONTROLS)
    assert even[even.method == DENSE].ratio.unique().tolist() == [0]


def test_eb_train_is_the_detector_studys_run():
    shared = {key(eb_train(PAPERLIKE, "cifar10", "vgg16", 0.3, 0))}
    mine = {
        key(s)
        for d, m, name, r, seed, s in rows(PAPERLIKE)
        if (d, m, name, r, seed) == ("cifar10", "vgg16", "EB Train", 0.3, 0)
    }
    assert mine == shared


def test_published_numbers_stand_beside_ours_and_blanks_stay_blank(even):
    rows_ = even[(even.dataset == "cifar10") & (even.ratio == 0.3) & (even.seed == 0)].set_index(["model", "method"])
    eb = rows_.loc["vgg16", "EB Train"]
    assert (eb.published_accuracy, eb.published_flops_units, eb.published_energy_kj) == (93.39, 253, 256.4)
    assert eb.training_units == pytest.approx(60e13 / 5e13)
    assert rows_.loc["preresnet101"].published_accuracy.isna().all()
    assert rows_.loc["vgg16"].published_accuracy[list(CONTROLS)].isna().all()


def test_costs_are_set_against_the_unpruned_network(even):
    lt = even[(even.method == "LT (one-shot)") & (even.seed == 1)]
    assert (lt.flops_ratio == 2.0).all()
    assert even.energy_measured_kj.isna().all()  # the records measured none


def test_snip_is_charged_as_dense_training(tables, tmp_path):
    spec = next(s for *_, s in rows(PAPERLIKE) if isinstance(s, Sparse))
    record = {"status": "ok", "metrics": {"epochs": 8, "last_accuracy": 1.0, "best_accuracy": 2.0}, "provenance": {}}
    forward = {"authors": 10.0, "torch": 9.0}
    record["cost"] = {"forward_flops": forward, "training_flops": {"authors": 1.0}}  # with only non-zero products
    store = Store(tmp_path)
    store.write(spec, record)
    table = tabulated("table2", PAPERLIKE, tmp_path)
    assert table[table.key == key(spec)].training_flops.tolist()[0] == 3 * 10.0 * 60 * 8


def test_improvement_is_recomputed_as_the_paper_does(tables):
    table = tables(**{"EB Train": 60.0, "NS": 57.0, "SNIP": 58.5, "ThiNet": 50.0, "LT (one-shot)": 40.0})
    assert table.accuracy_improvement.dropna().unique() == pytest.approx([1.5])
    numbers = printed("cifar10", "vgg16")  # and of the paper's own cells
    best = max(numbers[m, 0.3, "retrain_top1"] for m in ("LT (one-shot)", "SNIP", "NS", "ThiNet"))
    assert numbers["EB Train", 0.3, "retrain_top1"] - best == pytest.approx(
        numbers["EB Train Improv.", 0.3, "acc_improvement"]
    )


def test_equal_accuracies_support_at_least_and_not_greater(even):
    verdicts = {name: c.verdict for name, c in claims("table2", PAPERLIKE, even).items()}
    at_least = {"ns", "snip", "thinet", "lottery", "reinit", "scratch-b", "low-search", "low-both"}
    assert {verdicts[f"table2-{n}"] for n in at_least} == {"supported"}
    greater = {"inheriting-helps", "channels-matter", "budget-helps"}
    assert {verdicts[f"table2-{n}"] for n in greater} == {"inconclusive"}
    assert verdicts["table2-costs-less"] == "supported"


@pytest.mark.parametrize(
    ("accuracy", "name", "verdict"),
    [
        ({"NS": 90.0}, "table2-ns", "not supported"),
        ({"SNIP": 51.0}, "table2-snip", "supported"),  # within two standard errors of 200 images
        ({"Random channels": 40.0}, "table2-channels-matter", "supported"),
        ({"Re-init, short schedule": 60.0}, "table2-inheriting-helps", "not supported"),
        ({"Scratch-B": 70.0}, "table2-scratch-b", "not supported"),
        ({"Scratch-B": 70.0}, "table2-budget-helps", "supported"),
        ({"EB Train (LL)": 20.0}, "table2-low-both", "not supported"),
    ],
)
def test_verdicts_follow_the_accuracies(tables, accuracy, name, verdict):
    claim = claims("table2", PAPERLIKE, tables(**accuracy))[name]
    assert (claim.verdict, claim.n) == (verdict, 2)


def test_one_dearer_comparison_is_enough_to_fail(tables):
    claim = claims("table2", PAPERLIKE, tables(flops={**FLOPS, "ThiNet": 59.0}))["table2-costs-less"]
    assert claim.verdict == "not supported"
    assert "ThiNet" in claim.evidence


def test_what_has_not_run_is_judged_not_run(tables):
    table = tables(**{"EB Train": 50.0})
    seen = claims("table2", PAPERLIKE, table[table.method != "Scratch-B"])
    assert {seen[f"table2-{n}"].verdict for n in ("scratch-b", "budget-helps")} == {"not run"}


def test_cells_are_judged_with_the_stated_tolerances(even):
    cells = {c.cell: c for c in EXPERIMENTS.load("table2").cells(PAPERLIKE, even)}
    assert len(cells) == 2 * 3 * (8 * 3 + 3) + 2 * 3 * 8 * 2
    flops = cells["VGG16 CIFAR-10: ThiNet, ratio 0.3, training FLOPs"]
    assert (flops.published, flops.tolerance, flops.measured.mean) == (451, 1.0, pytest.approx(28.0))
    assert cell_verdict(flops, comparable=True) == "differs"
    assert cell_verdict(flops, comparable=False) == "not comparable at this scale"
    assert math.isnan(cells["PreResNet101 CIFAR-10: NS, ratio 0.5, accuracy"].published)


def test_a_grid_names_what_it_does_not_know():
    with pytest.raises(UserError, match=r"Block\.methods: unknown name 'Thinet'; did you mean 'ThiNet'"):
        Block((0.3,), ("Thinet",))
    empty = {"ratios": []}
    blocks = {f"{m}_{d}": empty for m in ("vgg16", "preresnet101") for d in ("cifar10", "cifar100")}
    with pytest.raises(UserError, match=r"Grid\.vgg16_cifar100\.ratios: the paper has \[0\.1, 0\.3, 0\.5\], got 0\.7"):
        from_dict(Grid, {"seeds": 1, **blocks, "vgg16_cifar100": {"ratios": [0.7]}})


# Accuracy against FLOPs


def point(cost, accuracy, name="NS"):
    return (name, 0.5, cost, Interval(accuracy, 0.1, 2))


def test_the_front_by_hand():
    a, b, c, d = point(1, 50), point(2, 49), point(3, 60), point(3, 55)
    assert front([d, c, b, a]) == [a, c]
    assert front([point(1, 50), point(1, 50)]) == [point(1, 50)]
    assert front([]) == []


def test_points_are_means_over_seeds_with_cost_and_accuracy(even):
    found = {(p[0], p[1]): p for p in points(even, "cifar10", "vgg16")}
    assert len(found) == 1 + 3 * (len(PAPER) + len(CONTROLS) - 1)  # SNIP's synthetic records have no forward FLOPs
    assert found["NS", 0.3][2:] == (150e13, Interval(50.5, pytest.approx(0.5 * 12.7062, rel=1e-4), 2))


@pytest.mark.parametrize(
    ("accuracy", "on_front", "dominates"),
    [({}, "supported", "supported"), ({"NS": 90.0}, "supported", "not supported")],
)
def test_verdicts_on_the_front(tables, accuracy, on_front, dominates):
    table = tables("accuracy_vs_flops", **accuracy)
    seen = claims("accuracy_vs_flops", PAPERLIKE, table)
    assert seen["pareto-front"].verdict == on_front
    assert seen["pareto-dominates"].verdict == dominates


def test_eb_train_off_the_front_is_said(tables):
    table = tables("accuracy_vs_flops", flops={**FLOPS, "NS": 10.0}, NS=80.0)
    assert claims("accuracy_vs_flops", PAPERLIKE, table)["pareto-front"].verdict == "not supported"


@pytest.mark.parametrize("item", ["table2", "accuracy_vs_flops"])
def test_figures_are_drawn_from_whole_and_from_empty_tables(item, tables):
    for table in (tables(item), EXPERIMENTS.load(item).table(PAPERLIKE, Store("/nonexistent"))):
        figure = EXPERIMENTS.load(item).figure(PAPERLIKE, table)
        assert len(figure.axes) == 4

"""Table 2 and accuracy against FLOPs, from records with chosen outcomes: rows, costs, verdicts."""

import math
from dataclasses import replace

import pandas as pd
import pytest
from synthetic import COMPARABLE, Outcome, claims, search_of, tabulated, write

from ebreplicate.errors import UserError
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.accuracy_vs_flops.pareto import front, points
from ebreplicate.experiments.common.stats import Interval
from ebreplicate.experiments.common.verdicts import cell_verdict
from ebreplicate.experiments.detector.runs import eb_train
from ebreplicate.experiments.fig1.runs import RATIOS
from ebreplicate.experiments.table2.cells import printed
from ebreplicate.experiments.table2.runs import (
    BASELINES,
    BLOCKS,
    CONTROLS,
    DENSE,
    IMPROVEMENT,
    METHODS,
    Block,
    Grid,
    rows,
)
from ebreplicate.specs.fields import from_dict
from ebreplicate.specs.scale import load_scale
from ebreplicate.specs.spec import Search, Sparse, key
from ebreplicate.store.store import Store

GRIDS = {
    "table2": {
        "seeds": 2,
        "vgg16_cifar10": {"ratios": [0.7]},
        "vgg16_cifar100": {"ratios": [0.3], "methods": ["NS", "EB Train (re-init)", "EB Train"]},
        "preresnet101_cifar10": {"ratios": []},
        "preresnet101_cifar100": {"ratios": []},
    },
    "accuracy_vs_flops": {
        "seeds": 1,
        "sparse": [],
        "lottery": ["vgg16_cifar10"],
        "lottery_ratio": 0.5,
        "lottery_rounds": 2,
    },
}


SCALE = replace(COMPARABLE, name="quick", items=GRIDS)
"""The tiny networks: every method at 70 % on CIFAR-10, three at 30 % on CIFAR-100; two seeds; sparse as quick's."""
FLOPS = {"LT (one-shot)": 200.0, "SNIP": 100.0, "NS": 150.0, "ThiNet": 140.0, "EB Train": 60.0, "EB Train (LF)": 61.0}


def named(scale):
    """Method of every run by key; a run is one method's."""
    return {key(spec): name for _, _, name, _, _, spec in rows(scale)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Both items' tables from records: every method at 50 % plus the seed, with chosen training FLOPs."""
    names, root = named(SCALE), tmp_path_factory.mktemp("results")

    def outcome(spec):
        seed = spec.seed if isinstance(spec, (Search, Sparse)) else search_of(spec).seed
        return Outcome(50.0 + seed, flops=FLOPS.get(names.get(key(spec), ""), 100.0) * 1e13)

    write(Store(root), [spec for *_, spec in rows(SCALE)], outcome)
    forward = {"authors": 100e13 / (3 * 60 * 8), "torch": 1.0}  # SNIP is charged as dense training, whatever it counted
    for spec in (s for *_, s in rows(SCALE) if isinstance(s, Sparse)):
        record = Store(root).read(spec)
        record["cost"]["forward_flops"] = forward
        Store(root).write(spec, record)
    return {item: tabulated(item, SCALE, root) for item in ("table2", "accuracy_vs_flops")}


@pytest.fixture
def even(made):
    """Table 2 with every method equally accurate."""
    return made["table2"]


def altered(table, column="last_accuracy", **values):
    """A copy of `table` in which the named methods have other values, plus the seed."""
    table = table.copy()
    for method, value in values.items():
        here = table.method == method
        table.loc[here, column] = value + table.seed[here]
    return table


def test_every_method_has_a_row_in_every_block_ratio_and_seed(even):
    runs = even[even.group != "derived"]
    assert len(runs) == runs.key.nunique() == 2 * (2 + len(METHODS) + 3)
    assert set(runs.status) == {"ok"}
    assert set(even[even.group == "control"].method) == set(CONTROLS)
    assert even[even.method == DENSE].ratio.unique().tolist() == [0]


@pytest.mark.parametrize("scale", [SCALE, load_scale("smoke"), load_scale("paper")], ids=["tiny", "smoke", "paper"])
def test_the_blocks_one_by_one_are_the_table(scale):
    parts = {name: EXPERIMENTS.load(name) for name in EXPERIMENTS.parts if name.startswith("table2")}
    assert list(parts) == [f"table2_{model}_{dataset}" for dataset, model in BLOCKS]
    assert {part.item for part in parts.values()} == set(parts)
    whole = [key(s) for s in EXPERIMENTS.load("table2").runs(scale)]
    assert sorted(key(s) for part in parts.values() for s in part.runs(scale)) == sorted(whole)


def test_a_block_asked_for_alone_has_its_rows_of_the_table_and_a_panel(even, tmp_path):
    block = EXPERIMENTS.load("table2_vgg16_cifar10")
    write(Store(tmp_path), block.runs(SCALE), lambda _: 50.0)
    alone, mine = tabulated(block.item, SCALE, tmp_path), even[even.dataset == "cifar10"]
    assert (
        alone[["method", "ratio", "seed", "key"]].values.tolist()
        == mine[["method", "ratio", "seed", "key"]].values.tolist()
    )
    assert set(alone[alone.group != "derived"].status) == {"ok"}
    titles = [axis.get_title() for axis in block.figure(SCALE, alone).axes]
    assert [t.splitlines()[0] for t in titles if t] == ["VGG16 (1/16 width), 60 toy-digit images"]


def test_only_training_in_eight_bits_averages_its_weights_from_the_authors_epoch():
    paper = load_scale("paper")
    starts = {name: spec.recipe.swa_start for _, _, name, _, _, spec in rows(paper)}
    assert {name: start for name, start in starts.items() if start is not None} == {"EB Train (LL)": 140}


def test_eb_train_is_the_detector_studys_run():
    shared = {key(eb_train(SCALE, "cifar100", "vgg16", 0.3, 0))}
    wanted = ("cifar100", "vgg16", "EB Train", 0.3, 0)
    mine = {key(spec) for *names, spec in rows(SCALE) if tuple(names) == wanted}
    assert mine == shared


def test_published_numbers_stand_beside_ours_and_blanks_stay_blank(even):
    block = even[(even.dataset == "cifar10") & (even.seed == 0)].set_index("method")
    eb = block.loc["EB Train"]
    assert (eb.published_accuracy, eb.published_flops_units, eb.published_energy_kj) == (92.71, 197, 184.2)
    assert eb.training_units == pytest.approx(60e13 / 5e13)
    assert block.published_accuracy[list(CONTROLS)].isna().all()
    assert printed("cifar10", "preresnet101") == {}


def test_costs_are_set_against_the_unpruned_network(even):
    lt = even[(even.method == "LT (one-shot)") & (even.seed == 1)]
    assert (lt.flops_ratio == 2.0).all()
    assert even.energy_measured_kj.isna().all()  # the records measured none


def test_snip_is_charged_as_dense_training(even):
    assert even[even.method == "SNIP"].flops_ratio.tolist() == pytest.approx([1.0, 1.0])


def test_improvement_is_recomputed_as_the_paper_does(even):
    derived = even[(even.method == IMPROVEMENT) & (even.dataset == "cifar10")]
    assert derived.accuracy_improvement.tolist() == [0, 0]
    assert derived.flops_improvement.tolist() == pytest.approx([100 / 60] * 2)
    numbers = printed("cifar10", "vgg16")  # the rule gives the paper's own row from the paper's own cells
    for ratio in (0.3, 0.5, 0.7):
        best = max(numbers[m, ratio, "retrain_top1"] for m in BASELINES)
        gain = numbers["EB Train", ratio, "retrain_top1"] - best
        assert gain == pytest.approx(numbers[IMPROVEMENT, ratio, "acc_improvement"])
        cost = min(v for (m, r, what), v in numbers.items() if what == "total_training_flops" and r == ratio)
        assert numbers["SNIP", ratio, "total_training_flops"] / cost == pytest.approx(
            numbers[IMPROVEMENT, ratio, "flops_improvement"], abs=0.1
        )
    assert even[even.method == IMPROVEMENT].dataset.unique().tolist() == ["cifar10"]  # the other has no baselines here


def test_equal_accuracies_support_at_least_and_not_greater(even):
    verdicts = {name: c.verdict for name, c in claims("table2", SCALE, even).items()}
    at_least = {"ns", "snip", "thinet", "lottery", "reinit", "scratch-b", "low-search", "low-both"}
    assert {verdicts[f"table2-{n}"] for n in at_least} == {"supported"}
    greater = {"inheriting-helps", "channels-matter", "budget-helps"}
    assert {verdicts[f"table2-{n}"] for n in greater} == {"inconclusive"}
    assert verdicts["table2-costs-less"] == "supported"


@pytest.mark.parametrize(
    ("accuracy", "name", "verdict"),
    [
        ({"NS": 90.0}, "table2-ns", "not supported"),
        ({"SNIP": 50.5}, "table2-snip", "supported"),  # within the margin
        ({"SNIP": 51.5}, "table2-snip", "not supported"),
        ({"Random channels": 40.0}, "table2-channels-matter", "supported"),
        ({"Re-init, short schedule": 60.0}, "table2-inheriting-helps", "not supported"),
        ({"Scratch-B": 70.0}, "table2-scratch-b", "not supported"),
        ({"Scratch-B": 70.0}, "table2-budget-helps", "supported"),
        ({"EB Train (LL)": 20.0}, "table2-low-both", "not supported"),
    ],
)
def test_verdicts_follow_the_accuracies(even, accuracy, name, verdict):
    claim = claims("table2", SCALE, altered(even, **accuracy))[name]
    assert (claim.verdict, claim.n) == (verdict, 2)


def test_one_dearer_comparison_is_enough_to_fail(even):
    table = even.copy()
    table.loc[(table.method == "ThiNet") & (table.seed == 1), "training_units"] = 11.9  # EB Train: 12
    claim = claims("table2", SCALE, table)["table2-costs-less"]
    assert claim.verdict == "not supported"
    assert "ThiNet" in claim.evidence


@pytest.mark.parametrize(("saved", "verdict"), [((6.0, 11.0), "supported"), ((5.7, 11.0), "not supported")])
def test_energy_is_judged_by_the_abstracts_lower_end(even, saved, verdict):
    assert claims("table2", SCALE, even)["table2-saves-energy"].verdict == "not run"  # nothing is modelled here
    table = even.copy()
    derived = table.method == IMPROVEMENT
    table.loc[derived & (table.seed == 0), "energy_improvement"] = saved[0]
    table.loc[derived & (table.seed == 1), "energy_improvement"] = saved[1]
    claim = claims("table2", SCALE, table)["table2-saves-energy"]
    assert (claim.verdict, claim.n) == (verdict, 2)
    assert f"{saved[0]:.1f}x to 11.0x" in claim.evidence


def test_the_abstracts_ranges_need_every_block(even):
    name = "VGG16: least saved in training energy, SNIP over LL, modelled"
    cell = next(c for c in EXPERIMENTS.load("table2").cells(SCALE, even) if c.cell == name)
    assert (cell.published, cell.measured.n) == (5.8, 0)
    everywhere = [(d, m, r) for (d, m), ratios in RATIOS.items() for r in ratios]
    names = [dict(zip(("dataset", "model", "ratio"), block, strict=True)) for block in everywhere]
    rows = [{**n, "seed": 0, "method": IMPROVEMENT, "energy_improvement": 5.0 + i} for i, n in enumerate(names)]
    table = pd.DataFrame(rows).reindex(columns=even.columns)
    found = {c.cell: c.measured.mean for c in EXPERIMENTS.load("table2").cells(SCALE, table)}
    vgg = [row["energy_improvement"] for row in rows if row["model"] == "vgg16"]
    assert found[name] == min(vgg)
    assert found[name.replace("least", "most")] == max(vgg)
    assert found["all networks: most saved in training energy, SNIP over LL, modelled"] == 5.0 + len(rows) - 1


def test_the_range_of_flops_savings_is_slimming_over_eb_train(even):
    everywhere = [(d, m, r) for (d, m), ratios in RATIOS.items() for r in ratios]
    names = [dict(zip(("dataset", "model", "ratio"), block, strict=True)) for block in everywhere]
    rows = [{**n, "seed": 0, "method": "NS", "training_flops": 200.0 + i} for i, n in enumerate(names)]
    rows += [{**n, "seed": 0, "method": "EB Train", "training_flops": 100.0} for n in names]
    cells = EXPERIMENTS.load("table2").cells(SCALE, pd.DataFrame(rows).reindex(columns=even.columns))
    saved = {c.cell: (c.published, c.measured.mean) for c in cells if "NS over EB Train" in c.cell}
    assert list(saved.values()) == [(2.2, 2.0), (2.4, pytest.approx(2.0 + (len(names) - 1) / 100))]
    # It is the rule that gives the printed range from the printed cells of CIFAR-10.
    numbers = printed("cifar10", "vgg16")
    flops = {m: [numbers[m, r, "total_training_flops"] for r in (0.3, 0.5, 0.7)] for m in ("NS", "EB Train")}
    ratios = [a / b for a, b in zip(flops["NS"], flops["EB Train"], strict=True)]
    assert [round(min(ratios), 1), round(max(ratios), 1)] == [2.2, 2.4]


def test_what_has_not_run_is_judged_not_run(even):
    seen = claims("table2", SCALE, even[even.method != "Scratch-B"])
    assert {seen[f"table2-{n}"].verdict for n in ("scratch-b", "budget-helps")} == {"not run"}


def test_cells_are_judged_with_the_stated_tolerances(even):
    cells = {c.cell: c for c in EXPERIMENTS.load("table2").cells(SCALE, even)}
    # Accuracy, FLOPs, energy and the Improv. row; the abstracts' ranges; the accuracies of a block as one.
    assert len(cells) == 4 * 3 * (8 * 3 + 3) + 8 + 2
    blank = [c for name, c in cells.items() if name.startswith("PreResNet101 CIFAR")]
    assert len(blank) == 2 * 3 * (8 * 3 + 3)
    assert all(math.isnan(c.published) and c.source == "not found" for c in blank)
    flops = cells["VGG16 CIFAR-10: ThiNet, ratio 0.7, training FLOPs"]
    assert (flops.published, flops.margin, flops.measured.mean) == (331, pytest.approx(3.31), pytest.approx(28.0))
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
    assert len(found) == 1 + len(METHODS)
    assert found["NS", 0.7][2:] == (150e13, Interval(50.5, pytest.approx(0.5 * 12.7062, rel=1e-4), 2))


@pytest.mark.parametrize(("accuracy", "dominates"), [({}, "supported"), ({"NS": 90.0}, "not supported")])
def test_verdicts_on_what_eb_train_matches(made, accuracy, dominates):
    seen = claims("accuracy_vs_flops", SCALE, altered(made["accuracy_vs_flops"], **accuracy))
    assert seen["pareto-dominates"].verdict == dominates


def test_a_point_of_one_seed_is_not_judged(made):
    table = made["accuracy_vs_flops"]
    table = table[(table.method != "NS") | (table.seed == table.seed.min())]
    claim = claims("accuracy_vs_flops", SCALE, table)["pareto-dominates"]
    assert (claim.verdict, claim.n) == ("inconclusive", 1)


@pytest.mark.parametrize("item", ["table2", "accuracy_vs_flops"])
def test_figures_are_drawn_from_whole_and_from_empty_tables(item, made):
    whole = EXPERIMENTS.load(item).figure(SCALE, made[item])
    assert [a.get_title().splitlines()[0] for a in whole.axes if a.axison] == [
        "VGG16 (1/16 width), 60 toy-digit images",
        "VGG16 (1/16 width), 100 toy-digit-pair images",
    ]
    empty = EXPERIMENTS.load(item).figure(SCALE, EXPERIMENTS.load(item).table(SCALE, Store("/nonexistent")))
    assert [t.get_text() for t in empty.axes[0].texts] == [f"not run yet at scale {SCALE.name}"]

"""The item on graph tickets: its grid, its claims on made-up records, and the arithmetic of the paper's costs."""

import csv
from dataclasses import replace
from pathlib import Path
from statistics import mean

import pytest
from synthetic import TINY, claims, graph_run, tabulated, with_settings

from ebreplicate import published
from ebreplicate.catalog import GRAPHS
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.common.experiment import INCONCLUSIVE, NOT_RUN, NOT_SUPPORTED, SUPPORTED
from ebreplicate.experiments.gebt import arithmetic
from ebreplicate.experiments.gebt.runs import Grid, grid_of, planned
from ebreplicate.graphs.costs import training_macs
from ebreplicate.report import pipeline
from ebreplicate.specs.scale import load_scale
from ebreplicate.specs.spec import key
from ebreplicate.store.store import Store

ITEMS = ("gebt", "gebt_joint", "gebt_detector", "gebt_costs")


THREE_SEEDS = with_settings(TINY, "gebt", replace(grid_of(TINY), seeds=3))
"""With the smoke grid."""


def judged(root, accuracy, emerged=7):
    """The claims on records in which arm, draw and seed decide the accuracy."""
    store = Store(root)
    for spec in planned(THREE_SEEDS):
        made = graph_run(spec, lambda arm, draw, spec=spec: accuracy(spec, arm, draw), emerged)
        store.write(spec, *made)
    return claims("gebt", THREE_SEEDS, tabulated("gebt", THREE_SEEDS, root))


def test_the_paper_grid_is_that_of_the_protocol():
    runs = planned(load_scale("paper"))
    by = {g: [r for r in runs if r.dataset == g] for g in ("cora", "citeseer", "pubmed")}
    assert {g: len(found) for g, found in by.items()} == {"cora": 410, "citeseer": 410, "pubmed": 310}
    assert {r.seed for r in runs} == set(range(10))
    full = [r for r in by["pubmed"] if len(r.draws) == 11]
    assert len(full) == 50
    assert all(r.random_graphs == 2 for r in full)
    assert planned(load_scale("quick")) == []


def test_a_grid_without_the_draws_it_compares_is_refused():
    with pytest.raises(Exception, match=r"Grid\.draws"):
        Grid(1, ("cora",), (), (), draws=(0, 100))


def test_claims_that_hold(tmp_path):
    found = judged(tmp_path, lambda spec, arm, draw: {"random-edges": 60.0}.get(arm, 70.0) + spec.seed)
    assert {c.verdict for c in found.values()} == {SUPPORTED}
    assert all(c.n == 3 for c in found.values())


def test_claims_that_fail(tmp_path):
    def accuracy(spec, arm, draw):
        masked = arm == "inherit-masked"
        late = draw == 40
        return 70 + spec.seed - 8 * masked + 6 * (masked and late) + 5 * (arm == "random-edges")

    found = judged(tmp_path, accuracy, emerged=30)
    wrong = {name for name, c in found.items() if c.verdict == NOT_SUPPORTED}
    assert wrong == {"gebt-beats-random-edges", "gebt-joint-early", "gebt-90-percent", "gebt-fires-by-26"}
    assert "-6.00" in found["gebt-joint-early"].evidence
    assert "-8.00" in found["gebt-90-percent"].evidence
    assert found["gebt-90-percent-as-shipped"].verdict == SUPPORTED


def test_a_difference_within_the_scatter_is_inconclusive(tmp_path):
    found = judged(tmp_path, lambda spec, arm, draw: 70 + (spec.seed - 1) * 3 * (draw == 40))
    assert found["gebt-early-edges"].verdict == INCONCLUSIVE


def test_a_detector_that_never_fires_counts_with_the_last_epoch(tmp_path):
    found = judged(tmp_path, lambda spec, arm, draw: 70.0, emerged=None)
    assert found["gebt-fires-by-26"].verdict == NOT_SUPPORTED
    assert "-14.00" in found["gebt-fires-by-26"].evidence  # 26 - 40 epochs


def test_a_seed_that_lacks_a_cell_is_left_out(tmp_path):
    store = Store(tmp_path)
    for spec in planned(THREE_SEEDS):
        if not (spec.seed == 2 and spec.p_weight):
            store.write(spec, *graph_run(spec, lambda arm, draw: 70.0))
    found = claims("gebt", THREE_SEEDS, tabulated("gebt", THREE_SEEDS, tmp_path))
    assert found["gebt-early-edges"].n == 3
    assert found["gebt-90-percent"].n == 2


@pytest.mark.parametrize("item", ITEMS)
def test_figures_are_drawn_with_and_without_runs(item, tmp_path):
    assert b"<svg" in pipeline.drawn(item, TINY, EXPERIMENTS.load(item).table(TINY, Store(tmp_path)))
    store = Store(tmp_path)
    for spec in planned(TINY):
        store.write(spec, *graph_run(spec, lambda arm, draw: 70.0))
    assert b"<svg" in pipeline.drawn(item, TINY, tabulated(item, TINY, tmp_path))
    quick = load_scale("quick")
    assert b"<svg" in pipeline.drawn(item, quick, EXPERIMENTS.load(item).table(quick, store))


@pytest.mark.parametrize("item", ITEMS)
def test_a_cell_names_the_records_behind_it(item, tmp_path):
    """On Cora with one seed: every run that is planned stands behind some cell or claim."""
    grid = Grid(1, ("cora",), ("cora",), ("cora",), ratios=(0.1, 0.5, 0.9), cost_ratios=(0.1, 0.5, 0.9))
    store, scale = Store(tmp_path), with_settings(TINY, "gebt", grid)
    for spec in planned(scale):
        store.write(spec, *graph_run(spec, lambda arm, draw: 70.0))
    experiment, table = EXPERIMENTS.load(item), tabulated(item, scale, tmp_path)
    named = set().union(*(c.measured.records for c in experiment.cells(scale, table)))
    kinds = {"gebt": (0.0, 0.5, 0.7, 0.9), "gebt_joint": (0.5, 0.7, 0.9)}.get(item, (0.0, 0.6, 0.9))
    wanted = [s for s in planned(scale) if s.p_weight in kinds and (s.p_graph or item == "gebt")]
    assert named == {key(s) for s in wanted}


def test_nothing_run_is_said():
    empty = EXPERIMENTS.load("gebt").table(TINY, Store("/nonexistent"))
    assert {c.verdict for c in claims("gebt", TINY, empty).values()} == {NOT_RUN}


def test_figure_6_is_arithmetic():
    """Every inference point to the reading error; every ticket's training cost with the whole epoch that is listed."""
    errors = arithmetic.inference_errors()
    assert len(errors) == 120
    assert max(map(abs, errors)) < arithmetic.INFERENCE_ERROR
    points = arithmetic.training_points()
    solved = [(epoch, said) for epoch, said in points if said is not None]
    assert len(solved) == 89
    assert all(abs(epoch - said) < arithmetic.EPOCH_ERROR for epoch, said in solved)
    assert all(abs(ratio - 1) < 1e-3 for ratio, said in points if said is None)


def test_costs_by_hand():
    """Cora: 2708 x 1433 x 16 + 2708 x 16 x 7 + 2 x 5429 x 1433 = 77.95 M, as Table 2 prints."""
    cora = GRAPHS["cora"]
    assert cora.macs() == 2708 * 1433 * 16 + 2708 * 16 * 7 + 2 * 5429 * 1433
    assert round(cora.macs() / 1e6, 2) == 77.95
    assert training_macs(cora, "random", 0.0) == 300 * cora.macs()
    assert training_macs(cora, "geb", 0.0, epoch=10) == (300 + 30 + 300) * cora.macs()
    assert training_macs(cora, "joint", 0.0, 0.0, epoch=10) == (60 + 300) * cora.macs()
    assert training_macs(cora, "sgcn", 0.0) == 900 * cora.macs()


def test_the_savings_of_the_text_beside_those_of_its_figure():
    """The ranges that were worked out by hand (docs/graph-tickets.md)."""
    found = {name: (text, tuple(round(v, 1) for v in cuts)) for name, (text, cuts) in arithmetic.savings().items()}
    assert found == {
        "geb_training_flops_cut": ("24.7..32.1", (24.2, 30.6)),
        "joint_eb_training_flops_cut": ("80.2..85.6", (77.3, 88.1)),
        "joint_eb_inference_flops_cut": ("84.6..87.5", (71.9, 88.9)),
    }


def test_what_the_findings_page_says_is_printed_is_printed():
    """Figure 4a's means over draws by p_w, and PubMed's joint curve in Figure 6 beside the graph-only one."""
    from ebreplicate.experiments.gebt.cells import points

    rows = points("Fig4a")
    rows = rows[(rows.dataset == "Cora") & (rows.metric == "retrain_acc_%")]
    means = rows.groupby(["p_graph", "p_weight"]).value.mean()
    page = (Path(__file__).parents[3] / "docs" / "findings.md").read_text()
    for p in (0.1, 0.3, 0.5, 0.7, 0.9):
        line = " | ".join([f"{p:.0%}".replace("%", " %"), *(f"{means[p, q]:.2f}" for q in (0.5, 0.7, 0.9))])
        assert f"| {line} |" in page
    points6 = arithmetic.figure6()
    points6 = points6[(points6.dataset == "Pubmed") & (points6.cost_unit == "G training")]
    by = {q: points6[(points6.p_weight == q) & points6.method.str.startswith("GEBT")] for q in (0.0, 0.9)}
    alone, joint = (by[q].sort_values("p_graph")["retrain_acc_%"].tolist() for q in (0.0, 0.9))
    assert len(alone) == 10
    assert alone == joint


def test_the_papers_own_effects_by_hand():
    """Means over the cells of Figures 1 and 4a, read without our table and contrasts."""
    rows = list(csv.DictReader((published.FOLDER / "gebt_figures_vector_exact.csv").read_text().splitlines()))
    drawn = {
        (r["figure"], r["dataset"], r["p_graph"], r["p_weight"], int(r["epoch"])): float(r["value"])
        for r in rows
        if r["figure"] in ("Fig1", "Fig4a") and r["metric"] == "retrain_acc_%"
    }
    early = {(f, *cell): (drawn[f, *cell, 10] + drawn[f, *cell, 20]) / 2 for f, *cell, epoch in drawn if epoch == 100}
    late = {(f, *cell): value for (f, *cell, epoch), value in drawn.items() if epoch == 100}
    minus = {cell: early[cell] - late[cell] for cell in early}
    graph, joint = ([v for (f, *_), v in minus.items() if f == figure] for figure in ("Fig1", "Fig4a"))
    heavy = [early[c] - early["Fig1", c[1], c[2], ""] for c in early if c[0] == "Fig4a" and c[3] == "0.9"]
    assert (len(graph), len(joint), len(heavy)) == (15, 30, 10)

    scale = load_scale("paper")
    nothing = EXPERIMENTS.load("gebt").table(scale, Store("/nonexistent"))
    found = {c.name: c.printed for c in EXPERIMENTS.load("gebt").claims(scale, nothing)}
    assert found["gebt-early-edges"] == pytest.approx(mean(graph))
    assert found["gebt-joint-early"] == pytest.approx(mean(joint))
    assert found["gebt-90-percent"] == found["gebt-90-percent-as-shipped"] == pytest.approx(mean(heavy))

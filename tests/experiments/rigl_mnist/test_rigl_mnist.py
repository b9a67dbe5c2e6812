"""RigL on MNIST: its costs to the printed digit, its table, and verdicts that follow from chosen outcomes."""

import math
from dataclasses import replace

import pytest
from matplotlib import pyplot as plt
from synthetic import COMPARABLE, TINY, tabulated

from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.common.experiment import INCONCLUSIVE, NOT_RUN, NOT_SUPPORTED, SUPPORTED
from ebreplicate.experiments.common.verdicts import cell_verdict
from ebreplicate.experiments.rigl_mnist import costs
from ebreplicate.experiments.rigl_mnist.claims import architecture, printed
from ebreplicate.experiments.rigl_mnist.runs import ARMS, Grid, grid_of, planned
from ebreplicate.experiments.rigl_mnist.table import at_pixels, central_share
from ebreplicate.specs.scale import load_scale
from ebreplicate.specs.spec import Search, key
from ebreplicate.store.store import Store

ITEM = "rigl_mnist"
PAPER = replace(
    COMPARABLE, name="paper", items={}, datasets={"mnist": {"name": "mnist"}}, models={"lenet300": {"name": "lenet300"}}
)
"""The paper's grid and networks. Nothing is trained: outcomes are written."""
ERRORS = {"rigl": 1.45, "rigl-plus": 1.5, "set": 1.8, "static": 2.2, "dense": 1.4}
SCATTER = (0.0, 0.02, -0.02, 0.01, -0.01)


def connections(central):
    """2,352 connections, of which about `central` % lie in the central 20 x 20 pixels, the others in the corner."""
    counts, inside = [0] * 784, round(2352 * central / 100)
    for i in range(2352):
        y, x = (4 + i % 20, 4 + i // 20 % 20) if i < inside else (i % 4, i // 4 % 28)
        counts[28 * y + x] += 1
    return counts


def record(arm, error, architecture=(408, 100, 69, 10), nonzero=6287):
    """What a training would leave."""
    metrics = {"epochs": 200, "last_accuracy": 100 - error, "best_accuracy": 100 - error + 0.04, "best_epoch": 150}
    cost = {"training_flops": {"authors": 1e12}, "seconds": 300.0}
    if arm != "dense":
        sparse = (0.04, 0.136, 1.0) if arm == "rigl-plus" else (0.01, 0.109, 1.0)
        metrics |= {"density": dict(zip("abc", sparse, strict=True)), "nnz": 6622, "mask_updates": 501}
        metrics |= {
            "architecture": list(architecture),
            "stable_architecture": list(architecture),
            "compact_nnz": nonzero,
        }
        metrics |= {"stable_nnz": nonzero, "compact_bytes": 31_914}
        metrics["input_connections"] = {"start": connections(51), "end": connections(51 if arm == "static" else 95)}
    return {"status": "ok", "metrics": metrics, "cost": cost, "provenance": {}}


@pytest.fixture
def judged(tmp_path):
    def run(errors=ERRORS, seeds=range(5), scale=PAPER, change=lambda run, found: found):
        store = Store(tmp_path)
        for run_ in planned(scale):
            if run_.seed in seeds:
                found = record(run_.arm, errors[run_.arm] + SCATTER[run_.seed] * (1 + 0.3 * ARMS.index(run_.arm)))
                store.write(run_.spec, change(run_, found))
        table = tabulated(ITEM, scale, tmp_path)
        experiment = EXPERIMENTS.load(ITEM)
        cells = {c.cell: c for c in experiment.cells(scale, table)}
        return table, cells, {c.name.removeprefix("rigl-mnist-"): c for c in experiment.claims(scale, table)}

    return run


def test_the_paper_scale_has_the_printed_protocol():
    runs = {p.arm: p.spec for p in planned(load_scale("paper")) if p.seed == 0}
    assert list(runs) == list(ARMS)
    assert [p.seed for p in planned(load_scale("paper"))] == [s for s in range(5) for _ in ARMS]
    rigl = runs["rigl"]
    assert rigl.recipe.epochs * rigl.train_images == 120_000 * rigl.recipe.batch_size
    assert rigl.stop * 120_000 == pytest.approx(50_000)
    rates = {arm: [spec.recipe.lr_at(e) for e in (0, 59, 69, 74, 79, 94, 95, 199)] for arm, spec in runs.items()}
    a, b, c, d = (0.2 / 3**i for i in range(4))
    assert rates["rigl"] == rates["set"] == rates["rigl-plus"] == pytest.approx([a, a, a, a, b, b, c, c])
    assert rates["dense"] == pytest.approx([a, a, b, c, c, d, d, d])
    assert (rigl.sparsity, runs["rigl-plus"].sparsity) == (0.99, 0.96)
    assert runs["rigl-plus"].compact_of == rigl
    for spec in runs.values():
        assert not spec.standardise
        assert (spec.weight_init, spec.recipe.weight_decay_on, spec.recipe.weight_decay) == (
            "glorot-uniform",
            "weights",
            1e-4,
        )
        assert spec.recipe.nesterov
        assert spec.evaluation == "unseen"


def test_every_cost_of_table_2_follows_from_sizes():
    cells = [
        c for c in EXPERIMENTS.load(ITEM).cells(TINY, EXPERIMENTS.load(ITEM).table(TINY, Store("/nowhere"))) if c.exact
    ]
    verdicts = {c.cell: cell_verdict(c, comparable=False) for c in cells}
    assert len(verdicts) == 3 * 4 + 2 * 3
    assert [name for name, verdict in verdicts.items() if verdict != "agrees"] == ["RigL+: inference, by arithmetic"]


def test_costs_by_hand():
    """A network of 4-3-2: forward 12 + 6 products, weight gradients 12 + 6, input gradient 6 in layer 2 only."""
    assert costs.training_gflop([12, 6], images=1) == 2 * (2 * 12 + 3 * 6) / 1e9
    # One of two steps is an update: forward 5 + 3, input gradient 3, dense weight gradient 12 + 6.
    assert costs.training_gflop([5, 3], [12, 6], images=1, every=1) == pytest.approx((2 * 5 + 3 * 3 + 8 + 3 + 18) / 1e9)
    assert costs.inference_kflop(500) == 1.0
    assert costs.nonzero_of([408, 100, 69, 10], 31_914) == 6287


def test_printed_numbers_and_networks():
    assert architecture("VIB") == [97, 71, 33, 10]
    assert printed("RigL", "test_error_end_of_training") == 1.48
    assert printed("RigL+", "sparsity") == 0.886
    assert math.isnan(printed("SBP", "test_error_end_of_training"))


def test_where_connections_are():
    counts = list(range(12))  # two channels of 2 x 3
    assert at_pixels(counts, (2, 2, 3)) == [[6, 8, 10], [12, 14, 16]]
    assert central_share([1] * 784, (1, 28, 28)) == pytest.approx(100 * 400 / 784)
    assert central_share(connections(100), (1, 28, 28)) == 100
    assert central_share(connections(0), (1, 28, 28)) == 0
    assert math.isnan(central_share([0] * 784, (1, 28, 28)))


def test_a_row_has_what_the_record_and_the_formulas_say(judged):
    table, _, _ = judged(seeds=[0])
    row = table[(table.arm == "rigl") & (table.seed == 0)].iloc[0]
    assert (row.pixels, row.hidden1, row.hidden2, row.nonzero, row.size_bytes) == (408, 100, 69, 6287, 31_914)
    assert row.inference_kflop == pytest.approx(12.574)
    assert row.training_gflop == pytest.approx(482.0, abs=0.05)
    assert row.central_end == pytest.approx(95, abs=0.1)
    assert sum(map(int, row.connections_end.split())) == 2352
    plus = table[(table.arm == "rigl-plus") & (table.seed == 0)].iloc[0]
    assert plus.training_gflop == pytest.approx(206.3, abs=0.05)
    dense = table[(table.arm == "dense") & (table.seed == 0)].iloc[0]
    assert (dense.nonzero, dense.last_error) == (266_200, pytest.approx(1.4))
    assert dense.training_gflop == pytest.approx(13_521.6, abs=0.05)
    assert set(table[table.seed == 1].status) == {NOT_RUN}


def test_outcomes_like_the_papers_support_every_claim(judged):
    _, cells, claims = judged()
    assert {name: c.verdict for name, c in claims.items()} == dict.fromkeys(claims, SUPPORTED)
    assert len(claims) == 6
    assert {c.n for c in claims.values()} == {5}
    assert claims["beats-static"].evidence.startswith("error of static minus RigL: +0.75")
    assert cell_verdict(cells["RigL: test error"], comparable=True) == "agrees"
    assert cell_verdict(cells["RigL: live pixels"], comparable=True) == "agrees"


def test_the_opposite_supports_none(judged):
    def change(run, found):
        if run.arm == "rigl":
            found["metrics"] |= {"compact_nnz": 20_000 + 100 * run.seed}
            found["metrics"]["input_connections"] = {"start": connections(95), "end": connections(51 + run.seed)}
        return found

    _, _, claims = judged({"rigl": 2.5, "rigl-plus": 3.0, "set": 1.8, "static": 2.2, "dense": 1.4}, change=change)
    assert {name: c.verdict for name, c in claims.items()} == dict.fromkeys(claims, NOT_SUPPORTED)


def test_a_margin_lies_between_no_worse_and_better(judged):
    _, _, claims = judged(ERRORS | {"rigl-plus": 1.53})  # 0.08 worse, half-width below 0.02
    assert claims["plus-no-worse"].verdict == SUPPORTED
    _, _, claims = judged(ERRORS | {"rigl-plus": 1.6})
    assert claims["plus-no-worse"].verdict == NOT_SUPPORTED


def test_one_seed_decides_nothing_and_a_diverged_training_withholds(judged):
    _, _, claims = judged(seeds=[0])
    assert {c.verdict for c in claims.values()} == {INCONCLUSIVE}

    def change(run, found):
        return found | {"status": "diverged"} if (run.arm, run.seed) == ("set", 3) else found

    _, _, claims = judged(change=change)
    assert claims["beats-set"].verdict == INCONCLUSIVE
    assert claims["beats-set"].evidence.endswith("1 of its trainings diverged")
    assert claims["beats-set"].n == 4
    assert claims["beats-static"].verdict == SUPPORTED


def test_printed_values_judge_nothing_on_another_task(judged):
    _, _, claims = judged(scale=replace(PAPER, comparable=False))
    withheld = {name for name, c in claims.items() if c.verdict == INCONCLUSIVE}
    assert withheld == {"matches-rivals", "cheaper-than-vib"}


def test_a_cell_that_scatters_too_much_can_only_differ(judged):
    def change(run, found):
        if run.arm == "rigl":
            found["metrics"]["last_accuracy"] += 0.3 * (run.seed - 2)  # seeds far apart, mean as before
        return found

    _, cells, _ = judged(change=change)
    cell = cells["RigL: test error"]
    assert cell_verdict(cell, comparable=True) == "too imprecise to say"
    assert cell_verdict(replace(cell, published=40.0), comparable=True) == "differs"


def test_the_figure_is_drawn_from_nothing_one_seed_and_all(judged):
    experiment = EXPERIMENTS.load(ITEM)
    empty = experiment.figure(TINY, experiment.table(TINY, Store("/nowhere")))
    assert sum("not run yet" in t.get_text() for a in empty.axes for t in a.texts) == 1
    one = experiment.figure(PAPER, judged(seeds=[0])[0])
    assert len([image for a in one.axes for image in a.images]) >= 4
    full = experiment.figure(PAPER, judged()[0])
    drawn = [a.get_title() for a in full.axes if a.images]
    assert drawn[:4] == ["RigL, start", "RigL, end of training", "static, end of training", "SET, end of training"]
    plt.close("all")


def test_smoke_runs_every_arm_once_and_quick_none():
    smoke = planned(load_scale("smoke"))
    assert [p.arm for p in smoke] == list(ARMS)
    assert len({key(p.spec) for p in smoke}) == 5
    assert isinstance(smoke[-1].spec, Search)
    assert planned(load_scale("quick")) == []
    assert grid_of(load_scale("quick")) == replace(grid_of(load_scale("paper")), seeds=())


def test_a_seed_given_twice_is_refused():
    with pytest.raises(Exception, match=r"Grid.seeds: repeats a seed: \[1, 1\]"):
        replace(grid_of(load_scale("paper")), seeds=(1, 1))
    assert isinstance(grid_of(TINY), Grid)

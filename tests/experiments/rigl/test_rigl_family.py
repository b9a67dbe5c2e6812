"""The RigL family's claims and cells, on outcomes that a test chooses."""

import os
from dataclasses import fields, replace

import pytest
from synthetic import COMPARABLE, TINY, Outcome, claims, tabulated, write

from ebreplicate.catalog import SPARSIFIERS
from ebreplicate.errors import UserError
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.common.experiment import INCONCLUSIVE, NOT_RUN, NOT_SUPPORTED, SUPPORTED
from ebreplicate.experiments.rigl.claims import contrasts
from ebreplicate.experiments.rigl.runs import SERIES, Grid, grid_of
from ebreplicate.specs.graph import Plan
from ebreplicate.specs.scale import Scale, load_scale
from ebreplicate.specs.spec import Search, Sparse
from ebreplicate.store.store import Store

ITEM = "rigl_family"
LEVEL = {"small-dense": 70, "static": 72, "snip": 73, "set": 76, "snfs": 79, "rigl": 80, "gmp": 80.5}


def two_seeds(monkeypatch):
    """Smoke's section with both seeds, so that intervals exist."""
    grid = Scale.grid

    def widened(self, item, kind):
        return replace(grid(self, item, kind), seeds=2)

    monkeypatch.setattr(Scale, "grid", widened)


def accuracy(spec):
    """The paper's order; ERK-Kernel and longer training help; seeds differ by 3, methods within a seed do not."""
    if isinstance(spec, Search):
        return 83.0 + 3 * spec.seed
    bonus = (2.5 if spec.distribution == "erk-kernel" else 0) + (1 if spec.multiplier > 1 else 0)
    return LEVEL[spec.method] + bonus + 3 * spec.seed + (0.02 * spec.seed if spec.method == "rigl" else 0)


@pytest.fixture
def judged(tmp_path, monkeypatch):
    two_seeds(monkeypatch)

    def run(outcome, scale=TINY):
        write(Store(tmp_path), EXPERIMENTS.load(ITEM).runs(scale), outcome)
        table = tabulated(ITEM, scale, tmp_path)
        return table, claims(ITEM, scale, table)

    return run


def test_every_method_is_run_at_quick_and_paper():
    for name in ("quick", "paper"):
        runs = [s for s in EXPERIMENTS.load(ITEM).runs(load_scale(name)) if isinstance(s, Sparse)]
        assert {s.method for s in runs} == set(SPARSIFIERS)
        assert all(s.recipe.l1 == 0 for s in runs)
        assert len(Plan(runs).runs) == len(runs)


def test_every_dynamic_method_changes_its_mask_several_times_at_every_scale():
    for name in ("smoke", "quick", "paper"):
        for spec in EXPERIMENTS.load(ITEM).runs(load_scale(name)):
            if isinstance(spec, Sparse):
                images = spec.train_size or 50_000
                steps = spec.recipe.epochs * -(-images // spec.recipe.batch_size)
                assert (spec.stop * steps - 1) // spec.interval >= 2


def test_the_papers_order_supports_every_claim(judged):
    table, verdicts = judged(accuracy)
    assert len(table) == 2 * 2 * (1 + len(SERIES))  # networks, seeds
    assert verdicts.pop("rigl-half-matches-dense").verdict == NOT_RUN  # 50 % sparsity is the paper scale's
    assert {c.verdict for c in verdicts.values()} == {SUPPORTED}


def test_the_opposite_order_supports_none(judged):
    _, verdicts = judged(lambda spec: 160 - accuracy(spec))
    no_worse = {"rigl-near-dense", "rigl-matches-pruning"}  # RigL is now above both
    del verdicts["rigl-half-matches-dense"]
    assert {n: c.verdict for n, c in verdicts.items()} == {
        n: SUPPORTED if n in no_worse else NOT_SUPPORTED for n in verdicts
    }


def test_half_the_weights_are_judged_where_they_are_run(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)
    scale = replace(COMPARABLE, name="paper", items={})  # the paper's sparsities, on small networks
    write(Store(tmp_path), EXPERIMENTS.load(ITEM).runs(scale), accuracy)
    table = tabulated(ITEM, scale, tmp_path)
    claim = claims(ITEM, scale, table)["rigl-half-matches-dense"]
    assert (claim.verdict, claim.n) == (NOT_SUPPORTED, 2)  # the margin is 0.3 points
    assert "-0.50, -0.48 pp (2 seeds" in claim.evidence  # 80 + 2.5 against 83, and RigL's second seed is 0.02 better
    cells = {c.cell: c for c in EXPERIMENTS.load(ITEM).cells(scale, table)}
    dense = cells["WRN-22-2 CIFAR-10: dense"]
    assert (dense.published, dense.measured.mean) == (94.1, 84.5)


def test_contrasts_pair_within_seeds_and_leave_out_what_diverged(judged):
    def outcome(spec):
        lost = isinstance(spec, Sparse) and spec.method == "set" and spec.seed == 1
        return Outcome(None, "diverged") if lost else accuracy(spec)

    table, verdicts = judged(outcome)
    found = contrasts(table, [("rigl/uniform", "set/uniform")])
    assert found == {(model, 0.8, "rigl/uniform"): {0: 4.0} for model in ("wideresnet22x2", "vgg16")}
    assert verdicts["rigl-beats-set"].verdict == INCONCLUSIVE
    assert verdicts["rigl-beats-set"].n == 1


def test_costs_are_relative_to_the_dense_network(judged):
    table, _ = judged(lambda spec: Outcome(50.0, flops=4e9 if isinstance(spec, Search) else 1e9))
    sparse = table[table.method != "dense"]
    assert set(sparse.relative_training) == {0.25}
    assert set(table[table.method == "dense"].relative_training) == {1.0}


def test_accuracy_cells_stand_beside_the_reproducibility_report(judged):
    table, _ = judged(accuracy, COMPARABLE)
    cells = {c.cell: c for c in EXPERIMENTS.load(ITEM).cells(COMPARABLE, table)}
    cell = cells["WRN-22-2 CIFAR-10, sparsity 0.8: RigL 2x ERK"]
    assert cell.published == 93.3
    assert cell.measured.mean == pytest.approx(80 + 2.5 + 1 + 1.5 + 0.01)
    assert (cell.margin, cell.runs, cell.reading, cell.spread) == (0.3, 3, 0.05, 0.09)


@pytest.mark.parametrize(
    ("field", "value"), [("models", []), ("sparsities", []), ("seeds", 0), ("longer", 1.0), ("interval", "often")]
)
def test_a_bad_setting_is_named(field, value):
    good = grid_of(TINY)
    body = {f.name: getattr(good, f.name) for f in fields(Grid)} | {field: value}
    with pytest.raises(UserError, match=rf"Grid\.{field}"):
        Grid(**body)

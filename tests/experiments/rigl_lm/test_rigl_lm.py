"""The item of the character language model: the printed protocol, its table, and its claims by hand."""

import math
from dataclasses import replace

import pytest
from scipy.stats import ttest_1samp
from synthetic import TINY, Outcome, claims, tabulated, trained

from ebreplicate import published
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.common.experiment import INCONCLUSIVE
from ebreplicate.experiments.common.judgement import DECIDED, TOO_FEW
from ebreplicate.experiments.rigl_lm.claims import CLAIMS
from ebreplicate.experiments.rigl_lm.runs import grid_of, planned
from ebreplicate.experiments.rigl_lm.table import EPOCH, RUN
from ebreplicate.specs.scale import load_scale
from ebreplicate.store.store import Store

FIVE = replace(TINY, items={**TINY.items, "rigl_lm": {**TINY.items["rigl_lm"], "seeds": [0, 1, 2, 3, 4]}})
BITS = {
    "dense": [1.9, 1.92, 1.91, 1.9, 1.93],
    "small-dense": [2.2, 2.22, 2.18, 2.21, 2.2],
    "static": [2.3, 2.31, 2.29, 2.3, 2.32],
    "set": [2.12, 2.1, 2.09, 2.13, 2.1],
    "rigl": [2.1, 2.11, 2.08, 2.12, 2.09],
    "gmp": [1.95, 1.96, 1.95, 1.97, 1.96],
}


def filled(root, scale=FIVE, diverged=(), texts=("one",)):
    store = Store(root)
    for run in planned(scale):
        record = trained(Outcome(50.0, "diverged" if (run.arm, run.seed) in diverged else "ok"))
        if record["status"] == "ok":
            record["metrics"]["bits"] = BITS[run.arm][run.seed]
        if run.arm == "rigl":
            lost = {"input": 9, "recurrent": run.seed, "readout.0": 30, "readout.2": 4, "output": 0}
            record["metrics"]["unconnected_outputs"] = lost
        record["provenance"] = {"text": {"sha256": texts[run.seed % len(texts)] * 10}}
        rows = [{"epoch": e, "test_loss": 5.0 - e} for e in (1, 2)]
        store.write(run.spec, record, rows)
    return tabulated("rigl_lm", scale, root)


def judged(table, scale=FIVE):
    return {claim.name: claim for claim in EXPERIMENTS.load("rigl_lm").claims(scale, table)}


def test_the_paper_scale_is_the_printed_protocol():
    rows = published.read("rigl_protocol")
    rows = rows[rows.item.str.contains("char language model")].set_index("metric").value
    grid = grid_of(load_scale("paper"))
    assert grid.steps * grid.recipe.epochs == int(rows.steps)
    assert (grid.sequence, grid.recipe.batch_size) == (int(rows.sequence_length), int(rows.batch))
    assert (grid.recipe.clip, grid.recipe.weight_decay) == (float(rows.gradient_clip), float(rows.l2))
    assert f"lr {grid.recipe.lr:.0e}".replace("e-0", "e-") in rows.optimizer
    specs = {run.arm: run.spec for run in planned(load_scale("paper")) if run.seed == 0}
    gmp, rigl = specs["gmp"], specs["rigl"]
    assert f"between steps {gmp.begin} and {gmp.stop * 200_000:.0f}, every {gmp.interval}" == rows.pruning_baseline
    assert f"alpha = {rigl.alpha}, dT = {rigl.interval}" in rows.update_schedule
    assert (rigl.stop, rigl.width, rigl.sparsity) == (1.0, 1.0, 0.75)


def test_quick_trains_six_methods_with_five_seeds_at_the_same_fractions():
    runs = planned(load_scale("quick"))
    assert len(runs) == 30
    assert {run.seed for run in runs} == {0, 1, 2, 3, 4}
    gmp = next(run.spec for run in runs if run.arm == "gmp")
    assert (gmp.begin, gmp.stop) == (3072 // 4, 0.75)


def test_the_table_has_a_row_a_training_and_a_row_an_epoch(tmp_path):
    table = filled(tmp_path)
    assert table.kind.value_counts().to_dict() == {RUN: 30, EPOCH: 60}
    rows = table[(table.kind == EPOCH) & (table.arm == "set") & (table.seed == 2)]
    steps = grid_of(FIVE).steps
    assert list(rows.step) == [steps, 2 * steps]
    assert list(rows.bits) == pytest.approx([4 / math.log(2), 3 / math.log(2)])
    ended = table[table.kind == RUN].set_index("arm")
    assert list(ended.unconnected_state["rigl"]) == [0, 1, 2, 3, 4]
    assert set(ended.unconnected_readout["rigl"]) == {34}
    assert ended.unconnected_state["set"].isna().all()


def test_claims_are_paired_differences_of_bits(tmp_path, monkeypatch):
    found = judged(filled(tmp_path))
    assert {name.removeprefix("rigl-lm-"): claim.found.what for name, claim in found.items()} == {
        "beats-set": "bits of set minus rigl",
        "beats-static": "bits of static minus rigl",
        "beats-small-dense": "bits of small-dense minus rigl",
        "pruning-beats-rigl": "bits of rigl minus gmp",
    }
    with monkeypatch.context() as changed:
        changed.setitem(BITS, "set", [bits + 0.003 + 0.001 * i for i, bits in enumerate(BITS["rigl"])])
        close = judged(filled(tmp_path / "near"))["rigl-lm-beats-set"]
    assert (close.verdict, found["rigl-lm-beats-static"].verdict) == ("supported, below the margin", "supported")
    for name, (worse, better, _) in CLAIMS.items():
        d = [a - b for a, b in zip(BITS[worse], BITS[better], strict=True)]
        assert found[name].found.difference.mean == pytest.approx(sum(d) / 5)
        assert found[name].found.p == pytest.approx(ttest_1samp(d, 0).pvalue)
    assert found["rigl-lm-beats-static"].verdict == "supported"
    assert found["rigl-lm-pruning-beats-rigl"].verdict == "supported"
    assert found["rigl-lm-beats-set"].verdict not in DECIDED


def test_a_claim_is_not_decided_where_a_training_diverged_or_texts_differ(tmp_path):
    found = judged(filled(tmp_path / "a", diverged={("static", 3)}))
    assert found["rigl-lm-beats-static"].verdict == INCONCLUSIVE
    assert "1 of its trainings diverged" in found["rigl-lm-beats-static"].evidence
    assert found["rigl-lm-pruning-beats-rigl"].verdict == "supported"
    mixed = judged(filled(tmp_path / "b", texts=("one", "two")))
    assert {claim.verdict for claim in mixed.values()} == {INCONCLUSIVE}


def test_two_seeds_are_too_few(tmp_path):
    table = filled(tmp_path, TINY)
    assert {claim.verdict for claim in claims("rigl_lm", TINY, table).values()} == {TOO_FEW}


def test_the_figure_has_a_series_for_every_method(tmp_path):
    figure = EXPERIMENTS.load("rigl_lm").figure(FIVE, filled(tmp_path))
    ends, curves = figure.axes
    assert len(ends.get_xticklabels()) == 6
    assert len(curves.get_lines()) == 6

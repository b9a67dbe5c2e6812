"""Big-Sparse: equal weights, equal lengths, and claims by hand."""

from dataclasses import replace

import pytest
from scipy.stats import ttest_1samp
from synthetic import TINY, Outcome, claims, tabulated, write

from ebreplicate.catalog import SPARSIFIERS
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.big_sparse.claims import CLAIMS
from ebreplicate.experiments.big_sparse.runs import ARMS, planned
from ebreplicate.runner.inputs import network
from ebreplicate.specs.graph import epochs_of
from ebreplicate.specs.scale import load_scale
from ebreplicate.specs.spec import Sparse
from ebreplicate.store.store import Store

FIVE = replace(TINY, items={**TINY.items, "big_sparse": {**TINY.items["big_sparse"], "seeds": [0, 1, 2, 3, 4]}})
LEVEL = {"dense": 98.0, "dense-longer": 98.3, "big-sparse": 98.2, "big-sparse-longer": 98.32}
NOISE = [0.0, 0.03, -0.02, 0.01, -0.03]


def accuracy(arm, seed):
    return LEVEL[arm] + (NOISE[seed] if arm.startswith("dense") else -NOISE[seed])


def filled(root, scale=FIVE, diverged=()):
    arms = {run.spec: (run.arm, run.seed) for run in planned(scale)}

    def outcome(spec):
        return Outcome(None, "diverged") if arms[spec] in diverged else Outcome(accuracy(*arms[spec]))

    write(Store(root), list(arms), outcome)
    return tabulated("big_sparse", scale, root)


@pytest.mark.parametrize("scale", ["quick", "paper"])
def test_both_networks_have_as_many_weights_and_train_as_long(scale):
    specs = {run.arm: run.spec for run in planned(load_scale(scale)) if run.seed == 0}
    assert tuple(specs) == ARMS
    spec = specs["big-sparse"]
    hook, model = SPARSIFIERS.load(spec.method)(spec), network(spec)
    hook.cover(model)
    dense = [layer.weight.numel() for layer in network(specs["dense"]).layers if hasattr(layer, "weight")]
    assert sum(dense) == 784 * 300 + 300 * 100 + 100 * 10
    assert list(hook.counts.values()) == [784 * 955 // 4, 955 * 318 - 3 * 955 * 318 // 4, 3180]
    assert abs(sum(hook.counts.values()) / sum(dense) - 1) < 0.0005
    once, longer = epochs_of(specs["dense"]), epochs_of(specs["dense-longer"])
    assert longer == 5 * once
    assert (epochs_of(spec), epochs_of(specs["big-sparse-longer"])) == (once, longer)
    assert specs["big-sparse-longer"].recipe.milestones == specs["dense-longer"].recipe.milestones


def test_arms_of_a_seed_share_everything_else():
    for run in planned(load_scale("quick")):
        spec = run.spec
        assert (spec.seed, spec.standardise, spec.weight_init) == (run.seed, False, "glorot-uniform")
        assert isinstance(spec, Sparse) == run.arm.startswith("big")


def test_claims_are_paired_differences_of_accuracy(tmp_path):
    found = claims("big_sparse", FIVE, filled(tmp_path))
    assert set(found) == set(CLAIMS)
    for name, (better, worse, _) in CLAIMS.items():
        d = [accuracy(better, seed) - accuracy(worse, seed) for seed in range(5)]
        assert found[name].found.difference.mean == pytest.approx(sum(d) / 5)
        if better.startswith("big"):  # the differences of the others are equal to rounding
            assert found[name].found.p == pytest.approx(ttest_1samp(d, 0).pvalue)
    assert found["big-sparse-beats-dense"].verdict == "supported"
    assert found["big-sparse-longer-beats-dense"].verdict == "supported"
    assert found["big-sparse-longer-beats-dense-longer"].verdict == "equivalent"


def test_a_diverged_training_withholds_its_claims(tmp_path):
    found = claims("big_sparse", FIVE, filled(tmp_path, diverged={("dense-longer", 2)}))
    withheld = {name for name, claim in found.items() if "1 of its trainings diverged" in claim.evidence}
    assert withheld == {"big-sparse-longer-beats-dense-longer", "dense-longer-beats-dense"}
    assert {found[name].verdict for name in withheld} == {"inconclusive"}


def test_the_figure_has_both_networks(tmp_path):
    figure = EXPERIMENTS.load("big_sparse").figure(FIVE, filled(tmp_path))
    (axis,) = figure.axes
    assert len(axis.get_legend().get_texts()) == 2

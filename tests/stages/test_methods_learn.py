"""Every registered method learns the handwritten digits within seconds, and beats its random-mask control.

Whatever is registered is covered with no line here: channels against random channels, weights against random weights
(weights inherited, then two epochs), sparse training against a static random mask.
"""

import os
from dataclasses import replace
from functools import cache

import pytest
import torch
from helpers import CPU, NOWHERE, digits
from torch import nn

from ebreplicate import stages
from ebreplicate.catalog import METHODS, SPARSIFIERS, WEIGHT_METHODS
from ebreplicate.models import build
from ebreplicate.pruning.filters import prunable_filters
from ebreplicate.specs.graph import Plan
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.spec import Recipe, Retrain, Search, Sparse, Ticket
from ebreplicate.store.store import Store
from ebreplicate.training.loop import fit
from ebreplicate.training.soft import SoftFilters

SEARCH = Search(
    "vgg16", "digits", Recipe(8, 20, 0.1, (6,), l1=1e-3, augment="none"), 0, 0.0625, train_size=300, test_size=360
)
RETRAIN = Recipe(2, 20, 0.03, (), l1=0.0, augment="none")
SPARSE = Recipe(40, 50, 0.1, (26,), l1=0.0, weight_decay=0.0, augment="none")
LENET = Recipe(6, 20, 0.003, (4,), l1=0.0, weight_decay=0.0, augment="none", optimizer="adam")
CONTROLS = {"channels": ("random", 0.5), "weights": ("random-weights", 0.9)}
SPECIAL = ("static", "snip", "small-dense")
"""Sparse trainings with a test of their own: the control, a mask from one batch, and a network of another width."""
BAR = 60.0
"""Percent of ten digits, of which guessing gets ten."""


def but_for(quick, methods):
    """All of `methods`, in the slow suite; `quick` in every suite."""
    return [pytest.param(method, marks=[pytest.mark.slow] * (method != quick)) for method in sorted(methods)]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A finished search that all tickets are drawn from."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        found = Store(tmp_path_factory.mktemp("results"))
        last = SEARCH.recipe.epochs
        stages.search(SEARCH, found, NOWHERE, CPU, Keep({last}, taylor=True))
        yield found


def retrained(method, store):
    """Test accuracy of a ticket of the finished search after two epochs."""
    _, ratio = CONTROLS["weights" if method in WEIGHT_METHODS else "channels"]
    ticket = Ticket(SEARCH, ratio, "final", method)
    if store.read(ticket) is None:
        stages.draw(ticket, store, NOWHERE)
        stages.retrain(Retrain(ticket, RETRAIN), store, NOWHERE, CPU)
    return store.read(Retrain(ticket, RETRAIN))["metrics"]["last_accuracy"]


LEFT_OUT = {"soft", "nonzero", "grasp-weights", *(m for m, _ in CONTROLS.values())}
"""Controls; what needs a search of its own; and GraSP's signed score, which is one of the untrained network."""


@pytest.mark.parametrize("method", but_for("slimming", set(METHODS) - LEFT_OUT))
def test_a_ticket_learns_and_beats_a_random_one(method, store):
    control, _ = CONTROLS["weights" if method in WEIGHT_METHODS else "channels"]
    ours = retrained(method, store)
    assert ours > BAR
    assert ours > retrained(control, store) + 10


@pytest.mark.slow
def test_the_sign_of_the_gradient_flow_misleads_on_a_trained_network(store):
    """Why CroP takes the absolute value: the weights that hold up the flow have either sign."""
    assert retrained("crop-weights", store) > retrained("grasp-weights", store) + 10


def accuracies(store, *specs):
    """Records' metrics of the retrains `specs`, run with all that they need."""
    plan = Plan(specs)
    for name, spec in plan.runs.items():
        if isinstance(spec, Ticket):
            stages.draw(spec, store, NOWHERE)
        else:
            stage = stages.search if isinstance(spec, Search) else stages.retrain
            stage(spec, store, NOWHERE, CPU, plan.keep[name])
    return [store.read(spec)["metrics"] for spec in specs]


@pytest.mark.slow
def test_a_ticket_found_in_eight_bits_learns_and_beats_a_random_one(tmp_path):
    """EB Train LF and LL, weights averaged: search in block floating point, retrain in fp32 or in it as well."""
    search = replace(SEARCH, precision="bfp8", recipe=replace(SEARCH.recipe, epochs=5, milestones=(4,)))
    ticket, chance = (Ticket(search, 0.5, "final", method) for method in ("slimming", "random"))
    both = Retrain(ticket, replace(RETRAIN, swa_start=0), precision="bfp8")
    found, low, control = accuracies(Store(tmp_path), Retrain(ticket, RETRAIN), both, Retrain(chance, RETRAIN))
    assert min(found["last_accuracy"], low["swa_accuracy"]) > BAR
    assert low["last_accuracy"] > 50  # rounding moves the weights about; their average has more
    assert found["last_accuracy"] > control["last_accuracy"] + 10


@pytest.mark.slow
def test_iterative_lottery_tickets_learn_and_beat_fresh_weights_and_random_sparsity(tmp_path):
    """Four rounds that remove 60 % each, rewound to the initialisation; 3 % of the weights of LeNet are left."""
    search, after = Search("lenet300", "digits", LENET, 0, 0.25, 300, 360), None
    for _ in range(4):
        ticket = Ticket(search, 0.6, "final", "magnitude", after)
        after = Retrain(ticket, LENET, init="rewind")
    fresh = Retrain(ticket, LENET, init="reinit")
    chance = Retrain(replace(ticket, method="random-weights"), LENET, init="reinit")
    ours, *controls = (m["last_accuracy"] for m in accuracies(Store(tmp_path), after, fresh, chance))
    assert ours > BAR
    assert ours > max(controls) + 15


class Net(nn.Module):
    """Three convolutions of stride 2 with batch norms: 24,000 weights, and hundreds of steps a second."""

    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        sizes = ((3, 16), (16, 32), (32, 64))
        layers = [(nn.Conv2d(a, b, 3, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU()) for a, b in sizes]
        self.features, self.fc = nn.Sequential(*(m for block in layers for m in block)), nn.Linear(64, 10)

    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3)))


@pytest.mark.slow
def test_soft_filter_pruning_learns_with_filters_at_zero():
    """A tenth of the filters of every layer of 16 and more are zero when the last epoch is evaluated."""
    torch.manual_seed(0)
    recipe = Recipe(8, 20, 0.1, (5,), l1=0.0, augment="none")
    state = fit(build("vgg16", 10, 0.0625), digits(300, 360), recipe, seed=0, hooks=[SoftFilters(0.1)])
    zero = [not f.any() for layer, _ in prunable_filters(state.model) for f in layer.weight.detach()]
    assert sum(zero) == 3 * 1 + 6 * 3
    assert state.test_accuracy > 40


@cache
def sparse_accuracy(method):
    """Test accuracy of a network of which 98 % is zero, spread by Erdos-Renyi, after 240 steps."""
    spec = Sparse("vgg16", "digits", SPARSE, method=method, sparsity=0.98, distribution="erk", interval=10)
    return fit(Net(0), digits(300, 360), SPARSE, seed=0, hooks=[SPARSIFIERS.load(method)(spec)]).test_accuracy


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted(set(SPARSIFIERS) - set(SPECIAL)))
def test_moving_masks_learn_and_beat_a_static_one(method):
    assert sparse_accuracy("static") > 25  # far above chance, yet far from what moving weights finds
    assert sparse_accuracy(method) > sparse_accuracy("static") + 5
    assert sparse_accuracy(method) > 40


@pytest.mark.slow
def test_rigl_beats_set():
    """The paper's order: growing by gradient over growing at random over not moving at all."""
    assert sparse_accuracy("rigl") > sparse_accuracy("set")


def lenet_accuracy(method, seed, tmp_path):
    """Test accuracy of a narrow LeNet-300-100 of which 99 % is zero."""
    spec = Sparse(
        "lenet300", "digits", LENET, seed, 0.25, 300, 360, method=method, sparsity=0.99, distribution="erk-kernel"
    )
    return stages.sparse(spec, Store(tmp_path), NOWHERE, CPU)["metrics"]["last_accuracy"]


def test_snip_beats_a_random_mask_on_the_network_of_its_paper(tmp_path):
    snip, static = (sum(lenet_accuracy(m, seed, tmp_path) for seed in (0, 1)) / 2 for m in ("snip", "static"))
    assert snip > 40
    assert snip > static + 10


def test_a_small_dense_network_learns(tmp_path):
    more = {"method": "small-dense", "sparsity": 0.95, "distribution": "uniform"}
    spec = Sparse("lenet300", "digits", LENET, 0, 0.25, 300, 360, **more)
    assert stages.sparse(spec, Store(tmp_path), NOWHERE, CPU)["metrics"]["last_accuracy"] > BAR

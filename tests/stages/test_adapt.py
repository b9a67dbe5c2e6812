"""Adaption to a task: what stays, what trains, the record, and input that is refused."""

import json
from dataclasses import replace

import pytest
import torch
from helpers import CPU, NOWHERE, TINY, tiny_search

from ebreplicate import stages
from ebreplicate.catalog import ADAPTIONS, FINE_TUNING, KERNEL_ALL, KERNEL_ZEROS, NORMS, PIGGYBACK
from ebreplicate.cost import forward_flops
from ebreplicate.errors import UserError
from ebreplicate.models import build
from ebreplicate.models.masked import freeze, masks, zeros
from ebreplicate.runner.checkpoint import Checkpoint
from ebreplicate.runner.inputs import network
from ebreplicate.runner.rebuild import load_weights
from ebreplicate.specs.bits import Bits
from ebreplicate.specs.graph import Plan, parents, root_of, search_of, trainings_before
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.spec import Adapt, Recipe, canonical, from_json, key
from ebreplicate.stages.adapt import start
from ebreplicate.store.store import Store
from ebreplicate.verify.trainings import training_problems

BACKBONE = tiny_search(replace(TINY, epochs=4, milestones=(3,)))
RECIPE = Recipe(
    epochs=2, batch_size=30, lr=0.01, milestones=(1,), weight_decay=0, l1=0, augment="none", optimizer="adam"
)
SPEC = Adapt(
    "vgg16", "digits-high", RECIPE, 0, 0.0625, 60, 40, backbone=BACKBONE, method=KERNEL_ZEROS, evaluation="unseen"
)


def of(method, **more):
    return replace(SPEC, method=method, **more)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The backbone, and an adaption by every method."""
    store = Store(tmp_path_factory.mktemp("results"))
    stages.search(BACKBONE, store, NOWHERE, CPU, Plan([SPEC]).keep[key(BACKBONE)])
    for method in ADAPTIONS:
        stages.adapt(of(method), store, NOWHERE, CPU)
    return store


def test_the_plan_keeps_the_last_weights_of_the_backbone():
    plan = Plan([SPEC])
    assert list(plan.runs.values()) == [BACKBONE, SPEC]
    assert plan.keep[key(BACKBONE)] == Keep({4})
    assert parents(SPEC) == trainings_before(SPEC) == [BACKBONE]
    assert root_of(SPEC) == search_of(SPEC) == SPEC  # its images are its own


def test_it_starts_from_the_last_weights_and_a_classifier_of_its_own(store):
    trained = load_weights(network(BACKBONE), BACKBONE, 4, store, NOWHERE, CPU).state_dict()
    for name, value in start(SPEC, store, NOWHERE, CPU).state_dict().items():
        theirs = network(SPEC).state_dict() if name.startswith("classifier") else trained
        assert value.equal(theirs[name]), name
    assert start(SPEC, store, NOWHERE, CPU).classifier.weight.shape == (5, 32)


@pytest.mark.parametrize("method", ADAPTIONS)
def test_its_record_has_what_it_stores_and_costs_and_verify_holds_them(store, method):
    spec = of(method)
    record = store.read(spec)
    forward = forward_flops(network(spec), (3, 32, 32))["authors"]
    passes = 2 if method == NORMS else 3
    assert record["cost"]["training_flops"]["authors"] == pytest.approx(passes * forward * 60 * 2)
    kernels = 3 * 4 + 4 * 4 + 4 * 8 + 8 * 8 + 8 * 16 + 2 * 16 * 16 + 16 * 32 + 5 * 32 * 32
    entries = {PIGGYBACK: 9 * kernels, NORMS: 0, FINE_TUNING: 0}.get(method, kernels)
    assert record["metrics"]["mask_entries"] == entries
    assert list(training_problems(spec, record, store.folder(spec), store)) == []
    wrong = json.loads(json.dumps(record))
    wrong["metrics"]["mask_bits"] += 1
    wrong["cost"]["training_flops"]["authors"] *= 2
    problems = "; ".join(training_problems(spec, wrong, store.folder(spec), store))
    assert "mask_bits" in problems
    assert "training_flops" in problems


def trained_model(store, spec, tmp_path, monkeypatch):
    """The network after the training, from the stage's own last snapshot."""
    seen = []
    save = Checkpoint.save
    monkeypatch.setattr(
        Checkpoint, "save", lambda self, snapshot, now: (seen.append(snapshot), save(self, snapshot, now))
    )
    other = Store(tmp_path)
    other.folder(BACKBONE).parent.mkdir(parents=True)
    other.folder(BACKBONE).symlink_to(store.folder(BACKBONE))
    stages.adapt(spec, other, NOWHERE, CPU)
    return seen[-1]["model"]


@pytest.mark.parametrize("method", [PIGGYBACK, KERNEL_ALL, NORMS])
def test_frozen_weights_do_not_move_and_the_tasks_own_do(store, method, tmp_path, monkeypatch):
    after = trained_model(store, of(method), tmp_path, monkeypatch)
    before = start(of(method), store, NOWHERE, CPU).state_dict()
    moved = {name for name, value in before.items() if name in after and not after[name].equal(value)}
    frozen = {name for name in after if name.endswith("original")}
    assert all(after[n].equal(before[n.replace("parametrizations.weight.original", "weight")]) for n in frozen)
    assert len(frozen) == (0 if method == NORMS else 13)
    assert {name for name in before if "running" in name or name.startswith("classifier")} <= moved
    assert not moved & {name for name in before if before[name].dim() == 4}


@pytest.mark.parametrize("method", [PIGGYBACK, KERNEL_ZEROS])
def test_masks_alone_learn_a_task(method):
    """With everything else frozen, thirty steps of a mask fit a batch better than the frozen network does."""
    torch.manual_seed(0)
    model = build("vgg16", 5, 0.0625)
    freeze(model, method)
    optimizer = torch.optim.Adam([mask.reals for mask in masks(model)], 1e-3)
    x, y = torch.randn(20, 3, 32, 32), torch.arange(20) % 5
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(100 * model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[-5:]) < 0.8 * losses[0]
    assert zeros(model) > 0


def test_a_diverged_backbone_is_refused_before_training(store, tmp_path):
    other = Store(tmp_path)
    record = {**store.read(BACKBONE), "status": "diverged"}
    other.write(BACKBONE, {name: record[name] for name in ("status", "metrics", "cost", "provenance")})
    with pytest.raises(UserError, match=r"its status is diverged, so nothing adapts it"):
        stages.adapt(SPEC, other, NOWHERE, CPU)
    assert not other.done(SPEC)


def test_a_spec_reads_back_and_names_task_and_method():
    assert from_json(canonical(SPEC)) == SPEC
    assert key(SPEC).startswith("vgg16w0.0625-digits-high-s0-kernel-zeros-")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: of("piggybak"), r"^Adapt\.method: unknown name 'piggybak'; did you mean 'piggyback'"),
        (lambda: of(NORMS, dataset="digits-hi"), r"^dataset: unknown name 'digits-hi'; did you mean 'digits-high'"),
        (lambda: of(NORMS, width=0.125), r"^Adapt\.backbone: has width 0\.0625, this training has 0\.125"),
        (lambda: of(NORMS, model="vgg19"), r"^Adapt\.backbone: has model 'vgg16', this training has 'vgg19'"),
        (lambda: of(NORMS, model="lenet300"), r"^Adapt\.model: lenet300 has no batch norms"),
        (lambda: of(NORMS, precision="bfp8"), r"^Adapt\.precision: bfp8 is not offered"),
        (
            lambda: of(NORMS, recipe=replace(RECIPE, swa_start=1)),
            r"^Adapt\.recipe\.swa_start: weights are not averaged",
        ),
        (
            lambda: of(NORMS, backbone=replace(BACKBONE, bits=Bits("static", (8,), (8,)))),
            r"^Adapt\.backbone: is of a factorised or quantised network",
        ),
        (lambda: from_json(canonical(SPEC).replace('"method":"kernel-zeros",', "")), r"^Adapt: missing field 'method'"),
    ],
)
def test_bad_input_is_refused_by_name(make, said):
    with pytest.raises(UserError, match=said):
        make()

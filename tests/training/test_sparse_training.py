"""Each sparse method against what its paper says, on networks small enough to follow by hand."""

import math
import re
from dataclasses import replace

import pytest
import torch
from helpers import CPU, NOWHERE, images
from torch import nn

from ebreplicate.catalog import SPARSIFIERS
from ebreplicate.errors import UserError
from ebreplicate.models import build
from ebreplicate.specs.spec import Recipe, Sparse
from ebreplicate.stages import sparse
from ebreplicate.store.store import Store
from ebreplicate.training.dynamic import GMP_BEGIN, drop_fraction, replaced
from ebreplicate.training.loop import Ended, Trainer
from ebreplicate.training.sparse import generator, sparse_layers, target_counts

RECIPE = Recipe(epochs=4, batch_size=8, milestones=(), l1=0.0, augment="none", nesterov=True)
STEPS_PER_EPOCH = 10
X, Y = images(8)[..., :6, :6], torch.arange(8) % 10


def start(method, recipe=RECIPE, layer=None, **more):
    """A hook on a convolution and a linear layer, 40 steps long, and its trainer."""
    torch.manual_seed(5)
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 10))
    more = {"sparsity": 0.5, "interval": 4, "stop": 0.5, **more}
    hook = SPARSIFIERS.load(method)(Sparse("vgg16", "digits", recipe, 1, method=method, **more))
    return hook, Trainer(model, recipe, "fp32", [hook], STEPS_PER_EPOCH)


def flat(hook, name="3"):
    return hook.masks[name].flatten().clone(), hook.weights[name].detach().flatten().clone()


def test_drop_fraction_is_a_cosine():
    assert drop_fraction(0.3, 0, 100) == pytest.approx(0.3)
    assert drop_fraction(0.3, 50, 100) == pytest.approx(0.15)
    assert drop_fraction(0.3, 75, 100) == pytest.approx(0.15 * (1 - math.sqrt(0.5)))
    assert drop_fraction(0.3, 100, 100) == pytest.approx(0)


def test_weights_are_exchanged_by_magnitude_and_growth():
    weight = torch.tensor([0.5, -0.1, 0.0, -0.9, 0.2, 0.0])
    mask = torch.tensor([1, 1, 0, 1, 1, 0]).bool()
    growth = torch.tensor([9.0, 1.0, 2.0, 9.0, 3.0, 0.5])
    # -0.1 and 0.2 go; of what is not kept, 4 (just dropped, growth 3) and 2 (growth 2) come.
    assert replaced(weight, mask, 2, growth).tolist() == [True, False, True, True, True, False]
    assert replaced(weight, mask, 1, growth, grown=0).tolist() == [True, False, False, True, True, False]
    even = torch.zeros(6)
    assert replaced(weight, mask, 0, even, grown=1).tolist() == [True, True, True, True, True, False]  # the earlier one


def test_as_many_weights_are_exchanged_in_a_training_that_diverges():
    nan = float("nan")
    weight = torch.tensor([0.0, nan, -0.1, nan, nan, 0.0, 2.0])
    mask = torch.tensor([False, True, True, True, True, False, True])
    after = replaced(weight, mask, count=3, growth=torch.full((7,), nan))
    assert int(after.sum()) == int(mask.sum())
    assert not replaced(weight, mask, count=2, growth=torch.zeros(7), grown=0)[[2, 6]].any()  # the two that have a size


def test_rigl_grows_where_the_dense_gradient_is_largest_and_leaves_the_step_out():
    hook, trainer = start("rigl")
    for step in range(4):
        trainer.step(X, Y, step)
    (mask, weight), bias = flat(hook), trainer.model[3].bias.detach().clone()
    trainer.model.zero_grad()
    nn.functional.cross_entropy(trainer.model(X), Y).backward()
    gradient = hook.weights["3"].grad.abs().flatten()
    count = int(drop_fraction(0.3, 4, 20) * int(mask.sum()))

    trainer.step(X, Y, 4)

    new, moved = flat(hook)
    smallest = torch.where(mask, weight.abs(), torch.inf).topk(count, largest=False).indices
    kept = mask.clone()
    kept[smallest] = False
    grown = set(torch.where(kept, -1.0, gradient).topk(count).indices.tolist())
    assert set((new & ~kept).nonzero().flatten().tolist()) == grown
    assert count > 10
    assert moved[new & mask].equal(weight[new & mask])  # no optimiser step
    assert trainer.model[3].bias.detach().equal(bias)
    assert not moved[new & ~mask].any()
    momentum = trainer.optimizer.state[hook.weights["3"]]["momentum_buffer"].flatten()
    assert not momentum[new & ~mask].any()
    assert momentum[new & mask].any()


def test_a_grown_weight_moves_by_its_own_gradient_alone():
    """Zero momentum, zero weight: after one plain step it is -rate x gradient x (1 + momentum, for Nesterov)."""
    hook, trainer = start("rigl")
    for step in range(5):
        before, _ = flat(hook)
        trainer.step(X, Y, step)
    now, _ = flat(hook)
    grown = now & ~before
    trainer.step(X, Y, 5)
    gradient = hook.weights["3"].grad.flatten()[grown]
    assert grown.any()
    torch.testing.assert_close(flat(hook)[1][grown], -0.1 * 1.9 * gradient)


@pytest.mark.parametrize(("method", "updates"), [("static", 0), ("set", 4), ("snfs", 4), ("rigl", 4), ("snip", 1)])
def test_masks_change_at_multiples_of_the_interval_until_stop(method, updates):
    hook, trainer = start(method)
    changed = []
    for step in range(40):
        before, done = flat(hook)[0], hook.updates
        trainer.step(X, Y, step)
        changed += [step] * (hook.updates - done)
        assert hook.updates > done or flat(hook)[0].equal(before)
    assert changed == {0: [], 4: [4, 8, 12, 16], 1: [0]}[updates]  # stop: step 20 of 40
    assert hook.steps == 40


def test_set_steps_and_then_grows_at_random():
    hook, trainer = start("set")
    for step in range(4):
        trainer.step(X, Y, step)
    (mask, weight), bias = flat(hook), trainer.model[3].bias.detach().clone()
    trainer.step(X, Y, 4)
    new, moved = flat(hook)
    assert not trainer.model[3].bias.detach().equal(bias)
    assert not moved[new & mask].equal(weight[new & mask])
    score = torch.rand(len(mask), generator=generator(1, 4, 1))
    grown = new & ~mask
    assert score[grown].min() > score[~new & ~mask].max()  # the best of those that were free


def test_outputs_that_lost_every_weight_are_counted_by_layer():
    hook, _ = start("static")
    ended = Ended("ok", None, 1, 8, 50.0, float)  # of which it reads nothing
    assert hook.report(ended).metrics["unconnected_outputs"] == {"0": 0, "3": 0}
    masks = {"0": torch.ones(6, 27), "3": torch.zeros(10, 96)}
    masks["0"][[1, 4]] = 0.0
    masks["3"][:, 7] = 1.0
    masks["3"][2] = 0.0
    for name, mask in masks.items():
        hook.set_mask(name, mask.bool().flatten())
    assert hook.report(ended).metrics["unconnected_outputs"] == {"0": 2, "3": 1}


def test_randomness_differs_between_steps_layers_and_seeds():
    draws = [torch.rand(4, generator=generator(*key)).tolist() for key in [(0, 1, 0), (0, 2, 0), (0, 1, 1), (1, 1, 0)]]
    assert len({tuple(d) for d in draws}) == 4


def test_snfs_shares_growth_by_mean_momentum_and_keeps_the_total():
    hook, trainer = start("snfs", sparsity=0.8)
    total = sum(hook.nnz.values())
    for step in range(4):
        trainer.step(X, Y, step)
    drops = {"0": 10, "3": 30}
    hook.momentum["0"].fill_(3.0)
    hook.momentum["3"].fill_(1.0)
    assert hook.grows(drops) == {"0": 30, "3": 10}  # three to one, and room for both
    hook.momentum["3"].fill_(0.0)
    room = hook.weights["0"].numel() - hook.nnz["0"] + 10
    assert hook.grows({"0": 10, "3": 100}) == {"0": room, "3": 110 - room}  # capped where layer 0 is full
    hook.momentum["0"].fill_(math.nan)
    assert sum(hook.grows(drops).values()) == 40  # a diverging training is a record, not a crash
    for step in range(4, 20):
        trainer.step(X, Y, step)
    assert sum(hook.nnz.values()) == total


def test_snfs_averages_dense_gradients():
    hook, trainer = start("snfs")
    expected = torch.zeros_like(hook.weights["3"])
    for step in range(3):
        trainer.model.zero_grad()
        nn.functional.cross_entropy(trainer.model(X), Y).backward()
        expected = 0.9 * expected + 0.1 * hook.weights["3"].grad
        trainer.step(X, Y, step)
    torch.testing.assert_close(hook.momentum["3"], expected)
    assert expected[~hook.masks["3"]].any()


def test_gradual_pruning_follows_the_cubic_and_prunes_by_magnitude():
    assert GMP_BEGIN * 97_656 == 20_000  # steps of RigL's code
    hook, trainer = start("gmp", stop=1.0)
    size, final = hook.weights["3"].numel(), target_counts(trainer.model, hook.spec)["3"]
    first, last = round(GMP_BEGIN * 40), 39
    counts = []
    for step in range(40):
        before, _ = flat(hook)
        trainer.step(X, Y, step)
        after, weight = flat(hook)
        assert not (after & ~before).any()  # never grown back
        if not after.equal(before):
            assert weight[after].abs().min() > 0
        counts.append(hook.nnz["3"])
    for step in range(first, 39, 4):
        way = (step - first) / (last - first)
        assert counts[step] == size - round((size - final) * (1 - (1 - way) ** 3))
    assert set(counts[: first + 1]) == {size}
    assert counts[-1] == final
    assert hook.mean_density()["3"] == pytest.approx(sum([size, *counts[:-1]]) / (40 * size))


def test_snip_keeps_the_largest_products_of_weight_and_gradient_over_all_layers():
    hook, trainer = start("snip", sparsity=0.7)
    weights = {n: w.detach().clone() for n, w in hook.weights.items()}
    nn.functional.cross_entropy(trainer.model(X), Y).backward()
    scores = torch.cat([(w * hook.weights[n].grad).abs().flatten() for n, w in weights.items()])
    trainer.step(X, Y, 0)
    kept = torch.cat([m.flatten() for m in hook.masks.values()])
    assert int(kept.sum()) == round(0.3 * len(scores))
    assert scores[kept].min() >= scores[~kept].max()
    for name, w in weights.items():  # the pruning step trains nothing
        assert hook.weights[name].detach().equal(w * hook.masks[name])


@pytest.mark.parametrize(("model", "width", "sparsity"), [("vgg16", 1.0, 0.5), ("wideresnet22x2", 0.5, 0.9)])
def test_small_dense_is_the_widest_network_within_the_parameters(model, width, sparsity):
    spec = Sparse(model, "cifar10", width=width, method="small-dense", sparsity=sparsity, distribution="uniform")
    chosen = SPARSIFIERS.load("small-dense")(spec).width()

    def parameters(w):
        with torch.device("meta"):
            return sum(p.numel() for p in build(model, 10, w).parameters())

    with torch.device("meta"):
        full = build(model, 10, width)
    zeros = sum(m.weight.numel() for m in sparse_layers(full).values()) - sum(target_counts(full, spec).values())
    goal = parameters(width) - zeros
    assert 0.9 * goal < parameters(chosen) <= goal
    assert parameters(chosen + 2e-5) > goal


def test_a_network_that_cannot_be_as_small_is_refused():
    spec = Sparse("vgg16", "digits", width=0.001, method="small-dense", sparsity=0.5)
    with pytest.raises(UserError, match=r"Sparse\.sparsity"):
        SPARSIFIERS.load("small-dense")(spec).width()


@pytest.mark.parametrize(("field", "more"), [("precision", {"precision": "bfp8"}), ("recipe.swa_start", {"swa": 2})])
def test_what_sparse_training_does_not_offer_is_refused_before_training(field, more, tmp_path):
    recipe = replace(RECIPE, swa_start=more.pop("swa", None))
    with pytest.raises(UserError, match=rf"^Sparse\.{re.escape(field)}: "):
        sparse(Sparse("vgg16", "digits", recipe, **more), Store(tmp_path), NOWHERE, CPU)
    assert list(tmp_path.iterdir()) == []

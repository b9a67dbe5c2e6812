"""The CroP criterion: by hand, against finite differences, and against a gate on every channel."""

import math

import pytest
import torch
from helpers import digits, random_network
from torch import nn

from ebreplicate.data.arrays import normalised
from ebreplicate.errors import UserError
from ebreplicate.pruning import bn_widths, global_mask, prunable_scores
from ebreplicate.pruning.channels import batch_norms
from ebreplicate.pruning.methods.base import DrawContext
from ebreplicate.pruning.methods.crop import (
    channel_scores,
    crop,
    crop_leak,
    crop_weights,
    flow_gradient,
    grasp_weights,
    sparsities,
    strongest,
    weight_scores,
)
from ebreplicate.pruning.weights import apply_mask, prunable


class Smooth(nn.Module):
    """A small network without kinks, in double precision, so that finite differences are exact enough."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.linear = nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3), nn.Linear(12, 4)
        nn.init.uniform_(self.norm.weight, 0.5, 1.5)
        nn.init.normal_(self.norm.bias)
        self.norm.running_mean.normal_()
        self.double()

    def forward(self, x):
        return self.linear(torch.tanh(self.norm(self.conv(x))).flatten(1))


def batches(count=3, seed=1):
    g = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(5, 2, 4, 4, generator=g, dtype=torch.float64), torch.randint(0, 4, (5,), generator=g))
        for _ in range(count)
    ]


def flow(model, given, weights):
    """Sum over batches of the gradient, flat: written anew."""
    total = torch.zeros(sum(w.numel() for w in weights), dtype=torch.float64)
    for x, y in given:
        model.zero_grad()
        nn.functional.cross_entropy(model.eval()(x), y).backward()
        total += torch.cat([w.grad.flatten() for w in weights])
    return total


def test_two_weights_by_hand():
    """One image, two logits a and b: g = (-p, p), H = p (1 - p) [[1, -1], [-1, 1]] with p the second probability."""
    model = nn.Sequential(nn.Linear(1, 2, bias=False))
    a, b, p = math.log(3) + 1, 1.0, 0.25
    model[0].weight.data = torch.tensor([[a], [b]])
    given = [(torch.ones(1, 1), torch.zeros(1, dtype=torch.int64))]
    h_g = [-2 * p * p * (1 - p), 2 * p * p * (1 - p)]
    found = weight_scores(model, given)
    assert found.tolist() == pytest.approx([a * h_g[0], b * h_g[1]])
    # The absolute score keeps the first weight, the signed one the second.
    assert found.abs().argmax() == 0
    assert found.argmax() == 1


def test_the_product_is_that_of_finite_differences():
    model, given = Smooth(), batches()
    weights = prunable(model)
    asked = [*weights, model.norm.weight, model.norm.bias]
    held = flow(model, given, weights)
    for parameter, exact in zip(asked, flow_gradient(model, given, asked), strict=True):
        numeric = torch.zeros_like(parameter)
        for i in range(parameter.numel()):
            at = parameter.data.view(-1)
            sides = []
            for step in (1e-5, -1e-5):
                at[i] += step
                sides.append(held @ flow(model, given, weights))
                at[i] -= step
            numeric.view(-1)[i] = (sides[0] - sides[1]) / 2e-5
        assert exact.numpy() == pytest.approx(numeric.numpy(), rel=1e-5, abs=1e-7)


def test_a_channel_scores_as_a_gate_on_it():
    model, given = Smooth(), batches()
    held, gate = flow(model, given, prunable(model)), torch.ones(3, dtype=torch.float64, requires_grad=True)
    handle = model.norm.register_forward_hook(lambda _m, _x, out: out * gate[:, None, None])
    total = 0.0
    for x, y in given:
        loss = nn.functional.cross_entropy(model.eval()(x), y)
        gradients = torch.autograd.grad(loss, prunable(model), create_graph=True)
        total = total + held @ torch.cat([g.flatten() for g in gradients])
    (expected,) = torch.autograd.grad(total, gate)
    handle.remove()
    assert channel_scores(model, given).numpy() == pytest.approx(expected.abs().numpy(), rel=1e-9)


def test_dropped_weights_take_no_part_in_the_flow():
    """A mask on the gradients, and zeros in the network: the same as a network that never had those weights."""
    model, given = Smooth(), batches()
    keep = torch.ones(sum(w.numel() for w in prunable(model)), dtype=torch.bool)
    keep[18:36] = False  # the second of three filters
    apply_mask(model, keep)
    scores = weight_scores(model, given, keep)
    assert (scores[~keep] == 0).all()
    held = flow(model, given, prunable(model)) * keep
    weight = model.conv.weight.data.view(-1)
    sides = []
    for step in (1e-5, -1e-5):
        weight[0] += step
        sides.append(held @ flow(model, given, prunable(model)))
        weight[0] -= step
    assert scores[0].item() == pytest.approx((weight[0] * (sides[0] - sides[1]) / 2e-5).item(), rel=1e-5)


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (0.98, [0.5, 0.74, 0.86, 0.92, 0.95, 0.965, 0.98]),  # the released code's, as the page has them
        (0.4, [0.25, 0.325, 0.3625, 0.38125, 0.390625, 0.3953125, 0.4]),
        (0.2, [0.1, 0.15, 0.175, 0.1875, 0.19375, 0.196875, 0.2]),
    ],
)
def test_the_steps_of_iterative_pruning(ratio, expected):
    assert sparsities(ratio) == pytest.approx(expected)


def given_digits(split):
    data = digits(train=60, test=40)
    return list(normalised(data.train if split == "train" else data.test, data))


def context(ratio=0.5, batches=given_digits):
    model = random_network("vgg16", 0.0625, seed=0)
    return DrawContext(prunable_scores(model), bn_widths(model), ratio, model=model, batches=batches)


@pytest.mark.parametrize(("method", "split"), [(crop, "train"), (crop_leak, "test"), (grasp_weights, "train")])
def test_the_leak_alone_looks_at_test_images(method, split):
    asked = []
    method(context(batches=lambda name: asked.append(name) or given_digits(name)))
    assert asked == [split]


def test_weights_are_scored_anew_after_every_step():
    one = context(0.9)
    once = weight_scores(one.model, given_digits("train")).abs()
    kept = crop_weights(one)
    assert kept.float().mean().item() == pytest.approx(0.1, abs=0.01)
    best = torch.zeros_like(kept)
    best[once.topk(int(kept.sum())).indices] = True
    assert not kept.equal(best)
    assert not kept.equal(grasp_weights(one))


def test_of_equal_scores_the_first_go_and_no_more_than_the_ratio():
    scores = torch.tensor([0.0, 3.0, 0.0, 1.0, 0.0, 2.0, 0.0, 0.0])
    assert strongest(scores, 0.25).tolist() == [False, True, False, True, False, True, True, True]
    distinct = torch.rand(97, generator=torch.Generator().manual_seed(3))
    assert all(strongest(distinct, r).equal(global_mask(distinct, r)) for r in (0.1, 0.5, 0.98))


def test_a_method_without_labelled_images_says_so():
    one = context()
    with pytest.raises(UserError, match=r"DrawContext\.batches: this method needs labelled images"):
        crop(DrawContext(one.scores, one.widths, 0.5, model=one.model))


def test_statistics_and_mode_stay_as_they_were():
    model = context().model.train()
    before = [bn.running_mean.clone() for bn in batch_norms(model)]
    channel_scores(model, given_digits("train"))
    assert model.training
    assert all(bn.running_mean.equal(b) for bn, b in zip(batch_norms(model), before, strict=True))
    assert all(p.grad is None for p in model.parameters())

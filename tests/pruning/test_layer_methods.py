"""ThiNet and uniform filter pruning on layers where the answer is obvious, and against a second implementation."""

import itertools
from dataclasses import replace

import pytest
import torch
from helpers import CPU, NOWHERE, images, random_network, tiny_search
from torch import nn

from ebreplicate.errors import UserError
from ebreplicate.pruning import bn_widths, prunable_scores, shrink
from ebreplicate.pruning.channels import batch_norms
from ebreplicate.pruning.methods.base import DrawContext
from ebreplicate.pruning.methods.layers import kept, neighbours
from ebreplicate.pruning.methods.thinet import LOCATIONS, contributions, removed, thinet
from ebreplicate.pruning.methods.uniform import uniform
from ebreplicate.runner.inputs import load_data
from ebreplicate.runner.samples import sampled_images


def test_images_are_looked_at_as_the_search_trains_on_them():
    search = replace(tiny_search(), standardise=False, validation=20)
    found = sampled_images(search, NOWHERE, 1000)
    trained = load_data(search, NOWHERE, CPU).train.images
    assert len(found) == len(trained) == 40
    torch.testing.assert_close(found, trained / 255)  # in [0, 1], and none that is held out
    assert len(sampled_images(search, NOWHERE, 10)) == 10


def context(model, ratio):
    return DrawContext(prunable_scores(model), bn_widths(model), ratio, model=model, images=lambda n: images(12))


def gram(terms):
    return terms.T @ terms


def test_contributions_sum_to_outputs_of_the_layer():
    torch.manual_seed(0)
    conv, x = nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False), torch.randn(5, 3, 8, 8)
    rows = contributions(conv, x, torch.Generator().manual_seed(1))
    assert rows.shape == (5 * LOCATIONS, 3)
    outputs = conv(x).detach()
    for i, total in enumerate(rows.sum(1)):
        assert (outputs[i // LOCATIONS] - total).abs().min() < 1e-5
    assert len(set(rows.sum(1).tolist())) > LOCATIONS  # not one location over and over


def test_contributions_of_a_linear_layer_are_its_products():
    linear, x = nn.Linear(3, 1), torch.randn(2, 3)
    rows = contributions(linear, x, torch.Generator())
    assert rows.allclose((x * linear.weight.detach()).repeat_interleave(LOCATIONS, 0))


def test_a_silent_channel_and_a_cancelling_pair_go_first():
    """The pair is removed together at no error, though each alone is as loud as the channels that stay."""
    torch.manual_seed(0)
    loud, other = torch.randn(200, 2).mul(3), torch.randn(200, 1)
    terms = torch.cat([loud, other, -other, torch.zeros(200, 1)], 1)
    assert removed(gram(terms), 1).tolist() == [4]
    assert removed(gram(terms), 3).tolist() == [2, 3, 4]


def test_greedy_choice_step_by_step_equals_the_definition():
    terms = torch.randn(60, 7, generator=torch.Generator().manual_seed(3)).double()
    gone: list[int] = []
    for _ in range(4):  # Algorithm 1, written out
        rest = [j for j in range(7) if j not in gone]
        gone.append(min(rest, key=lambda j: float(terms[:, [*gone, j]].sum(1).square().sum())))
    assert removed(gram(terms), 4).tolist() == sorted(gone)
    best = min(itertools.combinations(range(7), 1), key=lambda s: float(terms[:, s].sum(1).square().sum()))
    assert removed(gram(terms), 1).tolist() == list(best)


@pytest.mark.parametrize(("name", "width"), [("vgg16", 0.0625), ("preresnet20", 0.25)])
@pytest.mark.parametrize("method", [thinet, uniform])
def test_every_prunable_layer_loses_the_ratio_and_the_residual_stream_nothing(name, width, method):
    model = random_network(name, width, seed=1)
    mask = method(context(model, 0.5))
    for pair, piece in zip(neighbours(model), mask.split(bn_widths(model)), strict=True):
        assert int(piece.sum()) == (len(piece) if pair is None else kept(len(piece), 0.5))
    small = shrink(model, mask)
    assert small(images(2)).shape == (2, 10)


@pytest.mark.parametrize("name", ["vgg16", "preresnet20"])
def test_channels_that_nobody_listens_to_go_and_the_network_computes_the_same(name):
    """Half of the inputs of every consumer are given zero weight: ThiNet must find exactly those."""
    model = random_network(name, 0.125, seed=2)
    expected = []
    for pair, width in zip(neighbours(model), bn_widths(model), strict=True):
        deaf = torch.zeros(width, dtype=torch.bool)
        if pair is not None:
            deaf[torch.randperm(width, generator=torch.Generator().manual_seed(width))[: width - kept(width, 0.5)]] = 1
            pair[1].weight.data[:, deaf] = 0
        expected.append(~deaf)
    for bn in batch_norms(model):  # every channel is heard somewhere: statistics of these very images, positive shift
        nn.init.constant_(bn.bias, 2.0)
        bn.reset_running_stats()
        bn.momentum = None
    model.train()(images(12))
    model.eval()
    x, mask = images(3), thinet(context(model, 0.5))
    assert mask.equal(torch.cat(expected))
    assert shrink(model, mask)(x).allclose(model(x), atol=1e-4)


@pytest.mark.parametrize("method", [thinet, uniform])
def test_a_vanishing_ratio_removes_nothing(method):
    model = random_network("vgg16", 0.0625, seed=0).eval()
    mask = method(context(model, 0.01))
    assert mask.all()
    assert shrink(model, mask)(images(2)).equal(model(images(2)))


def test_uniform_keeps_the_filters_of_largest_norm():
    model = random_network("vgg16", 0.0625, seed=0)
    first = neighbours(model)[0][0]
    for i, scale in enumerate((2.0, -1.0, 0.5, -4.0)):
        nn.init.constant_(first.weight[i], scale)
    assert uniform(context(model, 0.5))[:4].tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("width", "ratio", "left"), [(64, 0.3, 45), (64, 0.7, 19), (5, 0.7, 2), (1, 0.9, 1), (4, 0.99, 1)]
)
def test_widths_are_rounded_and_never_zero(width, ratio, left):
    assert kept(width, ratio) == left


@pytest.mark.parametrize("method", [thinet, uniform])
def test_a_draw_without_the_network_is_refused(method):
    with pytest.raises(UserError, match=r"DrawContext\.model"):
        method(DrawContext(torch.rand(8), [4, 4], 0.5))


def test_thinet_without_images_and_an_unknown_network_are_refused():
    model = random_network("vgg16", 0.0625, seed=0)
    with pytest.raises(UserError, match=r"DrawContext\.images"):
        thinet(DrawContext(prunable_scores(model), bn_widths(model), 0.5, model=model))
    with pytest.raises(UserError, match="no layer-wise pruning for Linear"):
        neighbours(nn.Linear(2, 2))

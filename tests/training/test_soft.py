"""Soft filter pruning: a layer worked out by hand, the removed network beside the soft one, and filters that return."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from helpers import CPU, NOWHERE, TINY, digits, images, random_network, tiny_search

from ebreplicate import stages
from ebreplicate.errors import UserError
from ebreplicate.models import build
from ebreplicate.pruning import bn_widths, shrink
from ebreplicate.pruning.channels import batch_norms, split_mask
from ebreplicate.pruning.filters import filter_mask, prunable_filters, prune_softly, weakest
from ebreplicate.pruning.methods.base import DrawContext
from ebreplicate.pruning.methods.soft import soft
from ebreplicate.runner.hooks import search_hooks
from ebreplicate.runner.inputs import load_mask, network
from ebreplicate.runner.rebuild import load_weights
from ebreplicate.specs.bits import Bits
from ebreplicate.specs.graph import Plan
from ebreplicate.specs.spec import Ticket, key
from ebreplicate.store.store import Store
from ebreplicate.training.loop import evaluate, fit
from ebreplicate.training.soft import SoftFilters

NETWORKS = [("vgg16", 0.125), ("preresnet20", 0.5), ("resnet18", 0.125), ("resnet50", 0.125)]
SOFT = replace(tiny_search(replace(TINY, l1=0.0), width=0.125), soft_ratio=0.3)


def test_the_weakest_filters_are_those_of_smallest_norm():
    weight = torch.tensor([[3.0, 4.0], [-1.0, 0.0], [2.0, -2.0], [0.0, 0.5], [9.0, 9.0]])  # norms 5, 1, 2.8, 0.5, 12.7
    assert weakest(weight, 0.3).tolist() == [3]  # int(5 * 0.3) = 1
    assert weakest(weight, 0.5).tolist() == [3, 1]
    assert weakest(weight, 0.9).tolist() == [3, 1, 2, 0]


@pytest.mark.parametrize(("name", "width"), NETWORKS)
def test_a_softly_pruned_network_is_the_one_with_those_channels_removed(name, width):
    model = random_network(name, width, seed=0).eval()
    before = model(images(3))
    prune_softly(prunable_filters(model), 0.4)
    mask = filter_mask(model)
    pruned = {bn for _, bn in prunable_filters(model)}
    for bn, keep in zip(batch_norms(model), split_mask(model, mask), strict=True):
        assert int((~keep).sum()) == (int(0.4 * len(keep)) if bn in pruned else 0)
        assert (bn.weight != 0).all()  # what may grow back
    torch.testing.assert_close(shrink(model, mask)(images(3)), model(images(3)), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(before, model(images(3)), atol=1e-2)


@pytest.mark.parametrize(("name", "width"), NETWORKS)
def test_quantised_layers_are_pruned_like_plain_ones(name, width):
    search = replace(SOFT, model=name, width=width, recipe=replace(SOFT.recipe, epochs=1, milestones=()))
    search = replace(search, bits=Bits("static", (8,), (8,)))
    data, model, plain = digits(), network(search), network(search)
    fit(model, data, search.recipe, seed=0, hooks=search_hooks(search, data))
    plain.load_state_dict(model.state_dict())
    pruned = {bn for _, bn in prunable_filters(plain)}
    for bn, keep in zip(batch_norms(plain), split_mask(plain, filter_mask(plain)), strict=True):
        assert int((~keep).sum()) == (int(0.3 * len(keep)) if bn in pruned else 0)


def test_projection_shortcuts_are_left_alone_and_the_stem_is_not():
    model = build("resnet50", 10, 0.125)
    convolutions = {conv for conv, _ in prunable_filters(model)}
    every = {name: m for name, m in model.named_modules() if isinstance(m, torch.nn.Conv2d)}
    assert {name for name, m in every.items() if m not in convolutions} == {
        f"stages.{i}.0.downsample.0" for i in range(4)
    }
    assert model.conv1 in convolutions


def test_filters_are_zero_after_every_epoch_and_some_come_back():
    masks = []
    model = network(SOFT)
    state = fit(
        model,
        digits(),
        SOFT.recipe,
        seed=0,
        observers=[lambda s: masks.append(filter_mask(s.model)) if s.epoch else None],
        hooks=[SoftFilters(0.3)],
    )
    assert [int((~m).sum()) for m in masks] == [sum(int(0.3 * w) for w in bn_widths(model))] * 3
    assert any(not a.equal(b) for a, b in pairwise(masks))
    small = shrink(model, masks[-1])
    assert evaluate(small, digits())[1] == pytest.approx(state.test_accuracy)


def test_a_soft_draw_is_the_pruned_network_of_the_last_evaluation(tmp_path):
    store, ticket = Store(tmp_path), Ticket(SOFT, 0.3, "final", "soft")
    found = stages.search(SOFT, store, NOWHERE, CPU, Plan([ticket]).keep[key(SOFT)])
    drawn = stages.draw(ticket, store)
    assert drawn["metrics"]["epoch"] == 3
    assert drawn["metrics"]["channels"] == [w - int(0.3 * w) for w in bn_widths(network(SOFT))]
    dense, small = found["cost"]["forward_flops"]["authors"], drawn["cost"]["forward_flops"]["authors"]
    assert small < 0.7 * dense
    assert found["cost"]["training_flops"]["authors"] == pytest.approx(3 * 60 * 3 * dense)  # trains the dense network
    model = network(SOFT)
    load_weights(model, SOFT, 3, store, NOWHERE, CPU)
    pruned = shrink(model, load_mask(ticket, store, sum(bn_widths(model))))
    assert evaluate(pruned, digits())[1] == pytest.approx(found["metrics"]["last_accuracy"])


def test_a_soft_draw_of_a_search_without_soft_pruning_is_refused():
    model = build("vgg16", 10, 0.0625)
    widths = bn_widths(model)
    with pytest.raises(UserError, match=r"^Ticket\.method: 'soft' needs a search with soft_ratio"):
        soft(DrawContext(torch.ones(sum(widths)), widths, 0.3, model=model))

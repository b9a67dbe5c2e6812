"""What every registered pruning method promises, whether its mask is over channels or over single weights."""

import copy
import re
import sys

import pytest
import torch
from helpers import digits, images, random_network

from ebreplicate.catalog import METHODS, WEIGHT_METHODS
from ebreplicate.data.arrays import normalised
from ebreplicate.pruning.channels import bn_widths
from ebreplicate.pruning.filters import prunable_filters, prune_softly
from ebreplicate.pruning.methods.base import DrawContext
from ebreplicate.pruning.weights import apply_mask, weight_counts

pytestmark = pytest.mark.parametrize("name", sorted(METHODS))
CLOSE = {"soft": 0.03}
"""How near the ratio a mask comes, if not within 0.01: soft pruning rounds down, layer by layer."""


def context(name, ratio=0.5, seed=0):
    """A draw from a VGG16 of 528 channels; its scores are drawn, so that no two are equal.

    Soft and nonzero find their mask in what pruning did to the network before, at the same ratio.
    """
    model = random_network("vgg16", 0.125, seed=0)
    if name == "soft":
        prune_softly(prunable_filters(model), ratio)
    if name == "nonzero":
        places = torch.rand(sum(weight_counts(model)), generator=torch.Generator().manual_seed(8))
        apply_mask(model, places >= ratio)
    widths = bn_widths(model)
    scores = torch.rand(sum(widths), generator=torch.Generator().manual_seed(7))
    data = digits(20, 20)
    given = {"taylor": scores.flip(0), "images": lambda count: images(min(count, 4))}
    given["batches"] = lambda split: list(normalised(getattr(data, split), data))
    return DrawContext(scores, widths, ratio, seed, model, **given)


def length(name, given):
    return sum(weight_counts(given.model) if name in WEIGHT_METHODS else given.widths)


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_mask_is_boolean_and_removes_the_ratio(name, ratio):
    given = context(name, ratio)
    mask = METHODS.load(name)(given)
    assert mask.dtype == torch.bool
    assert mask.shape == (length(name, given),)
    assert 1 - mask.float().mean().item() == pytest.approx(ratio, abs=CLOSE.get(name, 0.01))


def test_method_names_its_source(name):
    method = METHODS.load(name)
    told = f"{sys.modules[method.__module__].__doc__} {method.__doc__}"
    assert re.search(r"(ICLR|ICCV|CVPR|ICML|IJCAI|NeurIPS) \d{4}", told)


def test_method_is_pure(name):
    method, given = METHODS.load(name), context(name)
    before, state = copy.deepcopy(given), torch.get_rng_state()

    first = method(given)
    torch.rand(5)
    second = method(given)

    assert first.equal(second)
    assert given.scores.equal(before.scores)
    assert given.widths == before.widths
    weights = zip(given.model.state_dict().values(), before.model.state_dict().values(), strict=True)
    assert all(a.equal(b) for a, b in weights)
    torch.set_rng_state(state)
    method(given)
    assert torch.get_rng_state().equal(state)  # and it takes nothing from the global generator

"""What every registered pruning method promises."""

import copy

import pytest
import torch

from ebreplicate.models import build
from ebreplicate.pruning.methods import METHODS, NEEDS_WEIGHTS
from ebreplicate.pruning.methods.base import DrawContext
from ebreplicate.pruning.surgery import bn_widths

NETWORK = build("vgg16", 10, 0.25)
WIDTHS = bn_widths(NETWORK)
pytestmark = pytest.mark.parametrize("name", sorted(METHODS))


def pictures(count):
    return torch.randn(min(count, 4), 3, 32, 32, generator=torch.Generator().manual_seed(5))


def context(name, ratio=0.5, seed=0):
    scores = torch.rand(sum(WIDTHS), generator=torch.Generator().manual_seed(7))
    given = {"model": NETWORK, "images": pictures} if name in NEEDS_WEIGHTS else {}
    return DrawContext(scores, list(WIDTHS), ratio, seed, **given)


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_mask_is_boolean_and_removes_the_ratio(name, ratio):
    mask = METHODS.load(name)(context(name, ratio))
    assert mask.dtype == torch.bool
    assert mask.shape == (sum(WIDTHS),)
    assert 1 - mask.float().mean().item() == pytest.approx(ratio, abs=0.01)


def test_method_is_pure(name):
    method, given = METHODS.load(name), context(name)
    before, state = copy.deepcopy(given), torch.get_rng_state()

    first = method(given)
    torch.rand(5)
    second = method(given)

    assert first.equal(second)
    assert given.scores.equal(before.scores)
    assert given.widths == before.widths
    torch.set_rng_state(state)
    method(given)
    assert torch.get_rng_state().equal(state)  # and it takes nothing from the global generator

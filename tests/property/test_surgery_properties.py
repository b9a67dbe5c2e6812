"""A shrunk network computes what the masked dense network computes."""

from functools import cache

import pytest
import torch
from helpers import images, random_network
from hypothesis import given, settings
from hypothesis import strategies as st

from ebreplicate.pruning import bn_widths, masked, shrink

WIDTHS = {"vgg16": 0.0625, "preresnet20": 0.125, "resnet18": 0.125, "resnet50": 0.0625}
LARGE = ("resnet18", "resnet50")
pytestmark = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in WIDTHS]
)


@cache
def dense_network(name):
    return random_network(name, WIDTHS[name], seed=3)


def random_mask(widths, density, empty, seed):
    """Bool mask that keeps about `density` of the channels and none of the layers in `empty`."""
    generator = torch.Generator().manual_seed(seed)
    pieces = [torch.rand(w, generator=generator) < density for w in widths]
    return torch.cat([torch.zeros_like(p) if i in empty else p for i, p in enumerate(pieces)])


@given(st.floats(0.1, 1.0), st.sets(st.integers(0, 12), max_size=3), st.integers(0, 1000), st.booleans())
@settings(max_examples=12)
def test_shrunk_network_equals_the_masked_one_forward_and_backward(name, density, empty, seed, training):
    dense = dense_network(name).train(training)  # neither shrunk nor masked itself: both are copies
    mask = random_mask(bn_widths(dense), density, empty, seed)

    logits, slopes = [], []
    for model in (shrink(dense, mask), masked(dense, mask)):
        assert model.training == training
        x = images(4, seed).requires_grad_()
        logits.append(model(x))
        logits[-1].square().mean().backward()
        slopes.append(x.grad)

    tolerance = 1e-4 if training else 1e-5  # the statistics of four images amplify rounding, layer after layer
    torch.testing.assert_close(logits[0], logits[1], rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-3, atol=1e-3 * slopes[1].abs().max().item())

"""Masks over frozen convolutions: their values, their gradients against the written formula, and what they store."""

import pytest
import torch
from torch import nn

from ebreplicate.catalog import FINE_TUNING, KERNEL_ALL, KERNEL_BINARY, KERNEL_ZEROS, MASKED, NORMS, PIGGYBACK
from ebreplicate.models import build
from ebreplicate.models.masked import START, Mask, freeze, masks, storage, zeros


def made(method, weight, seed=1):
    """A mask whose numbers are spread around zero, as after training."""
    mask = Mask(weight, method)
    with torch.no_grad():
        mask.reals.copy_(torch.randn(mask.reals.shape, generator=torch.Generator().manual_seed(seed)))
    return mask


def weight(a=4, b=3, k=3):
    return torch.randn(a, b, k, k, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("method", MASKED)
def test_entries_that_are_on_pass_and_those_that_are_off_are_exactly_what_the_method_says(method):
    w = weight()
    mask = made(method, w)
    r = mask.reals.detach().expand(w.shape)
    assert mask.reals.shape == (w.shape if method == PIGGYBACK else (4, 3, 1, 1))
    on = {KERNEL_ALL: w * (1 + r)}.get(method, w)
    off = w * r if method in (KERNEL_ZEROS, KERNEL_ALL) else torch.zeros_like(w)
    assert mask(w).equal(torch.where(r > 0, on, off))
    assert 0 < int((r > 0).sum()) < r.numel()


@pytest.mark.parametrize("method", MASKED)
def test_gradients_are_those_of_the_written_formula(method):
    w, g = weight(), weight().flip(0).cos()  # g: gradient of the masked weight
    mask = made(method, w)
    mask(w).backward(g)
    r = mask.reals.detach()
    s = 1 / (1 + torch.exp(-r))
    slope, bits = s * (1 - s), (r > 0).double()
    by_r = {
        PIGGYBACK: torch.ones_like(r),
        KERNEL_BINARY: slope,
        KERNEL_ZEROS: slope * (1 - r) + (1 - bits),
        KERNEL_ALL: slope + 1,
    }[method]
    by_mask = g * w if method == PIGGYBACK else (g * w).sum((2, 3), keepdim=True)
    torch.testing.assert_close(mask.reals.grad, by_mask * by_r)


def test_the_sigmoid_is_the_two_way_softmax_of_its_logarithms():
    r = torch.linspace(-4, 4, 9, dtype=torch.float64)
    q = torch.sigmoid(r)
    torch.testing.assert_close(torch.stack([q.log(), (1 - q).log()]).softmax(0)[0], q)


@pytest.mark.parametrize("method", [*MASKED, NORMS])
def test_a_frozen_network_is_the_network_and_trains_masks_norms_and_classifier(method):
    torch.manual_seed(0)
    model, x = build("vgg16", 5, 0.0625).eval(), torch.randn(2, 3, 32, 32)
    before = model(x)
    freeze(model, method)
    scale = 1 + START if method == KERNEL_ALL else 1
    assert len(masks(model)) == (13 if method in MASKED else 0)
    assert zeros(model) == 0
    if scale == 1:
        assert model(x).equal(before)
    trains = {name for name, p in model.named_parameters() if p.requires_grad}
    norms = {n for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}
    expected = {f"{n}.{part}" for n in norms for part in ("weight", "bias")} | {"classifier.weight", "classifier.bias"}
    expected |= {n for n, _ in model.named_parameters() if n.endswith(".reals")}
    assert trains == expected


def test_pointwise_convolutions_and_strides_are_masked_too():
    torch.manual_seed(0)
    model, x = build("preresnet20", 5, 0.25).eval(), torch.randn(2, 3, 32, 32)
    before = model(x)
    freeze(model, KERNEL_BINARY)
    assert model(x).equal(before)
    with torch.no_grad():
        for mask in masks(model):
            mask.reals.fill_(-1.0)
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == len(masks(model))
    assert all(not layer.weight.any() for layer in convolutions)


def test_bits_are_counted_by_hand_for_a_network_of_two_convolutions():
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 1, bias=False), nn.Linear(3, 5)
    )
    own = 32 * (4 * 4 + 3 * 5 + 5)
    weights, kernels = 2 * 4 * 9 + 4 * 3, 2 * 4 + 4 * 3
    expected = {
        PIGGYBACK: (weights, weights, 0),
        KERNEL_BINARY: (kernels, kernels, 0),
        KERNEL_ZEROS: (kernels, kernels + 32 * 7, 0),
        KERNEL_ALL: (kernels, 33 * kernels, 0),
        NORMS: (0, 0, 0),
        FINE_TUNING: (0, 0, 32 * weights),
    }
    for method, (entries, bits, more) in expected.items():
        found = storage(model, method, 7)
        assert found == {"mask_entries": entries, "mask_zeros": 7, "mask_bits": bits, "task_bits": bits + own + more}


def test_vgg16_has_a_ninth_as_many_kernels_as_weights():
    model = build("vgg16", 5)
    counts = [storage(model, method, 0)["mask_entries"] for method in (PIGGYBACK, KERNEL_BINARY)]
    assert counts == [14_710_464, 1_634_496] == [9 * counts[1], counts[1]]

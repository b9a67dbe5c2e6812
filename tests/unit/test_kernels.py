"""Convolutions tap by tap and in emulated bf16, against torch's own and against float64."""

import copy
from dataclasses import replace

import pytest
import torch
from helpers import CPU, TINY, digits, images, random_network, tiny_search
from torch import nn

from ebreplicate.errors import UserError
from ebreplicate.plan.spec import KERNELS, Recipe, Search, key
from ebreplicate.stages import network
from ebreplicate.training import kernels
from ebreplicate.training.loop import Trainer, fit, measure


def operands(side, inputs, outputs, batch=3, dtype=torch.float32):
    g = torch.Generator().manual_seed(side * inputs)
    shapes = ((batch, inputs, side, side), (outputs, inputs, 3, 3), (batch, outputs, side, side))
    return [torch.randn(s, generator=g, dtype=dtype).to(memory_format=torch.channels_last) for s in shapes]


@pytest.mark.parametrize("side", [1, 2, 3, 4, 8])
def test_taps_equal_the_convolution_and_its_gradients(side):
    x, weight, gradient = operands(side, 5, 7, dtype=torch.float64)
    x.requires_grad_(), weight.requires_grad_()
    expected = nn.functional.conv2d(x, weight, padding=1)
    expected.backward(gradient)
    with torch.no_grad():
        torch.testing.assert_close(kernels.conv3x3(x, weight), expected)
        torch.testing.assert_close(kernels.conv3x3_input_gradient(gradient, weight), x.grad)
        torch.testing.assert_close(kernels.conv3x3_weight_gradient(gradient, x), weight.grad)


def test_taps_of_a_map_that_is_not_square():
    x, weight, gradient = torch.randn(2, 3, 2, 5), torch.randn(4, 3, 3, 3), torch.randn(2, 4, 2, 5)
    back = torch.ops.aten.convolution_backward
    dx, dw, _ = back(gradient, x, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, True, False])
    torch.testing.assert_close(kernels.conv3x3(x, weight), nn.functional.conv2d(x, weight, padding=1))
    torch.testing.assert_close(kernels.conv3x3_input_gradient(gradient, weight), dx)
    torch.testing.assert_close(kernels.conv3x3_weight_gradient(gradient, x), dw)


@pytest.fixture
def always(monkeypatch):
    """Taps on every map, as thresholds may be on another processor."""
    monkeypatch.setattr(kernels, "WEIGHT_SIDES", ((32, 1),))
    monkeypatch.setattr(kernels, "MAP_SIDES", ((32, 1),))


@pytest.fixture
def calls(monkeypatch):
    """Names of the tap functions that were called."""
    seen = []
    for name in ("conv3x3", "conv3x3_input_gradient", "conv3x3_weight_gradient"):
        function = getattr(kernels, name)
        monkeypatch.setattr(kernels, name, lambda *a, f=function, n=name: (seen.append(n), f(*a))[1])
    return seen


@pytest.mark.parametrize("name", ["vgg16", "preresnet20", "resnet18"])
def test_a_step_with_taps_is_the_step_without(name, always, calls):
    model = random_network(name, 0.125, seed=0).train().to(memory_format=torch.channels_last)
    x, y = images(8).to(memory_format=torch.channels_last), torch.arange(8)
    models = {k: copy.deepcopy(model) for k in KERNELS}
    losses = {k: Trainer(m, Recipe(lr=0.01, kernels=k)).step(x, y).item() for k, m in models.items()}
    assert {"conv3x3", "conv3x3_weight_gradient"} <= set(calls)
    assert losses["taps"] == pytest.approx(losses["torch"], rel=1e-5)
    for a, b in zip(models["taps"].parameters(), models["torch"].parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_taps_are_taken_where_they_pay(calls):
    def taken(width):
        calls.clear()
        Trainer(random_network("vgg16", width, seed=0).train(), Recipe(kernels="taps")).step(images(4), torch.arange(4))
        return [calls.count(n) for n in ("conv3x3", "conv3x3_input_gradient", "conv3x3_weight_gradient")]

    # The last three layers see 2x2 maps, the three before them 4x4: of 32 channels, and of 64 (the first from 32).
    assert taken(0.0625) == [3, 3, 0]
    assert taken(0.125) == [3, 3, 5]


def test_torch_kernels_leave_convolutions_alone(always, calls):
    Trainer(random_network("vgg16", 0.0625, seed=0).train(), Recipe()).step(images(4), torch.arange(4))
    assert calls == []


def test_kernels_are_part_of_the_key_only_where_they_are_not_the_default():
    plain, taps = Search("vgg16", "cifar10"), Search("vgg16", "cifar10", Recipe(kernels="taps"))
    assert key(plain) == "vgg16-cifar10-s0-3355e60abf"
    assert key(taps) != key(plain)
    with pytest.raises(UserError, match=r"Recipe\.kernels"):
        Recipe(kernels="tabs")


def test_the_loss_curve_with_taps_is_that_without(always):
    recipe = replace(TINY, epochs=1, augment="crop-flip", lr=0.01)
    spec = tiny_search(recipe)
    curves = [
        [row["train_loss"] for row in fit(network(spec), digits(), replace(recipe, kernels=k), seed=0).history]
        for k in KERNELS
    ]
    assert curves[1] == pytest.approx(curves[0], rel=1e-4)


def rounded(t):
    return t.bfloat16().double()


@pytest.mark.parametrize("taps", [False, True])
def test_emulated_bf16_rounds_operands_and_result_and_nothing_between(taps, always):
    """Against the exact convolution of the rounded operands: within half a unit in the last place of bf16."""
    x, weight, gradient = operands(4, 6, 5)
    x, weight = x.bfloat16().requires_grad_(), weight.requires_grad_()
    layer = nn.Conv2d(6, 5, 3, padding=1, bias=False)
    layer.weight = nn.Parameter(weight.detach())
    with kernels.Convolutions(taps, emulate=True):
        out = layer(x)
    exact_x, exact_w = rounded(x.detach()).requires_grad_(), rounded(weight.detach()).requires_grad_()
    exact = nn.functional.conv2d(exact_x, exact_w, padding=1)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.double(), exact, rtol=2**-8, atol=1e-4)
    out.backward(gradient.bfloat16())
    exact.backward(rounded(gradient))
    assert x.grad.dtype == torch.bfloat16
    assert layer.weight.grad.dtype == torch.float32
    torch.testing.assert_close(x.grad.double(), exact_x.grad, rtol=2**-8, atol=1e-4)
    torch.testing.assert_close(layer.weight.grad.double(), exact_w.grad, rtol=2**-8, atol=1e-4)


@pytest.mark.parametrize("native", [False, True])
def test_bf16_is_emulated_only_where_the_processor_lacks_it(monkeypatch, native):
    monkeypatch.setattr(kernels, "has_bf16", lambda: native)
    used = []
    function = kernels._Convolution.apply
    monkeypatch.setattr(kernels._Convolution, "apply", lambda *a: (used.append(a), function(*a))[1])
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False))
    with kernels.arithmetic("bf16", CPU):
        assert model(images(2)).dtype == torch.bfloat16
    assert bool(used) != native
    with kernels.arithmetic("fp32", CPU):
        assert model(images(2)).dtype == torch.float32


def test_evaluation_in_bf16_agrees_with_fp32():
    model, data = random_network("vgg16", 0.125, seed=0), digits()
    exact, half = measure(model, data), measure(model, data, "bf16")
    assert half.loss == pytest.approx(exact.loss, rel=0.05)
    assert half.loss != exact.loss

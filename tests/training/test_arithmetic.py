"""Emulated bf16 against float64 and against fp32."""

import pytest
import torch
from helpers import CPU, digits, images, random_network
from torch import nn

from ebreplicate.training import arithmetic
from ebreplicate.training.loop import measure


def operands(side, inputs, outputs, batch=3):
    g = torch.Generator().manual_seed(side * inputs)
    shapes = ((batch, inputs, side, side), (outputs, inputs, 3, 3), (batch, outputs, side, side))
    return [torch.randn(s, generator=g).to(memory_format=torch.channels_last) for s in shapes]


def rounded(t):
    return t.bfloat16().double()


def test_emulated_bf16_rounds_operands_and_result_and_nothing_between():
    """Against the exact convolution of the rounded operands: within half a unit in the last place of bf16."""
    x, weight, gradient = operands(4, 6, 5)
    x, weight = x.bfloat16().requires_grad_(), weight.requires_grad_()
    layer = nn.Conv2d(6, 5, 3, padding=1, bias=False)
    layer.weight = nn.Parameter(weight.detach())
    with arithmetic.EmulatedBf16():
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
    monkeypatch.setattr(arithmetic, "has_bf16", lambda: native)
    used = []
    function = arithmetic.Convolution.apply
    monkeypatch.setattr(arithmetic.Convolution, "apply", lambda *a: (used.append(a), function(*a))[1])
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False))
    with arithmetic.arithmetic("bf16", CPU):
        assert model(images(2)).dtype == torch.bfloat16
    assert bool(used) != native
    with arithmetic.arithmetic("fp32", CPU):
        assert model(images(2)).dtype == torch.float32


def test_evaluation_in_bf16_agrees_with_fp32():
    model, data = random_network("vgg16", 0.125, seed=0), digits()
    exact, half = measure(model, data), measure(model, data, "bf16")
    assert half.loss == pytest.approx(exact.loss, rel=0.05)
    assert half.loss != exact.loss

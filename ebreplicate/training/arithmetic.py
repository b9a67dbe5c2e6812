"""The precision of a forward pass, and bf16 convolutions on a CPU without bf16 instructions.

There torch falls back to a reference convolution that is ten times slower than fp32. Products of bf16 numbers are exact
in fp32, so operands are rounded to bf16, convolved in fp32, and the result is rounded to bf16: what bf16 hardware with
fp32 sums computes.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class Convolution(torch.autograd.Function):
    """A bias-free convolution in fp32, whatever the operands are stored as; the result has the type of x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, geometry: tuple[Any, ...]) -> Tensor:
        """Convolve x (B, C, H, W) with `weight` (D, C, k, k); `geometry`: what torch's convolution takes after them."""
        ctx.save_for_backward(x, weight)
        ctx.geometry = geometry
        with torch.autocast("cpu", enabled=False):
            return torch.ops.aten.convolution(x.float(), weight.float(), None, *geometry).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """Gradients by x and by the weight."""
        x, weight = ctx.saved_tensors
        stride, padding, dilation, transposed, output_padding, groups = ctx.geometry
        how = (stride, padding, dilation, transposed, output_padding, groups, [*ctx.needs_input_grad[:2], False])
        operands = (gradient.float(), x.float(), weight.float())
        dx, dw, _ = torch.ops.aten.convolution_backward(*operands, None, *how)
        return dx if dx is None else dx.to(x.dtype), dw if dw is None else dw.to(weight.dtype), None


class EmulatedBf16(TorchFunctionMode):
    """Compute bias-free convolutions inside this context in emulated bf16."""

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Replace calls of conv2d as nn.Conv2d makes them."""
        if func is torch.conv2d and not kwargs and len(args) == 7 and args[2] is None:
            x, weight, _, stride, padding, dilation, groups = args
            geometry = (stride, padding, dilation, False, [0, 0], groups)
            return Convolution.apply(x.bfloat16(), weight.bfloat16(), geometry)
        return func(*args, **(kwargs or {}))


def has_bf16() -> bool:
    """True if torch has bf16 convolutions for this processor."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@contextlib.contextmanager
def arithmetic(precision: str, device: torch.device) -> Iterator[None]:
    """Run forward passes inside in `precision`: autocast for bf16, emulated on a CPU that lacks it."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"))
        if device.type == "cpu" and precision == "bf16" and not has_bf16():
            stack.enter_context(EmulatedBf16())
        yield

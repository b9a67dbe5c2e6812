"""The arithmetic of a forward pass: its precision, and how a CPU computes convolutions (Recipe.kernels).

Two things torch leaves to be done on a CPU:

* "taps": a 3x3 convolution of a small map is the sum of nine matrix products, one per tap, over the pixels that the
  tap really meets. On a 2x2 map 16 of 36 products of a padded convolution are with a non-zero, on a 4x4 map 100 of 144,
  and the matrix library runs closer to the processor's peak than torch's kernel for the gradient of the weights.
  Only the order of sums differs.
* bf16 on a processor without bf16 instructions, where torch falls back to a reference convolution that is ten times
  slower than fp32. Products of bf16 numbers are exact in fp32, so there operands are rounded to bf16, convolved in
  fp32 and the result rounded to bf16: what bf16 hardware with fp32 sums computes.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

Window = tuple[slice, slice]

WEIGHT_SIDES = ((4, 64), (8, 128))
MAP_SIDES = ((2, 1), (4, 384))
"""Pairs (largest side of the map, fewest channels) from which taps beat torch's convolution, for the gradient of the
weights and for maps (output, gradient of the input); measured on an AVX2 processor at batches of 64 and 256."""


def pays(sides: tuple[tuple[int, int], ...], x: Tensor, weight: Tensor) -> bool:
    """True if taps are expected to be faster on a map of the shape of `x` (B, C, H, W)."""
    side, channels = max(x.shape[2:]), min(weight.shape[:2])
    return any(side <= largest and channels >= fewest for largest, fewest in sides)


def windows(height: int, width: int) -> Iterator[tuple[int, int, Window, Window]]:
    """For every tap of a padded 3x3 convolution: row, column, the outputs it reaches, the inputs it reads."""

    def reach(tap: int, side: int) -> tuple[slice, slice]:
        return slice(max(0, 1 - tap), side - max(0, tap - 1)), slice(max(0, tap - 1), side - max(0, 1 - tap))

    for row in range(3):
        for column in range(3):
            (out_y, in_y), (out_x, in_x) = reach(row, height), reach(column, width)
            yield row, column, (out_y, out_x), (in_y, in_x)


def _gather(x: Tensor, weight: Tensor, flip: bool) -> Tensor:
    """Sum over taps of channels-last x (B, H, W, K) times weight (3, 3, K, N), as (B, N, H, W) lying channels-last.

    With `flip`, inputs and outputs of every tap change places: the adjoint.
    """
    batch, height, width, inner = x.shape
    out = x.new_zeros(batch, height, width, weight.shape[3])
    for row, column, reached, read in windows(height, width):
        (ty, tx), (fy, fx) = (read, reached) if flip else (reached, read)
        part = x[:, fy, fx]
        product = part.reshape(-1, inner) @ weight[row, column]
        out[:, ty, tx] += product.view(*part.shape[:3], out.shape[3])
    return out.permute(0, 3, 1, 2)


def conv3x3(x: Tensor, weight: Tensor) -> Tensor:
    """Convolution of x (B, I, H, W) with weight (O, I, 3, 3), stride and padding 1, tap by tap."""
    return _gather(x.permute(0, 2, 3, 1), weight.permute(2, 3, 1, 0), flip=False)


def conv3x3_input_gradient(gradient: Tensor, weight: Tensor) -> Tensor:
    """Gradient of x in `conv3x3`, given that of its output (B, O, H, W)."""
    return _gather(gradient.permute(0, 2, 3, 1), weight.permute(2, 3, 0, 1), flip=True)


def conv3x3_weight_gradient(gradient: Tensor, x: Tensor) -> Tensor:
    """Gradient of the weight in `conv3x3`: (O, I, 3, 3), lying channels-last."""
    g, x = gradient.permute(0, 2, 3, 1), x.permute(0, 2, 3, 1)
    out = torch.empty(g.shape[3], 3, 3, x.shape[3], dtype=g.dtype)
    for row, column, (oy, ox), (iy, ix) in windows(*g.shape[1:3]):
        left, right = g[:, oy, ox].reshape(-1, g.shape[3]), x[:, iy, ix].reshape(-1, x.shape[3])
        torch.mm(left.t(), right, out=out[:, row, column])
    return out.permute(0, 3, 1, 2)


class _Convolution(torch.autograd.Function):
    """A bias-free convolution in fp32, whatever the operands are stored as; the result has the type of x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, geometry: tuple[Any, ...], taps: bool) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry, ctx.taps = geometry, taps
        with torch.autocast("cpu", enabled=False):
            if taps and pays(MAP_SIDES, x, weight):
                out = conv3x3(x.float(), weight.float())
            else:
                out = torch.ops.aten.convolution(x.float(), weight.float(), None, *geometry)
            return out.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        g, wide_x, wide_w = gradient.float(), x.float(), weight.float()
        dx = dw = None
        for_x, for_w = ctx.needs_input_grad[:2]
        if for_w and ctx.taps and pays(WEIGHT_SIDES, x, weight):
            dw, for_w = conv3x3_weight_gradient(g, wide_x), False
        if for_x and ctx.taps and pays(MAP_SIDES, x, weight):
            dx, for_x = conv3x3_input_gradient(g, wide_w), False
        if for_x or for_w:
            stride, padding, dilation, transposed, output_padding, groups = ctx.geometry
            how = (stride, padding, dilation, transposed, output_padding, groups, [for_x, for_w, False])
            found = torch.ops.aten.convolution_backward(g, wide_x, wide_w, None, *how)
            dx, dw = found[0] if for_x else dx, found[1] if for_w else dw
        return dx if dx is None else dx.to(x.dtype), dw if dw is None else dw.to(weight.dtype), None, None


class Convolutions(TorchFunctionMode):
    """Inside this context bias-free convolutions run as above: by taps where that pays, in emulated bf16, or both."""

    def __init__(self, taps: bool, emulate: bool):
        super().__init__()
        self.taps, self.emulate = taps, emulate

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Take over calls of conv2d as nn.Conv2d makes them."""
        if func is torch.conv2d and not kwargs and len(args) == 7 and args[2] is None:
            x, weight, _, stride, padding, dilation, groups = args
            if self.emulate:
                x, weight = x.bfloat16(), weight.bfloat16()
            plain = (tuple(weight.shape[2:]), stride, padding, dilation, groups) == ((3, 3), (1, 1), (1, 1), (1, 1), 1)
            taps = self.taps and plain and pays(WEIGHT_SIDES + MAP_SIDES, x, weight)
            if self.emulate or taps:
                geometry = (stride, padding, dilation, False, [0, 0], groups)
                return _Convolution.apply(x, weight, geometry, taps)
        return func(*args, **(kwargs or {}))


def has_bf16() -> bool:
    """True if torch has bf16 convolutions for this processor."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@contextlib.contextmanager
def arithmetic(precision: str, device: torch.device, kernels: str = "torch") -> Iterator[None]:
    """Forward passes inside run in `precision` (autocast for bf16), on a CPU with the convolutions of `kernels`."""
    on_cpu = device.type == "cpu"
    emulate = on_cpu and precision == "bf16" and not has_bf16()
    taps = on_cpu and kernels != "torch" and (emulate or precision != "bf16")
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"))
        if taps or emulate:
            stack.enter_context(Convolutions(taps, emulate))
        yield

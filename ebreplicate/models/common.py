"""Pieces every network shares: initialisation, scaled widths, channel selection."""

import math
from typing import Any, TypeVar

import torch
from torch import nn

from ebreplicate.errors import UserError

Layer = nn.Conv2d | nn.Linear
"""A layer with a weight."""


def weight_layers(model: nn.Module) -> dict[str, Layer]:
    """Convolutions and linear layers by name, in order of registration (forward order)."""
    return {name: m for name, m in model.named_modules() if isinstance(m, Layer)}


def weights_and_rest(model: nn.Module) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The weights of convolutions and linear layers, and all other parameters: biases, batch norms."""
    weights: list[torch.Tensor] = [layer.weight for layer in weight_layers(model).values()]
    known = {id(w) for w in weights}
    return weights, [p for p in model.parameters() if id(p) not in known]


class Network(nn.Module):
    """Base of all networks.

    `arguments`: those of `models.build` that make this network again, dense. `residual`: whether the network works on
    where a mask empties a layer, because the signal goes around it.
    """

    arguments: dict[str, Any]
    residual: bool


NARROW = 16
"""Input channels from which on torch 2.15 trains a strided 1x1 convolution on a CPU correctly.

Below, the backward pass of the channels-last kernel writes outside its buffers: seen with 2 to 8 channels from maps of
48 pixels on (4 already at 32), with 9 to 15 from about 80; contiguous input alone does not avoid that kernel.
"""


class StridedPointwise(nn.Conv2d):
    """1x1 convolution of a stride, computed without one on the pixels that it would read: the same result and
    gradients, safe for any number of channels (`NARROW`)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x (B, in, H, W) to (B, out, ceil(H / stride), ceil(W / stride))."""
        down, right = self.stride
        return nn.functional.conv2d(x[:, :, ::down, ::right], self.weight, self.bias)


Built = TypeVar("Built", bound=Network)


def initialised(model: Built, how: str) -> Built:
    """`model` with its weights drawn anew: "glorot-uniform", biases zero (Glorot & Bengio, 2010); "model": as built."""
    if how == "glorot-uniform":
        for layer in weight_layers(model).values():
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return model


def conv(cin: int, cout: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Bias-free convolution with 'same' padding and the authors' initialisation, N(0, sqrt(2 / (k*k*cout)))."""
    kind = StridedPointwise if kernel == 1 and stride > 1 and cin < NARROW else nn.Conv2d
    layer = kind(cin, cout, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.normal_(layer.weight, 0.0, math.sqrt(2.0 / (kernel * kernel * cout)))
    return layer


def batch_norm(channels: int, gamma: float = 0.5) -> nn.BatchNorm2d:
    """Batch norm with scale `gamma` (0.5 on the CIFAR networks, as in network slimming) and shift 0."""
    layer = nn.BatchNorm2d(channels)
    nn.init.constant_(layer.weight, gamma)
    return layer


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, at least 1."""
    return max(1, round(channels * width))


def check_channels(name: str, channels: list[int] | None, full: list[int]) -> list[int]:
    """Return the channel configuration to build, checked against the full one; raises UserError."""
    if channels is None:
        return list(full)
    if len(channels) != len(full):
        raise UserError(f"channels: {name} has {len(full)} batch norms, the configuration has {len(channels)} entries")
    for i, (c, f) in enumerate(zip(channels, full, strict=True)):
        if not 1 <= c <= f:
            raise UserError(f"channels[{i}]: must lie in 1..{f} for {name}, got {c}")
    return list(channels)


class _SelectLast(torch.autograd.Function):
    """`index_select` of channels whose result and gradient are channels_last, as what they are taken from.

    torch's own are not: in training, batch norm and ReLU then met gradients of another layout, and a ticket of half the
    channels took longer than the dense network (docs/speed.md).
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, indexes: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(indexes)
        ctx.features = x.shape[1]
        batch, _, height, width = x.shape
        pixels = x.permute(0, 2, 3, 1).reshape(-1, ctx.features)
        shape = (batch, len(indexes), height, width)
        out = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)  # and no view
        torch.gather(pixels, 1, indexes.expand(len(pixels), -1), out=out.permute(0, 2, 3, 1).view(len(pixels), -1))
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        (indexes,) = ctx.saved_tensors
        batch, kept, height, width = grad.shape
        pixels = grad.permute(0, 2, 3, 1).reshape(-1, kept)
        whole = (gathered if grad.is_cuda else scattered)(pixels, indexes, ctx.features)
        return whole.view(batch, height, width, -1).permute(0, 3, 1, 2), None


def scattered(pixels: torch.Tensor, indexes: torch.Tensor, features: int) -> torch.Tensor:
    """Columns of `pixels` (n, kept) at the increasing `indexes` (kept,) of zeros (n, features)."""
    return pixels.new_zeros(len(pixels), features).scatter_(1, indexes.expand(len(pixels), -1), pixels)


def gathered(pixels: torch.Tensor, indexes: torch.Tensor, features: int) -> torch.Tensor:
    """The same as `scattered`, for a GPU: there torch's deterministic scatter sorts the positions of all elements."""
    channels = torch.arange(features, device=indexes.device)
    places = torch.searchsorted(indexes, channels).clamp(max=len(indexes) - 1)
    source = torch.where(indexes[places] == channels, places, len(indexes))  # that of a dropped channel: zeros
    padded = torch.cat([pixels, pixels.new_zeros(len(pixels), 1)], 1)
    return padded.gather(1, source.expand(len(pixels), -1))


class ChannelSelection(nn.Module):
    """Pass on `kept` of `features` channels; which ones is the buffer `indexes` (int64, shape (kept,))."""

    indexes: torch.Tensor

    def __init__(self, features: int, kept: int):
        super().__init__()
        self.features = features
        self.register_buffer("indexes", torch.arange(kept))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Select channels of x (B, features, H, W); the identity while every channel is kept."""
        # A full selection is always the identity: indexes are kept sorted.
        if len(self.indexes) == self.features:
            return x
        if x.is_contiguous(memory_format=torch.channels_last):
            return _SelectLast.apply(x, self.indexes)
        return x.index_select(1, self.indexes)

"""The quantiser of scalable 8-bit training (SBM, Banner et al., NeurIPS 2018), as CPT's and FracTrain's code has it.

x becomes z + s * clamp(round((x - z) / s), 0, 2^b - 1) with s = max(range / (2^b - 1), 1e-8), z the smallest value and
range the largest minus it: of weights per output channel, of activations and gradients per tensor. Emulated in fp32,
like the block floating point of `lowprecision`, which is another format.
"""

import hashlib
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ebreplicate.training.formats import uniform16

SMALLEST = 1e-8
"""Of the step s."""
MOMENTUM = 0.9
"""Of the running extremes of activations."""


def quantised(x: Tensor, bits: int, low: Tensor, width: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Round x to 2^bits - 1 steps above `low`, which span `width` (both broadcast to x).

    With a generator rounding is stochastic: uniform noise in (-1/2, 1/2) is added before it.
    """
    levels = 2.0**bits - 1
    step = (width / levels).clamp_min(SMALLEST)
    v = (x - low).div_(step)
    if generator is not None:
        v.add_(uniform16(v, generator), alpha=2.0**-16).add_(2.0**-17)
    return v.round_().clamp_(0, levels).mul_(step).add_(low)


class Quantised(torch.autograd.Function):
    """`quantised` in the forward pass, straight through in the backward pass, and a gradient for the number of bits.

    With v = (x - z) / s and straight-through rounding, d out / d s = round(v) - v; with d s / d b = -s ln 2 2^b /
    (2^b - 1), the gradient of the loss by b is -ln 2 2^b / (2^b - 1) times the sum of g (out - x).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, bits: int, low: Tensor, width: Tensor, learned: Tensor | None) -> Tensor:
        """Quantise x; `learned`: a scalar that takes the gradient by the bits, which are its value rounded."""
        out = quantised(x, bits, low, width)
        ctx.bits = bits
        if learned is not None:
            ctx.save_for_backward(x, out)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, None, None, Tensor | None]:
        """The gradient by x, unchanged, and by `learned`."""
        by_bits = None
        if ctx.needs_input_grad[4]:
            x, out = ctx.saved_tensors
            levels = 2.0**ctx.bits
            by_bits = (gradient * (out - x)).sum() * (-math.log(2) * levels / (levels - 1))
        return gradient, None, None, None, by_bits


class QuantisedGradient(torch.autograd.Function):
    """The identity, whose gradient is rounded."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, back: Callable[[Tensor], Tensor]) -> Tensor:
        """Pass on x; `back` rounds its gradient."""
        ctx.back = back
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Round the gradient."""
        return ctx.back(gradient), None


class QuantisedConvolution(nn.Module):
    """A convolution with a quantised input, weight and gradient of its output; it shares its weight with `plain`.

    `forward_bits`, `backward_bits`: set before every step, with `noise`, which names the step's random numbers.
    `learned`: a scalar that takes the gradient by the forward bits. `extremes`: running means of the smallest and
    the largest input, float32 (2,), used in evaluation; None before the first batch. State dicts are those of `plain`.
    """

    def __init__(self, plain: nn.Conv2d):
        super().__init__()
        self.weight, self.bias = plain.weight, plain.bias
        self.plain = (plain,)  # in a tuple: a submodule would give its parameters second names
        self.forward_bits = self.backward_bits = 32
        self.learned: Tensor | None = None
        self.extremes: Tensor | None = None
        self.noise = ""
        self.generator = torch.Generator(plain.weight.device)

    def _seen(self, x: Tensor) -> Tensor:
        """Smallest and largest input: of this batch in training, running means in evaluation."""
        if not self.training and self.extremes is not None:
            return self.extremes
        here = torch.stack(x.detach().aminmax())
        if self.training:
            self.extremes = here if self.extremes is None else MOMENTUM * self.extremes + (1 - MOMENTUM) * here
        return here

    def _back(self, gradient: Tensor) -> Tensor:
        digest = hashlib.blake2b(self.noise.encode(), digest_size=4).digest()
        self.generator.manual_seed(int.from_bytes(digest))  # the CPU's generator takes 32 bits
        low, high = gradient.aminmax()
        return quantised(gradient, self.backward_bits, low, high - low, self.generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, in, H, W) as the plain convolution does, on quantised operands."""
        low, high = self._seen(x)
        x = Quantised.apply(x, self.forward_bits, low, high - low, self.learned)
        low, high = (v.view(-1, 1, 1, 1) for v in self.weight.detach().flatten(1).aminmax(dim=1))
        weight = Quantised.apply(self.weight, self.forward_bits, low, high - low, self.learned)
        return QuantisedGradient.apply(functional_call(self.plain[0], {"weight": weight}, (x,)), self._back)


def quantise_convolutions(model: nn.Module) -> dict[str, QuantisedConvolution]:
    """Put a quantised convolution in the place of each of `model`, and return them by name, in order."""
    found = {name: QuantisedConvolution(m) for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    for name, layer in found.items():
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, layer)
    return found

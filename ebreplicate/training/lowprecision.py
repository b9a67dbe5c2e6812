"""Training in eight bits: block floating point as in the authors' code (main_lp.py, after SWALP), and FP8.

What is rounded, always stochastically, where (reference audit, section 6):

| tensor                                                            | bfp8                           | fp8  |
| outputs of every convolution and linear layer but the last linear | an exponent per image          | E4M3 |
| the error at the same points, in the backward pass                | an exponent per image          | E5M2 |
| gradients before the step, those of scales with their L1 term     | an exponent per output channel | E5M2 |
| parameters after the step                                         | an exponent per output channel | E4M3 |
| momentum after the step                                           | an exponent per output channel | E5M2 |

bfp8 rounds every parameter, as the authors do; vectors (batch-norm scales and shifts, biases) have an exponent per
element. fp8 has one power-of-two scale per tensor, from its largest magnitude, and keeps vectors in fp32: E4M3 has
eight numbers between two powers of two, so that up to half of a network's batch-norm scales would tie, and a strict
threshold drops all that tie (docs/low-precision.md).

Everything else stays fp32: the input, the sums inside a layer, batch norm and its statistics, ReLU, pooling, the last
layer's output, the loss, the step's own arithmetic. There is no fp32 copy of what is rounded; the first forward pass
sees unrounded weights. Evaluation goes through the same rounding of outputs. All of it is emulated in fp32, so a run
shows the accuracy of a format and not its speed.
"""

import hashlib
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ebreplicate.errors import UserError
from ebreplicate.models.common import weight_layers
from ebreplicate.specs.spec import LOW_PRECISIONS, Recipe
from ebreplicate.training.formats import E4M3, E5M2, Float8, block_floating_point, float8, round_to_scaled, scale_of
from ebreplicate.training.loop import StepHook

__all__ = ["LowPrecision", "block_floating_point", "float8", "hooks", "points"]


class Rounding(Protocol):
    """Rounds one tensor, or many at once."""

    def __call__(self, x: Tensor) -> Tensor:
        """Round x."""
        ...

    def all(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Round every tensor; shapes stay."""
        ...


class _Point(torch.autograd.Function):
    """Rounds the activation on the way forward and the error on the way back (straight through, no masking)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, forth: Rounding, back: Rounding) -> Tensor:
        ctx.back = back
        return forth(x)

    @staticmethod
    def backward(ctx: Any, error: Tensor) -> tuple[Tensor, None, None]:
        return ctx.back(error), None, None


def points(model: nn.Module) -> list[nn.Module]:
    """Layers whose outputs are rounded: every convolution and linear layer but the last linear."""
    layers = list(weight_layers(model).values())
    last = next((m for m in reversed(layers) if isinstance(m, nn.Linear)), None)
    return [m for m in layers if m is not last]


class BlockRounding:
    """Stochastic 8-bit block floating point, of one tensor or of many at once."""

    def __init__(self, generator: torch.Generator):
        self.generator = generator

    def __call__(self, x: Tensor) -> Tensor:
        """Round x with an exponent for each index of dimension 0."""
        return block_floating_point(x, rounding="stochastic", generator=self.generator)

    def all(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Round many tensors as if one by one: rows of one length, of whatever tensor, go together. Shapes stay."""
        out: list[Tensor] = [torch.empty(0)] * len(tensors)
        order = sorted(range(len(tensors)), key=lambda i: tensors[i][0].numel())
        for _, group in groupby(order, key=lambda i: tensors[i][0].numel()):
            members = list(group)
            rows = self(torch.cat([tensors[i].reshape(len(tensors[i]), -1) for i in members]))
            for i, part in zip(members, rows.split([len(tensors[i]) for i in members]), strict=True):
                out[i] = part.view(tensors[i].shape)
        return out


class FloatRounding:
    """Stochastic FP8 under a scale per tensor, of one tensor or of many at once."""

    def __init__(self, form: Float8, generator: torch.Generator):
        self.form, self.generator = form, generator

    def __call__(self, x: Tensor) -> Tensor:
        """Round x under one scale."""
        return float8(x, self.form, "stochastic", self.generator)

    def all(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Round many tensors, each under its own scale, in one pass over all of them. Shapes stay."""
        amax = torch.stack(torch._foreach_norm(list(tensors), torch.inf))
        sizes = [t.numel() for t in tensors]
        scales = scale_of(amax, self.form)
        scale = torch.cat([s.expand(n) for s, n in zip(scales, sizes, strict=True)])  # repeat_interleave would wait
        flat = round_to_scaled(torch.cat([t.flatten() for t in tensors]), scale, self.form, self.generator)
        return [part.view(t.shape) for part, t in zip(flat.split(sizes), tensors, strict=True)]


class LowPrecision(StepHook):
    """The rounding of one training. Its random numbers are a function of (seed, step) and of nothing else."""

    def __init__(self, precision: str, seed: int):
        self.precision, self.seed = precision, seed

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, steps_per_epoch: int) -> None:
        """Hook every point of `model`; its state dict stays as it is. Raises UserError for an optimiser but SGD."""
        if not isinstance(optimizer, torch.optim.SGD):
            raise UserError(f"Recipe.optimizer: {self.precision} is defined for sgd, got {recipe.optimizer!r}")
        self.parameters: list[Tensor] = list(model.parameters())
        self.optimizer = optimizer
        self.forth: Rounding
        self.back: Rounding
        self.generator = torch.Generator(self.parameters[0].device)
        if self.precision == "bfp8":
            self.forth = self.back = BlockRounding(self.generator)
        else:
            self.parameters = [p for p in self.parameters if p.ndim > 1]
            self.forth, self.back = (FloatRounding(form, self.generator) for form in (E4M3, E5M2))
        self.handles = [m.register_forward_hook(self._round_output) for m in points(model)]

    def _round_output(self, _layer: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        return _Point.apply(output, self.forth, self.back)

    def begin_step(self, step: int) -> None:
        """Seed the step's random numbers. An evaluation draws on from the step before it."""
        digest = hashlib.blake2b(f"{self.seed} {step}".encode(), digest_size=4).digest()
        self.generator.manual_seed(int.from_bytes(digest))  # the CPU's generator takes 32 bits

    @torch.no_grad()
    def before_step(self, step: int) -> bool:
        """Round the gradients."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        torch._foreach_copy_(gradients, self.back.all(gradients))
        return True

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Round the parameters, then the momentum."""
        torch._foreach_copy_(self.parameters, self.forth.all(self.parameters))
        buffers = [self.optimizer.state[p].get("momentum_buffer") for p in self.parameters]
        momenta = [b for b in buffers if b is not None]
        if momenta:
            torch._foreach_copy_(momenta, self.back.all(momenta))

    def detach(self) -> None:
        """Take the hooks off the model."""
        for handle in self.handles:
            handle.remove()


def hooks(precision: str, seed: int) -> list[StepHook]:
    """Step hooks of a precision: one for the eight-bit precisions, none for the others."""
    return [LowPrecision(precision, seed)] if precision in LOW_PRECISIONS else []

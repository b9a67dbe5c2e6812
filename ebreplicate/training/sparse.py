"""Sparse training from scratch: masks that take part in every optimiser step, and the methods whose mask is fixed.

A masked weight is exactly zero and stays so: its gradient is masked before the step, and its momentum is zero, so
neither momentum nor weight decay moves it. Batch norm, biases and depthwise convolutions stay dense.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from ebreplicate.catalog import INFO
from ebreplicate.errors import UserError
from ebreplicate.models import build
from ebreplicate.models.common import Layer, weight_layers
from ebreplicate.pruning.distributions import layer_counts
from ebreplicate.specs.fields import need
from ebreplicate.specs.spec import Recipe, Sparse
from ebreplicate.training.gradients import gradients
from ebreplicate.training.loop import Ended, Report, StepHook
from ebreplicate.training.masking import as_bits


def sparse_layers(model: nn.Module) -> dict[str, Layer]:
    """Layers whose weights are sparsified: all but depthwise convolutions, as RigL does on MobileNet."""
    return {name: m for name, m in weight_layers(model).items() if getattr(m, "groups", 1) == 1}


def target_counts(model: nn.Module, spec: Sparse) -> dict[str, int]:
    """Non-zero weights of every sparsified layer. Uniform keeps the first layer dense (RigL, section 3).

    Raises UserError where the spec's factors are not one a layer.
    """
    layers = sparse_layers(model)
    if spec.factors:
        sizes = {name: layer.weight.numel() for name, layer in layers.items()}
        need(len(sizes) == len(spec.factors), "Sparse.factors", f"{spec.model} has {len(sizes)} layers to make sparse")
        # As in RigL's code, a layer's zeros are rounded down; rounded first, because 0.9 * 0.99 * 10**6 is 890999.99...
        zeros = {
            n: math.floor(round(spec.sparsity * f * sizes[n], 6)) for n, f in zip(sizes, spec.factors, strict=True)
        }
        return {name: size - zeros[name] for name, size in sizes.items()}
    dense = (0,) if spec.distribution == "uniform" else ()
    shapes = [tuple(layer.weight.shape) for layer in layers.values()]
    return dict(zip(layers, layer_counts(shapes, spec.sparsity, spec.distribution, dense), strict=True))


def generator(seed: int, step: int, layer: int) -> torch.Generator:
    """Random numbers of one layer at one step (-1: the initial mask), the same on every device."""
    return torch.Generator().manual_seed(((seed * 1_000_003 + step + 1) * 1_009 + layer) & 0x7FFF_FFFF_FFFF_FFFF)


def like(weight: Tensor, flat: Tensor) -> Tensor:
    """`flat` (in logical order) with the shape, memory layout and device of `weight`."""
    return torch.empty_like(weight, dtype=flat.dtype).copy_(flat.view(weight.shape))


class SparseHook(StepHook):
    """Masks over the weights of every sparsified layer. Subclasses say how masks start and change.

    `nnz_steps`: per layer, the sum over steps of its non-zero weights; divided by steps and size it is the density
    that training FLOPs are counted with.
    """

    def __init__(self, spec: Sparse):
        self.spec = spec
        self.updates = self.steps = 0

    def width(self) -> float:
        """Width of the network that is trained."""
        return self.spec.width

    def cover(self, model: nn.Module) -> None:
        """Find the weights that are to be masked, and how many of each layer are not to be zero."""
        self.counts = target_counts(model, self.spec)
        self.weights = {name: layer.weight for name, layer in sparse_layers(model).items()}

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, steps_per_epoch: int) -> None:
        """Choose the initial masks and zero what they drop."""
        self.optimizer, self.total_steps = optimizer, recipe.epochs * steps_per_epoch
        self.cover(model)
        self.masks = {name: like(w, m) for (name, w), m in zip(self.weights.items(), self.initial(), strict=True)}
        self.bits = {name: as_bits(mask) for name, mask in self.masks.items()}
        self.nnz_steps = dict.fromkeys(self.weights, 0)
        self._count()
        self.zero_dropped()

    def initial(self) -> list[Tensor]:
        """Flat boolean masks to start from: as many weights as the distribution says, chosen at random."""
        masks = []
        for i, (name, weight) in enumerate(self.weights.items()):
            mask = torch.zeros(weight.numel(), dtype=torch.bool)
            order = torch.randperm(weight.numel(), generator=generator(self.spec.seed, -1, i))
            mask[order[: self.counts[name]]] = True
            masks.append(mask)
        return masks

    def _count(self) -> None:
        self.nnz = {name: int(mask.count_nonzero()) for name, mask in self.masks.items()}

    @torch.no_grad()
    def zero_dropped(self) -> None:
        """Set dropped weights to exactly zero."""
        for name, weight in self.weights.items():
            weight.masked_fill_(~self.masks[name], 0.0)

    @torch.no_grad()
    def set_mask(self, name: str, mask: Tensor) -> None:
        """Replace a layer's mask (flat, logical order): new and dropped weights and their momentum become zero."""
        weight, old = self.weights[name], self.masks[name]
        self.masks[name] = like(weight, mask)
        self.bits[name] = as_bits(self.masks[name])
        stays = old & self.masks[name]
        weight.masked_fill_(~stays, 0.0)
        for value in self.optimizer.state.get(weight, {}).values():
            if isinstance(value, Tensor) and value.shape == weight.shape:
                value.masked_fill_(~stays, 0.0)
        self.nnz[name] = int(mask.count_nonzero())

    @torch.no_grad()
    def mask_gradients(self) -> None:
        """Zero the gradients of dropped weights."""
        for bits, gradient in zip(self.bits.values(), gradients(self.weights.values()), strict=True):
            gradient.view(torch.int32).bitwise_and_(bits)

    def before_step(self, step: int) -> bool:
        """Count what this step computes with and mask the gradients."""
        self.steps += 1
        for name, count in self.nnz.items():
            self.nnz_steps[name] += count
        self.mask_gradients()
        return True

    def state_dict(self) -> dict[str, Any]:
        """Masks and counters."""
        return {"masks": self.masks, "nnz_steps": self.nnz_steps, "updates": self.updates, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up masks and counters."""
        for name, mask in state["masks"].items():
            self.masks[name].copy_(mask)
            self.bits[name] = as_bits(self.masks[name])
        self.nnz_steps, self.updates, self.steps = dict(state["nnz_steps"]), state["updates"], state["steps"]
        self._count()

    def mean_density(self) -> dict[str, float]:
        """Density of every sparsified layer, averaged over the steps trained."""
        return {n: total / (self.steps * self.weights[n].numel()) for n, total in self.nnz_steps.items()}

    def report(self, ended: Ended) -> Report:
        """Remaining weights and density, in all and per layer; number of outputs (rows) of each layer without a weight;
        number of mask updates.
        """
        sizes = {name: weight.numel() for name, weight in self.weights.items()}
        found = {
            "nnz": sum(self.nnz.values()),
            "prunable": sum(sizes.values()),
            "sparsity": 1 - sum(self.nnz.values()) / sum(sizes.values()),
            "density": {name: self.nnz[name] / size for name, size in sizes.items()},
            "unconnected_outputs": {n: int((~m.flatten(1).any(1)).sum()) for n, m in self.masks.items()},
            "mask_updates": self.updates,
        }
        return Report(found)

    def training_flops(self, sparse: float, dense: float) -> float:
        """FLOPs of training on one image, from forward FLOPs at the mean density and of the dense network.

        Forward, gradient of activations and gradient of weights: three times the forward (RigL, appendix H).
        """
        return 3 * sparse


class Static(SparseHook):
    """A random mask, never changed: the control of sparse training (RigL, Evci et al., ICML 2020, section 4)."""


class SNIP(SparseHook):
    """Single-shot pruning (Lee et al., ICLR 2019): the largest |gradient * weight| of one batch, over layers.

    The batch is the first of training; its optimiser step is not taken. The spec's distribution plays no part.
    """

    def initial(self) -> list[Tensor]:
        """Dense until the first batch has been seen."""
        return [torch.ones(w.numel(), dtype=torch.bool) for w in self.weights.values()]

    def before_step(self, step: int) -> bool:
        """At step 0, prune and train nothing."""
        super().before_step(step)
        if step:
            return True
        sizes = [w.numel() for w in self.weights.values()]
        kept = round((1 - self.spec.sparsity) * sum(sizes))
        pairs = zip(self.weights.values(), gradients(self.weights.values()), strict=True)
        scores = torch.cat([(w.detach() * g).abs().flatten() for w, g in pairs])
        mask = torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
        mask[scores.argsort(descending=True, stable=True)[:kept]] = True
        for name, piece in zip(self.weights, mask.split(sizes), strict=True):
            self.set_mask(name, piece)
        self.updates += 1
        return False


class SmallDense(SparseHook):
    """A narrower dense network with as many parameters as the sparse one (RigL, Evci et al., ICML 2020, section 4)."""

    def width(self) -> float:
        """The largest width whose parameters do not exceed the sparse network's, by bisection.

        Raises UserError where no width is small enough.
        """
        spec = self.spec
        with torch.device("meta"):
            full = self._network(spec.width)
        zeros = sum(layer.weight.numel() for layer in sparse_layers(full).values())
        zeros -= sum(target_counts(full, spec).values())
        target = _parameters(full) - zeros
        low, high = 0.0, spec.width
        while high - low > 1e-5:  # far less than a channel
            middle = (low + high) / 2
            low, high = (middle, high) if self._size(middle) <= target else (low, middle)
        if self._size(low) > target:
            raise UserError(f"Sparse.sparsity: no {spec.model} is as small as {target} parameters; lower it")
        return low

    def _size(self, width: float) -> int:
        with torch.device("meta"):
            return _parameters(self._network(width))

    def _network(self, width: float) -> nn.Module:
        info = INFO[self.spec.dataset]
        return build(self.spec.model, info.classes, width, shape=info.shape)

    def initial(self) -> list[Tensor]:
        """Everything."""
        return [torch.ones(w.numel(), dtype=torch.bool) for w in self.weights.values()]


def _parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())

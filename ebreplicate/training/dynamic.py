"""Methods whose mask changes while training: SET, SNFS, RigL and gradual magnitude pruning."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from ebreplicate.pruning.distributions import apportion
from ebreplicate.specs.spec import Recipe
from ebreplicate.training.gradients import gradients
from ebreplicate.training.sparse import SparseHook, generator

SNFS_MOMENTUM = 0.9
"""Decay of the gradient average that SNFS grows by (RigL's code, s_momentum)."""
GMP_BEGIN = 20_000 / 97_656
"""Fraction of training after which gradual pruning starts (RigL's CIFAR code: step 20,000 of 97,656)."""


def drop_fraction(alpha: float, step: int, end: float) -> float:
    """Fraction of a layer's weights replaced at `step`: cosine decay from `alpha` to 0 at `end` (RigL, section 3)."""
    return alpha / 2 * (1 + math.cos(math.pi * step / end))


def replaced(weight: Tensor, mask: Tensor, count: int, growth: Tensor, grown: int | None = None) -> Tensor:
    """Flat mask after dropping the `count` smallest |weights| of `mask` and growing as many (or `grown`) by `growth`.

    Flat tensors in logical order. Candidates for growth are all weights that are not kept, those just dropped
    included, as in RigL's Algorithm 1. Ties go to the earlier weight, on every device.
    """
    kept, alive = mask.clone(), mask.nonzero().flatten()  # by place: in a training that diverges magnitudes are nan
    kept[alive[weight[alive].abs().argsort(stable=True)[:count]]] = False
    score = torch.where(kept, -torch.inf, growth)
    kept[score.argsort(descending=True, stable=True)[: count if grown is None else grown]] = True
    return kept


class Dynamic(SparseHook):
    """Every `interval` steps until the fraction `stop` of training: drop by magnitude, grow by a method's own score."""

    replaces_step = False
    """True: a mask update takes the place of the optimiser step (RigL's Algorithm 1); False: it follows the step."""

    def growth(self, name: str, layer: int, step: int) -> Tensor:
        """Flat growth scores of a layer."""
        raise NotImplementedError

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, steps_per_epoch: int) -> None:
        """Masks, and the step after which they stay."""
        super().attach(model, optimizer, recipe, steps_per_epoch)
        self.end = self.spec.stop * self.total_steps

    def _due(self, step: int) -> bool:
        return step >= self.spec.begin and step % self.spec.interval == 0 and step < self.end

    def drops(self, step: int) -> dict[str, int]:
        """Weights each layer drops at `step`; a dense layer has nothing to exchange."""
        fraction = drop_fraction(self.spec.alpha, step, self.end)
        sparse = {n: nnz < self.weights[n].numel() for n, nnz in self.nnz.items()}
        return {n: min(int(fraction * nnz), nnz - 1) if sparse[n] else 0 for n, nnz in self.nnz.items()}

    def grows(self, drops: dict[str, int]) -> dict[str, int]:
        """Weights each layer grows: as many as it drops."""
        return drops

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Exchange weights in every layer."""
        drops = self.drops(step)
        grows = self.grows(drops)
        for i, (name, weight) in enumerate(self.weights.items()):
            if drops[name] or grows[name]:
                mask, growth = self.masks[name].flatten(), self.growth(name, i, step)
                self.set_mask(name, replaced(weight.flatten(), mask, drops[name], growth, grows[name]))
        self.updates += 1

    def before_step(self, step: int) -> bool:
        """Update in place of the step, where the method does so."""
        if self.replaces_step and self._due(step):
            dense = {n: g.clone() for n, g in zip(self.weights, gradients(self.weights.values()), strict=True)}
            super().before_step(step)
            self.gradients = dense
            self.update(step)
            del self.gradients
            return False
        return super().before_step(step)

    def after_step(self, step: int) -> None:
        """Update after the step, where the method does so."""
        if not self.replaces_step and self._due(step):
            self.update(step)


class SET(Dynamic):
    """Sparse evolutionary training (Mocanu et al., 2018): grow at random."""

    def growth(self, name: str, layer: int, step: int) -> Tensor:
        """Uniform random numbers, a function of (seed, step, layer)."""
        weight = self.weights[name]
        return torch.rand(weight.numel(), generator=generator(self.spec.seed, step, layer)).to(weight.device)


class RigL(Dynamic):
    """Rigged lottery (Evci et al., 2020): grow where the gradient is largest."""

    replaces_step = True

    def growth(self, name: str, layer: int, step: int) -> Tensor:
        """|gradient| of the dense weight on the current batch, flat."""
        return self.gradients[name].abs().flatten()

    def training_flops(self, sparse: float, dense: float) -> float:
        """The dense weight gradient every `interval` steps, averaged in (RigL, appendix H)."""
        n = self.spec.interval
        return (3 * sparse * n + 2 * sparse + dense) / (n + 1)


def _positive(value: float) -> float:
    """A positive finite share: a layer without momentum, or of a training that diverges, gets next to nothing."""
    return value if math.isfinite(value) and value > 1e-12 else 1e-12


class SNFS(Dynamic):
    """Sparse networks from scratch (Dettmers & Zettlemoyer, 2019): grow by momentum, and share growth between layers.

    The momentum is an average of dense gradients, kept beside the optimiser's. What all layers drop together is grown
    in proportion to the mean |momentum| of each layer's non-zero weights, at most what a layer has room for: the total
    stays the same to the weight, the layers' densities move.
    """

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, steps_per_epoch: int) -> None:
        """Start the average at zero."""
        super().attach(model, optimizer, recipe, steps_per_epoch)
        self.momentum = {name: torch.zeros_like(w) for name, w in self.weights.items()}

    @torch.no_grad()
    def before_step(self, step: int) -> bool:
        """Average the dense gradients before they are masked."""
        for momentum, gradient in zip(self.momentum.values(), gradients(self.weights.values()), strict=True):
            momentum.lerp_(gradient, 1 - SNFS_MOMENTUM)
        return super().before_step(step)

    def growth(self, name: str, layer: int, step: int) -> Tensor:
        """|momentum| of the dense gradient, flat."""
        return self.momentum[name].abs().flatten()

    def grows(self, drops: dict[str, int]) -> dict[str, int]:
        """All dropped weights, shared by mean momentum of the non-zero weights."""
        room = {n: self.weights[n].numel() - self.nnz[n] + k for n, k in drops.items()}
        mean = {n: _positive(self.momentum[n][self.masks[n]].abs().mean().item()) for n, r in room.items() if r}
        shares = apportion({n: (m / room[n], room[n]) for n, m in mean.items()}, sum(drops.values()))
        return {n: shares.get(n, 0) for n in drops}

    def state_dict(self) -> dict[str, Any]:
        """The momentum as well."""
        return super().state_dict() | {"momentum": self.momentum}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The momentum as well."""
        super().load_state_dict(state)
        for name, value in state["momentum"].items():
            self.momentum[name].copy_(value)

    def training_flops(self, sparse: float, dense: float) -> float:
        """Sparse forward and backward, and the dense weight gradient at every step (RigL, appendix H)."""
        return 2 * sparse + dense


class GradualMagnitude(Dynamic):
    """Gradual magnitude pruning (Zhu & Gupta, 2017): from dense to the spec's sparsity along a cubic, never growing.

    Each layer is pruned to s(t) = s * (1 - (1 - u)^3), every `interval` steps, u the fraction of the way from `begin`
    (`GMP_BEGIN` where the spec leaves it at 1) to `stop`; its final count is the distribution's to the weight.
    """

    def initial(self) -> list[Tensor]:
        """Dense."""
        return [torch.ones(w.numel(), dtype=torch.bool) for w in self.weights.values()]

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, steps_per_epoch: int) -> None:
        """First and last step of pruning; with a `stop` before the first, all of it is done at `stop`."""
        super().attach(model, optimizer, recipe, steps_per_epoch)
        self.last = min(math.ceil(self.end), self.total_steps) - 1
        begin = self.spec.begin if self.spec.begin > 1 else round(GMP_BEGIN * self.total_steps)
        self.first = min(begin, self.last)

    def _due(self, step: int) -> bool:
        on_grid = self.first <= step < self.last and (step - self.first) % self.spec.interval == 0
        return on_grid or step == self.last

    def progress(self, step: int) -> float:
        """Fraction of the final sparsity at `step`, between 0 and 1."""
        way = 1.0 if step >= self.last else (step - self.first) / (self.last - self.first)
        return 1 - (1 - way) ** 3

    def drops(self, step: int) -> dict[str, int]:
        """What each layer has more than its count at `step`."""
        out = {}
        for name, weight in self.weights.items():
            goal = weight.numel() - round((weight.numel() - self.counts[name]) * self.progress(step))
            out[name] = self.nnz[name] - goal
        return out

    def grows(self, drops: dict[str, int]) -> dict[str, int]:
        """Nothing."""
        return dict.fromkeys(drops, 0)

    def growth(self, name: str, layer: int, step: int) -> Tensor:
        """Not asked for: nothing grows."""
        return torch.zeros(self.weights[name].numel(), device=self.weights[name].device)

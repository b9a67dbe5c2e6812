"""Architecture search and pruning in one training, as a hook of the loop (SuperTickets, You et al., ECCV 2022).

Channels are not cut out of the network: their weights are masked to zero, which gives the same output
(docs/supertickets.md).
"""

from collections.abc import Iterable
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from ebreplicate.catalog import KERNELS
from ebreplicate.cost import uses_per_weight
from ebreplicate.data.arrays import BatchSource
from ebreplicate.models.common import weight_layers
from ebreplicate.models.supernet import MixedBlock
from ebreplicate.pruning.methods.magnitude import drop
from ebreplicate.specs.joint import RANDOM, RESET, SIZES, STALE, ZEROED, Joint
from ebreplicate.specs.spec import Recipe
from ebreplicate.training.averaging import restate
from ebreplicate.training.gradients import gradients
from ebreplicate.training.loop import Ended, Report, StepHook
from ebreplicate.training.sparse import generator

DEAD = 1e-3
"""Largest |gamma| of a channel that is removed."""
CALIBRATION = 10
"""Batches over which batch-norm statistics are averaged anew after masks have changed."""


def channel_rows(block: MixedBlock) -> list[tuple[nn.Conv2d, slice, int]]:
    """The layers that the hidden channels of a block go through: each with the channels that it has, and its axis of
    them."""
    found, start = [(block.expand, slice(None), 0), (block.project, slice(None), 1)], 0
    for layer in block.depthwise:
        assert isinstance(layer, nn.Conv2d)
        found.append((layer, slice(start, start + len(layer.weight)), 0))
        start += len(layer.weight)
    return found


def resource_weights(blocks: Iterable[MixedBlock], uses: dict[nn.Module, int]) -> list[Tensor]:
    """Multiply-adds of every hidden channel of each block, float (hidden,), in units of their mean over all channels.

    `uses`: how often each weight of a layer is multiplied for one image.
    """
    found = []
    for block in blocks:
        costs = torch.zeros(block.gate.num_features)
        for layer, channels, axis in channel_rows(block):
            costs[channels] += uses[layer] * layer.weight.numel() / layer.weight.shape[axis]
        found.append(costs.to(block.gate.weight.device))
    mean = torch.cat(found).mean()
    return [costs / mean for costs in found]


class SearchAndPrune(StepHook):
    """The L1 term on the batch norms behind depthwise convolutions, removal of dead channels, and rounds of pruning.

    A mask multiplies the weights in the forward pass only. Between two optimiser steps the network holds the masked
    weights, so that it is evaluated and saved as it computes; `stored` holds the weights that the optimiser moves.
    Rounds come after the last step of an epoch, before its evaluation. `batches`: of training images.
    """

    def __init__(self, joint: Joint, seed: int, shape: tuple[int, int, int], batches: BatchSource):
        self.joint, self.seed, self.shape, self.batches = joint, seed, shape, batches
        self.rows: list[list[int]] = []
        self.returned: list[float | None] = []
        """At every round, the share of the weights pruned at the one before that come back; None: none were."""

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, steps_per_epoch: int) -> None:
        """Everything is alive at first."""
        self.model, self.steps_per_epoch, self.epochs = model, steps_per_epoch, recipe.epochs
        layers = list(weight_layers(model).values())
        self.uses: dict[nn.Module, int] = dict(zip(layers, uses_per_weight(model, self.shape), strict=True))
        self.weights = [layer.weight for layer in layers]
        self.blocks = [block for block in model.modules() if isinstance(block, MixedBlock)]
        self.costs = resource_weights(self.blocks, self.uses)
        self.alive: dict[nn.Module, Tensor] = {x: torch.ones_like(x.weight, dtype=torch.bool) for x in layers}
        self.masks = [mask.clone() for mask in self.alive.values()]
        self.stored = [weight.detach().clone() for weight in self.weights]
        self.pruned = torch.zeros(sum(w.numel() for w in self.weights), dtype=torch.bool)
        self.rows.append(self._sizes())

    def _channels(self, block: MixedBlock) -> Tensor:
        return self.alive[block.project][0, :, 0, 0]

    def _sizes(self) -> list[int]:
        kept = [int(mask.sum()) for mask in self.masks]
        products = sum(n * uses for n, uses in zip(kept, self.uses.values(), strict=True))
        channels = sum(int(self._channels(block).sum()) for block in self.blocks)
        return [channels, sum(int(m.sum()) for m in self.alive.values()), sum(kept), products]

    @torch.no_grad()
    def before_step(self, step: int) -> bool:
        """Add the L1 term's gradient; then let the optimiser see the stored weights, and no gradient of masked ones."""
        rho = self.joint.rho_at(step / self.steps_per_epoch)
        gammas = [block.gate.weight for block in self.blocks]
        for gamma, costs, gradient in zip(gammas, self.costs, gradients(gammas), strict=True):
            gradient.add_(costs * gamma.sign(), alpha=rho)
        every = zip(self.weights, self.stored, self.masks, gradients(self.weights), strict=True)
        for weight, stored, mask, gradient in every:
            gradient.mul_(mask)
            if self.joint.connectivity == STALE:
                weight.copy_(torch.where(mask, weight, stored))
        return True

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Mask the weights, after a round where an epoch ends with one."""
        epoch, rest = divmod(step + 1, self.steps_per_epoch)
        if self.joint.connectivity != STALE:  # whatever momentum did to them, masked weights are zero
            for weight, mask in zip(self.weights, self.masks, strict=True):
                weight.mul_(mask)
        changed = rest == 0 and self._end_of_epoch(epoch)
        for weight, stored, mask in zip(self.weights, self.stored, self.masks, strict=True):
            stored.copy_(weight)
            weight.mul_(mask)
        if changed:
            restate(self.model, islice(self.batches.epoch(epoch), CALIBRATION))

    def _end_of_epoch(self, epoch: int) -> bool:
        """Remove channels and prune, where it is time to; whether it was."""
        shrinks = epoch % self.joint.shrink == 0 or epoch == self.epochs
        if shrinks:
            self._shrink()
        if self.joint.is_round(epoch):
            self._prune(epoch)
        return shrinks or self.joint.is_round(epoch)

    def _shrink(self) -> None:
        """Remove the hidden channels whose scale is at most `DEAD`, with all their weights and for good."""
        for block in self.blocks:
            living = block.gate.weight.abs() > DEAD
            for layer, channels, axis in channel_rows(block):
                shape = [1] * 4
                shape[axis] = -1
                self.alive[layer] &= living[channels].view(shape)
        for mask, alive in zip(self.masks, self.alive.values(), strict=True):
            mask &= alive

    def _prune(self, epoch: int) -> None:
        """Mask the fraction of the living weights, all layers together, that ranks lowest."""
        alive, before = (torch.cat([m.flatten() for m in masks]).cpu() for masks in (self.alive.values(), self.masks))
        scores = torch.cat([weight.abs().flatten() for weight in self.weights]).cpu()
        if self.joint.ranking == RANDOM:
            scores = torch.rand(len(scores), generator=generator(self.seed, epoch, 0))
        kept = drop(scores, alive, self.joint.pruned_at(epoch))
        if self.joint.connectivity == ZEROED:
            kept &= before
        last = self.pruned & alive
        self.returned.append(float((last & kept).sum() / last.sum()) if last.any() else None)
        self.pruned = alive & ~kept
        for mask, piece in zip(self.masks, kept.split([w.numel() for w in self.weights]), strict=True):
            mask.copy_(piece.view(mask.shape))

    def after_epoch(self, history: list[dict[str, float]]) -> None:
        """Reset masks, where they are to be; record what the next epoch trains, after the last one the ticket."""
        if self.joint.connectivity == RESET and len(history) < self.epochs:
            for mask, alive in zip(self.masks, self.alive.values(), strict=True):
                mask.copy_(alive)
        self.rows.append(self._sizes())

    def state_dict(self) -> dict[str, Any]:
        """Masks, stored weights and what was recorded."""
        alive, masks = list(self.alive.values()), self.masks
        state = {"alive": alive, "masks": masks, "stored": self.stored, "pruned": self.pruned}
        return state | {"rows": self.rows, "returned": self.returned}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state of `state_dict`."""
        ours = [*self.alive.values(), *self.masks, *self.stored]
        for tensor, saved in zip(ours, [*state["alive"], *state["masks"], *state["stored"]], strict=True):
            tensor.copy_(saved)
        self.pruned, self.rows, self.returned = state["pruned"], state["rows"], state["returned"]

    def report(self, ended: Ended) -> Report:
        """Each of `SIZES` that the epochs train with, the ticket's last; the shares that came back; and the living
        channels of every block and kernel at the end."""
        columns = dict(zip(SIZES, map(list, zip(*self.rows, strict=True)), strict=True))
        kernels = [part for block in self.blocks for part in self._channels(block).chunk(len(KERNELS))]
        counts = [int(part.sum()) for part in kernels]
        return Report(columns | {"returned_weights": self.returned, "kernel_channels": counts})

"""Soft filter pruning as a hook of the training loop: after every epoch, before its evaluation."""

import torch
from torch import nn

from ebreplicate.pruning.filters import prunable_filters, prune_softly
from ebreplicate.specs.spec import Recipe
from ebreplicate.training.loop import StepHook


class SoftFilters(StepHook):
    """Zeroes the fraction `ratio` of each layer's filters after every epoch (He et al., IJCAI 2018)."""

    def __init__(self, ratio: float):
        self.ratio = ratio

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, steps_per_epoch: int) -> None:
        """Remember the layers, before another hook quantises them; raises UserError for a network that has no rule."""
        self.layers, self.steps_per_epoch = prunable_filters(model), steps_per_epoch

    def after_step(self, step: int) -> None:
        """Prune at the end of an epoch."""
        if (step + 1) % self.steps_per_epoch == 0:
            prune_softly(self.layers, self.ratio)

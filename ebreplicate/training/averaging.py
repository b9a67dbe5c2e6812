"""Stochastic weight averaging as in SWALP (Yang et al., ICML 2019): the average of end-of-epoch weights, kept beside
the training."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from ebreplicate.data.arrays import ImageData
from ebreplicate.pruning.channels import batch_norms
from ebreplicate.specs.spec import Recipe
from ebreplicate.training.loop import Ended, Report, StepHook, evaluate


class WeightAverage(StepHook):
    """Running fp32 average of all parameters at the end of every epoch after `recipe.swa_start` completed ones.

    The training itself goes on as without it (authors' main_lp.py, --swa_start 140: epochs 141 to 160, of the rounded
    weights in low precision, so it must come after that hook). It is saved in the checkpoint.
    """

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, steps_per_epoch: int) -> None:
        """Start an empty average."""
        self.model, self.recipe, self.steps_per_epoch = model, recipe, steps_per_epoch
        self.start = recipe.epochs if recipe.swa_start is None else recipe.swa_start
        self.count, self.average = 0, list[Tensor]()

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Take the weights in where an epoch ends."""
        epochs, rest = divmod(step + 1, self.steps_per_epoch)
        if rest or epochs <= self.start:
            return
        weights = [p.detach().clone() for p in self.model.parameters()]
        self.count += 1
        if self.count == 1:
            self.average = weights
        else:
            torch._foreach_lerp_(self.average, weights, 1 / self.count)

    def state_dict(self) -> dict[str, Any]:
        """Number of epochs averaged, and the average."""
        return {"count": self.count, "average": self.average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a saved average, on the model's device."""
        self.count = state["count"]
        device = next(self.model.parameters()).device
        self.average = [t.to(device) for t in state["average"]]

    def report(self, ended: Ended) -> Report:
        """Accuracy of the averaged weights beside that of the training; None if it diverged."""
        return Report({"swa_accuracy": self.accuracy(ended.data, ended.seed) if ended.status == "ok" else None})

    def accuracy(self, data: ImageData, seed: int) -> float | None:
        """Test accuracy (percent) of the averaged network in fp32, or None if no epoch was averaged.

        Its batch-norm statistics are those of one pass over the augmented training images, as in SWALP.
        """
        if not self.count:
            return None
        model = copy.deepcopy(self.model)
        with torch.no_grad():
            torch._foreach_copy_(list(model.parameters()), self.average)
        recipe = self.recipe
        restate(model, data.batches(recipe.batch_size, recipe.augment, seed).epoch(recipe.epochs))
        return evaluate(model, data)[1]


@torch.no_grad()
def restate(model: nn.Module, batches: Any) -> None:
    """Replace the batch-norm statistics of `model` by the mean of those of `batches`, pairs (images, labels)."""
    norms = batch_norms(model)
    usual = [bn.momentum for bn in norms]
    for bn in norms:
        bn.reset_running_stats()
        bn.momentum = None  # torch's word for a plain average over batches
    model.train()
    for x, _ in batches:
        model(x)
    for bn, momentum in zip(norms, usual, strict=True):
        bn.momentum = momentum

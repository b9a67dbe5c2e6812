"""Frobenius decay of factorised layers, and the norms of their products over training (Khodak et al., ICLR 2021)."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from ebreplicate.models.factorised import FactorisedConv, factorised_layers
from ebreplicate.specs.spec import Recipe
from ebreplicate.training.gradients import gradients
from ebreplicate.training.loop import Ended, Report, StepHook

NORMS = ("nuclear_norm", "nuclear_bound", "frobenius_norm")
"""Of U V^T: the sum of its singular values; (|U|^2 + |V|^2) / 2, never less; the root of the sum of their squares."""
LARGEST = torch.finfo(torch.float32).max
"""Norm that is recorded. They are computed in double precision, in which those of a network that diverges go on."""


def without_decay(optimizer: torch.optim.Optimizer, parameters: list[Tensor]) -> None:
    """Move parameters into a group of their own without weight decay. To be called before the first step."""
    moved = {id(p) for p in parameters}
    for group in optimizer.param_groups:
        group["params"] = [p for p in group["params"] if id(p) not in moved]
    optimizer.add_param_group({"params": parameters, "weight_decay": 0.0})


def frobenius_gradients(u: Tensor, vt: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of |U V^T|_F^2 / 2 by U (n, r) and V^T (r, m): U (V^T V) and (U^T U) V^T."""
    return u @ (vt @ vt.T), (u.T @ u) @ vt


class FrobeniusDecay(StepHook):
    """Weight decay of factorised layers on |U V^T|_F^2 / 2 with the recipe's strength, in place of that on the factors.

    It is added to the gradients before the optimiser's step, so that momentum sees it as it sees ordinary decay.
    """

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, steps_per_epoch: int) -> None:
        """Take the factors out of ordinary decay; every other parameter keeps it."""
        self.layers, self.strength = factorised_layers(model), recipe.weight_decay
        without_decay(optimizer, [weight for layer in self.layers for weight in layer.weights])

    @torch.no_grad()
    def before_step(self, step: int) -> bool:
        """Add the decay to the gradients."""
        for layer in self.layers:
            decays = layer.shaped(*frobenius_gradients(*layer.matrices()))
            for gradient, decay in zip(gradients(layer.weights), decays, strict=True):
                gradient.add_(decay, alpha=self.strength)
        return True


def norms(layer: FactorisedConv) -> tuple[float, float, float]:
    """`NORMS` of a layer, in double precision; nan where a factor is not finite."""
    u, vt = (matrix.double().cpu() for matrix in layer.matrices())
    if not (u.isfinite().all() and vt.isfinite().all()):
        return (math.nan,) * 3
    singular = torch.linalg.svdvals(u @ vt)
    bound = (u.square().sum() + vt.square().sum()) / 2
    return singular.sum().item(), bound.item(), singular.square().sum().sqrt().item()


class FactorNorms(StepHook):
    """Records `NORMS`, as means over factorised layers, of the untrained network and after every epoch."""

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, steps_per_epoch: int) -> None:
        """Record the untrained network."""
        self.layers, self.steps_per_epoch = factorised_layers(model), steps_per_epoch
        self.rows = [self._means()]

    def _means(self) -> list[float]:
        found = [norms(layer) for layer in self.layers]
        return [math.fsum(column) / len(found) for column in zip(*found, strict=True)]

    def after_step(self, step: int) -> None:
        """Record the end of an epoch."""
        if (step + 1) % self.steps_per_epoch == 0:
            self.rows.append(self._means())

    def state_dict(self) -> dict[str, Any]:
        """The rows, float64 (n, 3)."""
        return {"rows": torch.tensor(self.rows, dtype=torch.float64)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the rows of `state_dict`."""
        self.rows = state["rows"].tolist()

    def metrics(self) -> dict[str, list[float | None]]:
        """Each of `NORMS` by epoch, the untrained network first; None where it is not finite in single precision."""
        columns = zip(*self.rows, strict=True)
        return {
            name: [v if v <= LARGEST else None for v in column] for name, column in zip(NORMS, columns, strict=True)
        }

    def report(self, ended: Ended) -> Report:
        """The norms by epoch."""
        return Report(self.metrics())

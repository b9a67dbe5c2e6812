"""Taylor importance of channels, recorded while a search trains."""

import torch
from torch import Tensor, nn

from ebreplicate.pruning.channels import batch_norms
from ebreplicate.specs.spec import Recipe
from ebreplicate.training.gradients import gradients
from ebreplicate.training.loop import State, StepHook


class Taylor(StepHook):
    """Mean over the steps of every epoch of (gamma dL/dgamma + beta dL/dbeta)^2, per batch-norm channel.

    The squared first-order change of a batch's loss if the channel were silenced (Molchanov et al., "Importance
    Estimation for Neural Network Pruning", CVPR 2019; its authors' pruning_engine.py, method 31, "Taylor FO on BN",
    averaged over iterations as there). "When to Prune?" (CVPR 2022) ranks neurons by gradient this way; that it does so
    on batch norms is not confirmed. L is the loss alone: the L1 subgradient, which is in the gradients by then, is
    taken out again. A step hook that reads gradients and changes nothing, and an observer that closes epochs.
    """

    def __init__(self, rows: list[Tensor] | None = None):
        self.rows = rows or []
        """One row (N,) per epoch, on the CPU. Row 0, the untrained network, is zero: no step has been taken, and as
        of the equal |gamma| of that network, a strict threshold keeps none of it."""

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, steps_per_epoch: int) -> None:
        """Find the batch norms."""
        norms = batch_norms(model)
        self.gammas, self.betas = [bn.weight for bn in norms], [bn.bias for bn in norms]
        self.l1 = recipe.l1
        self._restart()

    def _restart(self) -> None:
        self.sums, self.steps = [torch.zeros_like(g.detach()) for g in self.gammas], 0

    @torch.no_grad()
    def before_step(self, step: int) -> bool:
        """Add this step's squares; the optimiser step is always wanted."""
        gammas, betas = [g.detach() for g in self.gammas], [b.detach() for b in self.betas]
        change = torch._foreach_mul(gammas, gradients(self.gammas))
        torch._foreach_addcmul_(change, betas, gradients(self.betas))
        if self.l1:
            torch._foreach_add_(change, torch._foreach_abs(gammas), alpha=-self.l1)
        torch._foreach_addcmul_(self.sums, change, change)
        self.steps += 1
        return True

    def __call__(self, state: State) -> None:
        """Close the row of the state's epoch."""
        self.rows.append(torch.cat(self.sums).float().cpu() / max(1, self.steps))
        self._restart()

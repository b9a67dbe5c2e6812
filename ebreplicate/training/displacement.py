"""How far the parameters of a network in training have moved: what EarlyCroP's rules for when to prune ask."""

from typing import Any

import torch
from torch import Tensor, nn

from ebreplicate.training.loop import State


def _flat(model: nn.Module) -> Tensor:
    """All parameters, biases and batch norms included, in one vector (P,)."""
    return torch.cat([p.detach().flatten() for p in model.parameters()])


class Displacement:
    """Records a row an epoch, the untrained network first: see `pruning.displacement.COLUMNS`.

    An observer: it reads parameters and changes nothing. `saved`: a `state_dict`, to go on from.
    """

    def __init__(self, saved: dict[str, Any] | None = None):
        self.rows: list[Tensor] = list(saved["rows"]) if saved else []
        """Each (3,), float64, on the CPU. Row 0 has 0 for the distance from the network after the first epoch."""
        self.references: list[Tensor] = list(saved["references"]) if saved else []
        """Parameters before training and after its first epoch, as far as they are known."""

    def __call__(self, state: State) -> None:
        """Append the row of the state's epoch."""
        now = _flat(state.model)
        if len(self.references) < 2:
            self.references.append(now.clone())
        distances = [(now.double() - r.to(now.device).double()).norm() for r in self.references]
        zero = distances[0].new_zeros(2 - len(distances))
        self.rows.append(torch.cat([torch.stack(distances), zero, now.double().norm()[None]]).cpu())

    def table(self) -> Tensor:
        """All rows, float32 (epochs + 1, 3)."""
        return torch.stack(self.rows).float()

    def state_dict(self) -> dict[str, Any]:
        """What a resumed search needs."""
        return {"rows": self.rows, "references": [r.cpu() for r in self.references]}

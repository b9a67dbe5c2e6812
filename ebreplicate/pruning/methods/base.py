"""What a pruning method is given at a draw."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class DrawContext:
    """State of a search at the draw epoch.

    `scores`: |gamma| of every batch norm, shape (N,); `widths`: channels per batch norm; `ratio`: fraction to remove;
    `seed`: the search's seed. Of methods that look at weights (`NEEDS_WEIGHTS`) also `model`, the dense network with
    the weights of the draw epoch, on the CPU.
    """

    scores: Tensor
    widths: list[int]
    ratio: float
    seed: int = 0
    model: nn.Module | None = None

    def generator(self) -> torch.Generator:
        """Random generator of this draw: a function of the seed alone."""
        return torch.Generator().manual_seed(self.seed)

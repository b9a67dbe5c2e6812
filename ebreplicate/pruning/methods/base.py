"""What a pruning method is given at a draw."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class DrawContext:
    """State of a search at the draw epoch.

    `scores`: |gamma| of every batch norm, shape (N,); `widths`: channels per batch norm; `ratio`: fraction to remove;
    `seed`: the search's seed; `taylor`: Taylor scores of the draw epoch, shape (N,), for a method that needs them.
    """

    scores: Tensor
    widths: list[int]
    ratio: float
    seed: int = 0
    taylor: Tensor | None = None

    def generator(self) -> torch.Generator:
        """Random generator of this draw: a function of the seed alone."""
        return torch.Generator().manual_seed(self.seed)

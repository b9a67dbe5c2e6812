"""What a pruning method is given at a draw."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class DrawContext:
    """State of a search at the draw epoch.

    `scores`: |gamma| of every batch norm, shape (N,); `widths`: channels per batch norm; `ratio`: fraction to remove;
    `seed`: the search's seed. Of methods that look at weights also `model`, the dense network with the weights of the
    draw epoch, on the CPU, and `images`: from a count to so many training images, normalised float (n, 3, H, W).
    """

    scores: Tensor
    widths: list[int]
    ratio: float
    seed: int = 0
    model: nn.Module | None = None
    images: Callable[[int], Tensor] | None = None

    def generator(self) -> torch.Generator:
        """Random generator of this draw: a function of the seed alone."""
        return torch.Generator().manual_seed(self.seed)

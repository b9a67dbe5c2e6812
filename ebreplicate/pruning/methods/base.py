"""What a pruning method is given at a draw."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ebreplicate.errors import UserError
from ebreplicate.models.common import Network


@dataclass(frozen=True)
class DrawContext:
    """State of a search at the draw epoch.

    `scores`: |gamma| of every batch norm, shape (N,); `widths`: channels per batch norm; `ratio`: fraction to remove;
    `seed`: the search's seed. `model`: the dense network with the weights of the draw epoch, for methods that need them
    (`NEEDS_WEIGHTS`); `previous`: the mask of the round before, over the same things, of iterative pruning;
    `taylor`: Taylor scores of the draw epoch, shape (N,), for a method that needs them; `images`: from a count to so
    many training images (all, if there are fewer), normalised float (n, 3, H, W) on the CPU; `batches`:
    from "train" or "test" to labelled batches of that split, for a method that needs gradients.
    """

    scores: Tensor
    widths: list[int]
    ratio: float
    seed: int = 0
    model: Network | None = None
    previous: Tensor | None = None
    taylor: Tensor | None = None
    images: Callable[[int], Tensor] | None = None
    batches: Callable[[str], list[tuple[Tensor, Tensor]]] | None = None

    def dense(self) -> Network:
        """The dense network; raises UserError where the draw was not given one."""
        if self.model is None:
            raise UserError("DrawContext.model: this method looks at weights; give it the dense network")
        return self.model

    def generator(self) -> torch.Generator:
        """Random generator of this draw: a function of the seed alone."""
        return torch.Generator().manual_seed(self.seed)

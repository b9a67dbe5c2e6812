"""Network slimming (Liu et al., ICCV 2017, section 3): global threshold on |gamma|. What EB tickets use."""

from torch import Tensor

from ebreplicate.pruning.masks import global_mask
from ebreplicate.pruning.methods.base import DrawContext


def slimming(context: DrawContext) -> Tensor:
    """Keep the channels whose |gamma| exceeds the global threshold; bool (N,)."""
    return global_mask(context.scores, context.ratio)

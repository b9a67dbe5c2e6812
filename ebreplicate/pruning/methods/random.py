"""Random channels at the layer widths slimming would keep: the control that tells structure from selection.

Rethinking the Value of Network Pruning (Liu et al., ICLR 2019), section 5, asks the same of architecture and weights.
"""

import torch
from torch import Tensor

from ebreplicate.pruning.masks import global_mask
from ebreplicate.pruning.methods.base import DrawContext


def random_channels(context: DrawContext) -> Tensor:
    """Keep, in every layer, as many channels as slimming keeps there, chosen at random; bool (N,)."""
    generator = context.generator()
    pieces = []
    for piece in global_mask(context.scores, context.ratio).split(context.widths):
        order = torch.randperm(len(piece), generator=generator)
        pieces.append(piece[order.to(piece.device)])
    return torch.cat(pieces)

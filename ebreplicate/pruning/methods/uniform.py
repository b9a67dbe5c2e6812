"""Filters of smallest L1 norm go, the same fraction of every layer (Li et al., ICLR 2017, section 3.1)."""

import torch
from torch import Tensor

from ebreplicate.pruning.methods.base import DrawContext
from ebreplicate.pruning.methods.layers import kept, mask_of, neighbours


def uniform(context: DrawContext) -> Tensor:
    """Keep, in every prunable layer, the filters of largest L1 norm; bool (N,). Raises UserError without a model."""
    pieces = []
    for pair, width in zip(neighbours(context.dense()), context.widths, strict=True):
        if pair is None:
            pieces.append(torch.ones(width, dtype=torch.bool))
            continue
        norm = pair[0].weight.detach().abs().flatten(1).sum(1)
        pieces.append(mask_of(norm.topk(kept(width, context.ratio)).indices, width))
    return torch.cat(pieces)

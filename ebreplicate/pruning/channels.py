"""The channels that are pruned: those of every batch norm, in forward order, with |gamma| as their score."""

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

from ebreplicate.errors import UserError

Model = TypeVar("Model", bound=nn.Module)


def batch_norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    """Every batch norm of `model` that has a scale, in order of registration, which is forward order here."""
    return [m for m in model.modules() if isinstance(m, nn.BatchNorm2d) and m.affine]


def bn_widths(model: nn.Module) -> list[int]:
    """Channel count of every batch norm, in forward order."""
    return [bn.num_features for bn in batch_norms(model)]


def prunable_scores(model: nn.Module) -> Tensor:
    """|gamma| of every batch norm in forward order, concatenated: shape (N,), detached, on the model's device.

    N is 0 for a network without batch norms.
    """
    scales = [bn.weight.detach().abs() for bn in batch_norms(model)]
    return torch.cat(scales) if scales else torch.zeros(0, device=next(model.parameters()).device)


def split_mask(model: nn.Module, mask: Tensor) -> list[Tensor]:
    """Cut `mask` (N,) into one piece per batch norm; raises UserError if its length or type does not fit."""
    widths = bn_widths(model)
    if mask.dtype != torch.bool or mask.shape != (sum(widths),):
        raise UserError(f"mask: expected bool of shape ({sum(widths)},), got {mask.dtype} of shape {tuple(mask.shape)}")
    return list(mask.split(widths))


@torch.no_grad()
def masked(model: Model, mask: Tensor) -> Model:
    """Deep copy of `model` with gamma and beta of the channels that `mask` (bool, (N,)) drops set to zero."""
    model = copy.deepcopy(model)
    for bn, keep in zip(batch_norms(model), split_mask(model, mask), strict=True):
        bn.weight.mul_(keep)
        if bn.bias is not None:
            bn.bias.mul_(keep)
    return model


def kept_channels(model: nn.Module, mask: Tensor) -> list[int]:
    """Channel configuration of the network shrunk by `mask` (bool, (N,)): kept channels per batch norm, at least 1."""
    return [max(1, int(m.sum())) for m in split_mask(model, mask)]

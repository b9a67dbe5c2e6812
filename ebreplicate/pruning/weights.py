"""Masks over single weights: every convolution and linear weight, concatenated in forward order."""

import numpy as np
import torch
from torch import Tensor, nn

from ebreplicate.errors import UserError
from ebreplicate.models.common import weight_layers


def prunable(model: nn.Module) -> list[Tensor]:
    """The weight, in its own shape, of every convolution and linear layer, in forward order; no bias, no batch norm."""
    return [layer.weight for layer in weight_layers(model).values()]


def weight_counts(model: nn.Module) -> list[int]:
    """Number of prunable weights per layer."""
    return [w.numel() for w in prunable(model)]


def magnitudes(model: nn.Module) -> list[Tensor]:
    """|w| of every layer, flat, detached, on the CPU."""
    return [w.detach().abs().flatten().cpu() for w in prunable(model)]


def split_weights(model: nn.Module, mask: Tensor) -> list[Tensor]:
    """Cut `mask` (bool, (N,)) into one piece per layer, in the layer's shape; raises UserError if it does not fit."""
    weights = prunable(model)
    total = sum(w.numel() for w in weights)
    if mask.dtype != torch.bool or mask.shape != (total,):
        raise UserError(f"mask: expected bool of shape ({total},), got {mask.dtype} of shape {tuple(mask.shape)}")
    pieces = mask.split([w.numel() for w in weights])
    return [piece.view(w.shape) for piece, w in zip(pieces, weights, strict=True)]


def density(model: nn.Module, mask: Tensor) -> list[float]:
    """Fraction of every layer that `mask` (bool, (N,)) keeps."""
    return [piece.float().mean().item() for piece in split_weights(model, mask)]


def pack(mask: Tensor) -> np.ndarray:
    """A mask (bool, (N,)) as it is saved: eight entries a byte, uint8 (ceil(N / 8),)."""
    return np.packbits(mask.numpy())


def layer_rates(model: nn.Module, ratio: float) -> list[float] | None:
    """Fraction to remove from every layer where the network is pruned layer by layer; None: across all layers.

    A network says so by `pruning_rates`, factors on the ratio in forward order (the lottery-ticket paper's Figure 2).
    """
    factors = getattr(model, "pruning_rates", None)
    return None if factors is None else [ratio * f for f in factors]


@torch.no_grad()
def apply_mask(model: nn.Module, mask: Tensor) -> None:
    """Set the weights that `mask` (bool, (N,)) drops to exactly zero, in place."""
    for weight, keep in zip(prunable(model), split_weights(model, mask), strict=True):
        weight.masked_fill_(~keep.to(weight.device), 0.0)


def stray_weights(model: nn.Module, mask: Tensor) -> int:
    """How many weights that `mask` (bool, (N,)) drops are not zero (nan counts): 0 after training under it."""
    pairs = zip(prunable(model), split_weights(model, mask), strict=True)
    return sum(int((w.detach().cpu()[~keep] != 0).sum()) for w, keep in pairs)

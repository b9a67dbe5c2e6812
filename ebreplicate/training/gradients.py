"""Gradients that are known to be there."""

from collections.abc import Iterable

from torch import Tensor


def gradients(weights: Iterable[Tensor]) -> list[Tensor]:
    """The gradient of every weight, same shape; raises RuntimeError for one that took no part in the loss."""
    found = []
    for weight in weights:
        if weight.grad is None:
            raise RuntimeError(f"a weight of shape {tuple(weight.shape)} has no gradient: it took no part in the loss")
        found.append(weight.grad)
    return found

"""Frozen convolutions under a learned mask: a number for each weight (Piggyback) or for each k x k kernel (KSM).

Mallya et al., ECCV 2018, and a reconstruction of Yang et al., CVPR 2021 (docs/kernel-masks.md).
"""

from torch import Tensor, nn
from torch.nn.utils import parametrize

from ebreplicate.catalog import FINE_TUNING, KERNEL_ALL, KERNEL_ZEROS, MASKED, PIGGYBACK
from ebreplicate.models.common import weight_layers

START = 5e-3
"""First value of every number, above the threshold 0: Piggyback's 1e-2 less its threshold 5e-3."""


class Mask(nn.Module):
    """The mask M of a weight W (a, b, k, k), made of real numbers R: (a, b, k, k) for Piggyback, else (a, b, 1, 1).

    B = 1 where R > 0, else 0. M = B (Piggyback; binary), B + R (1 - B) (zeros) or B + R (all). The gradient of B by R
    is 1 for Piggyback, else that of the two-way softmax over log sigmoid(R) and log sigmoid(-R), which is sigmoid(R).
    """

    def __init__(self, weight: Tensor, method: str):
        super().__init__()
        self.method = method
        shape = weight.shape if method == PIGGYBACK else (*weight.shape[:2], 1, 1)
        self.reals = nn.Parameter(weight.new_full(shape, START))

    def mask(self) -> Tensor:
        """M, in the shape of R."""
        soft = self.reals if self.method == PIGGYBACK else self.reals.sigmoid()
        bits = (self.reals > 0).to(soft.dtype) + (soft - soft.detach())  # exactly 0 or 1
        if self.method == KERNEL_ZEROS:
            return bits + self.reals * (1 - bits)
        return bits + self.reals if self.method == KERNEL_ALL else bits

    def forward(self, weight: Tensor) -> Tensor:
        """W M, M broadcast over each kernel."""
        return weight * self.mask()


def freeze(model: nn.Module, method: str) -> None:
    """Freeze every weight but those of batch norms and of the classifier, and mask the convolutions' by `method`.

    A method without masks only freezes.
    """
    *convolutions, _ = weight_layers(model).values()
    for layer in convolutions:
        if method in MASKED:
            parametrize.register_parametrization(layer, "weight", Mask(layer.weight.detach(), method))
        for name, parameter in layer.named_parameters():
            parameter.requires_grad_(name.endswith("reals"))


def masks(model: nn.Module) -> list[Mask]:
    """The masks of a network, in forward order."""
    return [m for m in model.modules() if isinstance(m, Mask)]


def zeros(model: nn.Module) -> int:
    """Entries of its masks that are off: all are on before training, so these have flipped."""
    return sum(int((~(mask.reals > 0)).sum()) for mask in masks(model))


def storage(model: nn.Module, method: str, off: int) -> dict[str, int]:
    """What a task adapted by `method` with `off` entries off has to be stored in, counted on the network `model`.

    Entries of its masks, and bits: one an entry and 32 a real number, of the masks; and with all else that is the
    task's own, at 32 bits: batch norms with their statistics, the classifier, and, where they train, the weights.
    """
    *convolutions, classifier = weight_layers(model).values()
    kernels = sum(layer.weight.shape[:2].numel() for layer in convolutions)
    weights = sum(layer.weight.numel() for layer in convolutions)
    entries = 0 if method not in MASKED else weights if method == PIGGYBACK else kernels
    bits = entries + 32 * {KERNEL_ZEROS: off, KERNEL_ALL: entries}.get(method, 0)
    norms = sum(4 * m.num_features for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    own = norms + sum(p.numel() for p in classifier.parameters()) + (weights if method == FINE_TUNING else 0)
    return {"mask_entries": entries, "mask_zeros": off, "mask_bits": bits, "task_bits": bits + 32 * own}

"""Soft filter pruning (He et al., IJCAI 2018): which filters it prunes, and pruning them softly."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ebreplicate.errors import UserError
from ebreplicate.models.preresnet import PreResNet
from ebreplicate.models.resnet import ResNet
from ebreplicate.models.vgg import VGG
from ebreplicate.pruning.channels import batch_norms

Layer = tuple[nn.Conv2d, nn.BatchNorm2d]


def prunable_filters(model: nn.Module) -> list[Layer]:
    """Every convolution whose filters are pruned, with the batch norm behind it, in forward order.

    All convolutions, the first included, but projection shortcuts, as in its authors' code (he-y/soft-filter-pruning,
    pruning_train.py, `skip_downsample`); in a PreResNet also not those that write to the residual stream, which have no
    batch norm of their own. Raises UserError for other networks.
    """
    if isinstance(model, ResNet):
        return [(model.conv1, model.bn1), *(layer for block in model.blocks for layer in block.layers)]
    if isinstance(model, PreResNet):
        return [layer for b in model.blocks for layer in ((b.conv1, b.bn2), (b.conv2, b.bn3))]
    if isinstance(model, VGG):
        convolutions = [m for m in model.features if isinstance(m, nn.Conv2d)]
        return list(zip(convolutions, batch_norms(model), strict=True))
    raise UserError(f"Search.soft_ratio: no soft filter pruning for {type(model).__name__}")


def weakest(weight: Tensor, ratio: float) -> Tensor:
    """Numbers of the int(ratio * n) filters of smallest L2 norm in `weight` (n, ...), as its authors count them."""
    return weight.flatten(1).norm(dim=1).argsort()[: int(len(weight) * ratio)]


@torch.no_grad()
def prune_softly(layers: Iterable[Layer], ratio: float) -> None:
    """Set the weakest filters of each of `layers` to zero, with the shift and the running mean of their batch norm.

    Their scale stays, so that training can revive them. With filter, shift and mean at zero the channel
    is zero in evaluation: the network computes what it computes with those channels removed. The paper zeroes the
    filter alone, so that the constant of the shift remains.
    """
    for conv, bn in layers:
        index = weakest(conv.weight, ratio)
        for tensor in (conv.weight, bn.bias, bn.running_mean):
            if tensor is not None:
                tensor[index] = 0


def filter_mask(model: nn.Module) -> Tensor:
    """Bool (N,) over the batch-norm channels in forward order: False where the filter in front is all zero."""
    live = {bn: conv.weight.detach().flatten(1).any(1) for conv, bn in prunable_filters(model)}
    every = batch_norms(model)
    return torch.cat([live.get(bn, torch.ones_like(bn.weight, dtype=torch.bool)) for bn in every])

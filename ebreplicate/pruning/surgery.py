"""Remove channels for real: from a dense network and a mask to a smaller network that inherits the weights.

The mask is over all batch-norm channels in forward order. A shrunk network computes what the masked dense network
(gamma and beta of dropped channels at zero) computes, in training and in evaluation mode.
"""

from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from ebreplicate.errors import UserError
from ebreplicate.models import build
from ebreplicate.models.common import ChannelSelection, Layer, Network
from ebreplicate.models.preresnet import PreResNet
from ebreplicate.models.resnet import ResNet
from ebreplicate.models.vgg import VGG
from ebreplicate.pruning.channels import kept_channels, masked, split_mask
from ebreplicate.pruning.graph_surgery import shrink_by_graph

Model = TypeVar("Model", bound=nn.Module)


def _indices(keep: Tensor) -> Tensor:
    """Indices of kept channels; channel 0, which `masked` has silenced, stands in for an emptied layer."""
    index = keep.nonzero().flatten()
    return index if len(index) else torch.zeros(1, dtype=torch.int64, device=keep.device)


def _copy_bn(new: nn.BatchNorm2d, old: nn.BatchNorm2d, index: Tensor | slice) -> None:
    new.load_state_dict({name: value[index] if value.ndim else value for name, value in old.state_dict().items()})


def _copy(new: nn.Module, old: nn.Module) -> None:
    """Copy a module that keeps its shape."""
    new.load_state_dict(old.state_dict())


def _copy_layer(new: Layer, old: Layer, out: Tensor | slice, into: Tensor | slice) -> None:
    """Copy the kept outputs and inputs of a convolution or linear layer."""
    new.weight.copy_(old.weight[out][:, into])
    if new.bias is not None and old.bias is not None:
        new.bias.copy_(old.bias[out])


def shrink(model: Model, mask: Tensor, example: Tensor | None = None) -> Model:
    """Smaller network that keeps the channels of `mask` (bool, (N,), forward order), weights and statistics inherited.

    A layer that the mask empties keeps one silent channel (gamma = beta = 0), so the logits still equal those of the
    masked dense network. The result has the model's device, floating-point type, training mode and frozen parameters,
    but torch's default memory format.

    VGG, PreResNet and ResNet of this package are built anew. Any other network is cut along its graph, which takes a
    batch of inputs, `example`, and Torch-Pruning (`graph_surgery.shrink_by_graph`). Raises UserError for a mask that
    does not fit, a network that was shrunk before, and one that cannot be shrunk.
    """
    if isinstance(model, (VGG, PreResNet, ResNet)):
        return _rebuilt(model, mask)
    split_mask(model, mask)
    if example is None:
        raise UserError(
            f"model: no channel surgery for {type(model).__name__} alone; give a batch of its inputs as well, "
            "shrink(model, mask, example), to cut it along its graph, or train masked(model, mask)"
        )
    return shrink_by_graph(model, mask, example)


@torch.no_grad()
def _rebuilt(model: Model, mask: Tensor) -> Model:
    """One of this package's networks, built from its channel configuration."""
    dense = masked(model, mask)
    assert isinstance(dense, Network)
    small: nn.Module = build(**dense.arguments, channels=kept_channels(dense, mask))
    small.to(next(model.parameters())).train(model.training)
    for new, old in zip(small.parameters(), dense.parameters(), strict=True):
        new.requires_grad_(old.requires_grad)
    index = [_indices(m) for m in split_mask(dense, mask)]
    if isinstance(dense, VGG) and isinstance(small, VGG):
        _shrink_vgg(small, dense, index)
    elif isinstance(dense, PreResNet) and isinstance(small, PreResNet):
        if any(isinstance(m, ChannelSelection) and len(m.indexes) < m.features for m in dense.modules()):
            raise UserError("model: already shrunk, its mask would be over other channels; shrink the dense network")
        _shrink_preresnet(small, dense, index)
    elif isinstance(dense, ResNet) and isinstance(small, ResNet):
        _shrink_resnet(small, dense, index)
    return cast(Model, small)


def _shrink_vgg(small: VGG, dense: VGG, index: list[Tensor]) -> None:
    into: Tensor | slice = slice(None)
    kept = iter(index)
    for new, old in zip(small.features, dense.features, strict=True):
        if isinstance(new, nn.Conv2d) and isinstance(old, nn.Conv2d):
            out = next(kept)
            _copy_layer(new, old, out, into)
            into = out
        elif isinstance(new, nn.BatchNorm2d) and isinstance(old, nn.BatchNorm2d):
            _copy_bn(new, old, into)
    _copy_layer(small.classifier, dense.classifier, slice(None), into)


def _shrink_preresnet(small: PreResNet, dense: PreResNet, index: list[Tensor]) -> None:
    everything = slice(None)
    _copy(small.conv1, dense.conv1)
    for i, (new, old) in enumerate(zip(small.blocks, dense.blocks, strict=True)):
        first, second, third = index[3 * i : 3 * i + 3]
        _select(new.bn1, new.select, old.bn1, first)
        _copy_layer(new.conv1, old.conv1, second, first)
        _copy_bn(new.bn2, old.bn2, second)
        _copy_layer(new.conv2, old.conv2, third, second)
        _copy_bn(new.bn3, old.bn3, third)
        _copy_layer(new.conv3, old.conv3, everything, third)
        if new.downsample is not None and old.downsample is not None:
            _copy(new.downsample, old.downsample)
    _select(small.bn, small.select, dense.bn, index[-1])
    _copy_layer(small.fc, dense.fc, everything, index[-1])


def _shrink_resnet(small: ResNet, dense: ResNet, index: list[Tensor]) -> None:
    """Inner batch norms of a block shrink; those on the residual stream come as `masked` has silenced them."""
    everything = slice(None)
    kept = iter(index[1:])
    _copy(small.conv1, dense.conv1)
    _copy(small.bn1, dense.bn1)
    for new, old in zip(small.blocks, dense.blocks, strict=True):
        outputs: list[Tensor | slice] = [next(kept) for _ in old.layers]
        outputs[-1] = everything
        into: Tensor | slice = everything
        for (new_conv, new_bn), (old_conv, old_bn), out in zip(new.layers, old.layers, outputs, strict=True):
            _copy_layer(new_conv, old_conv, out, into)
            _copy_bn(new_bn, old_bn, out)
            into = out
        if new.downsample is not None and old.downsample is not None:
            next(kept)
            _copy(new.downsample, old.downsample)
    _copy(small.fc, dense.fc)


def _select(new_bn: nn.BatchNorm2d, select: ChannelSelection, old_bn: nn.BatchNorm2d, index: Tensor) -> None:
    """A batch norm on the residual stream keeps its width; the selection behind it drops the channels."""
    _copy(new_bn, old_bn)
    select.indexes.copy_(index)

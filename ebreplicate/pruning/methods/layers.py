"""What layer-by-layer methods share: which layers surround a batch norm, and how many channels a layer keeps."""

from torch import Tensor, nn

from ebreplicate.errors import UserError
from ebreplicate.models.common import Layer
from ebreplicate.models.preresnet import PreResNet
from ebreplicate.models.vgg import VGG

Neighbours = tuple[Layer, Layer]


def neighbours(model: nn.Module) -> list[Neighbours | None]:
    """(producer, consumer) of every batch norm's channels, in forward order; None where the channels are not a layer's.

    VGG: every batch norm; the last one's consumer is the classifier. PreResNet: the two inside each bottleneck; the
    others normalise the residual stream, which ThiNet does not prune either (section 3.3). Raises UserError for
    networks without channel surgery.
    """
    if isinstance(model, VGG):
        convs = [m for m in model.features if isinstance(m, nn.Conv2d)]
        return list(zip(convs, [*convs[1:], model.classifier], strict=True))
    if isinstance(model, PreResNet):
        inside: list[list[Neighbours | None]] = [[None, (b.conv1, b.conv2), (b.conv2, b.conv3)] for b in model.blocks]
        return [*(pair for block in inside for pair in block), None]
    raise UserError(f"model: no layer-wise pruning for {type(model).__name__}")


def kept(width: int, ratio: float) -> int:
    """Channels that a layer of `width` keeps at a uniform `ratio`: rounded, at least one."""
    return max(1, round(width * round(1 - ratio, 10)))


def mask_of(keep: Tensor, width: int) -> Tensor:
    """Bool mask (width,) that is True at the indices `keep`."""
    mask = keep.new_zeros(width).bool()
    mask[keep] = True
    return mask

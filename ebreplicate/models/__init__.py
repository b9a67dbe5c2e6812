"""Networks built from a channel configuration. Importing this package does not import torch; `build` does."""

from typing import TYPE_CHECKING

from ebreplicate.registry import Registry

if TYPE_CHECKING:
    from torch import nn

MODELS = Registry(
    "model",
    {
        "vgg16": "ebreplicate.models.vgg:vgg16",
        "vgg19": "ebreplicate.models.vgg:vgg19",
        "preresnet20": "ebreplicate.models.preresnet:preresnet20",
        "preresnet29": "ebreplicate.models.preresnet:preresnet29",
        "preresnet56": "ebreplicate.models.preresnet:preresnet56",
        "preresnet101": "ebreplicate.models.preresnet:preresnet101",
        "preresnet164": "ebreplicate.models.preresnet:preresnet164",
        "resnet18": "ebreplicate.models.resnet:resnet18",
        "wideresnet22x2": "ebreplicate.models.wideresnet:wideresnet22x2",
        "mobilenet": "ebreplicate.models.mobilenet:mobilenet",
    },
)


def build(name: str, num_classes: int, width: float = 1.0, channels: list[int] | None = None) -> "nn.Module":
    """Build network `name` with freshly initialised weights.

    `width` multiplies every channel count (at least one channel each). `channels`, if given, is the number of kept
    channels of every batch norm in forward order: the network is then the physically smaller one that surgery makes.
    Raises UserError for an unknown name or a configuration of the wrong length.
    """
    return MODELS.load(name)(num_classes=num_classes, width=width, channels=channels)

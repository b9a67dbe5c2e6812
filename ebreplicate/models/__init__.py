"""Networks built from a channel configuration. Importing this package does not import torch; `build` does."""

from typing import TYPE_CHECKING

from ebreplicate.errors import UserError
from ebreplicate.registry import Registry

if TYPE_CHECKING:
    from ebreplicate.models.common import Network

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
        "lenet300": "ebreplicate.models.lenet:lenet300",
        "conv2": "ebreplicate.models.lenet:conv2",
        "conv4": "ebreplicate.models.lenet:conv4",
        "conv6": "ebreplicate.models.lenet:conv6",
        "resnet50": "ebreplicate.models.resnet:resnet50",
    },
)
SHAPED = ("lenet300", "conv2", "conv4", "conv6")
"""Networks whose linear layers depend on the size of an image."""
FULLY_CONNECTED = ("lenet300",)
"""Networks that are a chain of linear layers, so that dead pixels and neurons can be removed from them."""

VGG_SIDES = range(32, 64)
"""Sides of an image that VGG's four poolings and its 2x2 average pool reduce to one pixel."""


def check_images(name: str, shape: tuple[int, int, int]) -> None:
    """Raise UserError for images of `shape` (channels, height, width) that network `name` does not take, naming those
    that do."""
    if not takes_images(MODELS.check(name), shape):
        others = ", ".join(other for other in MODELS if takes_images(other, shape))
        said = "x".join(map(str, shape))
        raise UserError(f"model: {name} takes no images of {said} (channels, height, width); those that do: {others}")


def takes_images(name: str, shape: tuple[int, int, int]) -> bool:
    """Whether network `name` takes images of `shape` (channels, height, width)."""
    if name.startswith("vgg") and not all(side in VGG_SIDES for side in shape[1:]):
        return False
    return name in SHAPED or shape[0] == 3


def build(
    name: str,
    num_classes: int,
    width: float = 1.0,
    channels: list[int] | None = None,
    shape: tuple[int, int, int] = (3, 32, 32),
) -> "Network":
    """Build network `name` with freshly initialised weights.

    `width` multiplies every channel count (at least one channel each). `channels`, if given, is the number of kept
    channels of every batch norm in forward order: the network is then the physically smaller one that surgery makes.
    `shape`: that of an image. Raises UserError for an unknown name, a configuration of the wrong length or images that
    the network does not take.
    """
    check_images(name, shape)
    more = {"shape": shape} if name in SHAPED else {}
    return MODELS.load(name)(num_classes=num_classes, width=width, channels=channels, **more)

"""Networks built from a channel configuration. Importing this package does not import torch; `build` does."""

from typing import TYPE_CHECKING

from ebreplicate.catalog import MODELS, SHAPED, check_images

if TYPE_CHECKING:
    from ebreplicate.models.common import Network


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
    network: Network = MODELS.load(name)(num_classes=num_classes, width=width, channels=channels, **more)
    return network

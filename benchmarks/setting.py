"""What every part of the benchmark measures with: network, batch, images."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from ebreplicate.data import arrays as datasets
from ebreplicate.data.arrays import Data, Split
from ebreplicate.models import build

CLASSES = 10


@dataclass(frozen=True)
class Setting:
    """What a run of the benchmark measures with; `images` are trained on in one timed epoch."""

    device: torch.device
    batch_size: int
    images: int
    workers: int = 1
    width: float = 1.0

    @property
    def standard(self) -> bool:
        """True for what the targets speak of: networks of full width in batches of 256."""
        return self.width == 1 and self.batch_size == 256


def pictures(count: int) -> Data:
    """`count` handwritten digits of 32x32 as training images, repeated where there are fewer, and a small test split.

    They need no download; time does not depend on what is in an image.
    """
    digits = datasets.load("digits", Path("/nonexistent"))
    index = torch.arange(count) % len(digits.train)
    test = Split(digits.test.images[:20], digits.test.labels[:20])
    return replace(digits, train=digits.train.take(index), test=test)


def network(name: str, setting: Setting) -> nn.Module:
    """The dense network, always with the same first weights."""
    torch.manual_seed(0)
    return build(name, CLASSES, setting.width)

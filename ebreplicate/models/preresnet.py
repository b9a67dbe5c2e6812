"""Pre-activation bottleneck ResNet for 32x32 images (authors' models/preresnet.py; reference audit, section 1)."""

from collections.abc import Iterator

import torch
from torch import nn

from ebreplicate.models.common import ChannelSelection, Network, batch_norm, check_channels, conv, scaled

EXPANSION = 4


class Bottleneck(nn.Module):
    """bn1-select-relu-1x1, bn2-relu-3x3, bn3-relu-1x1, added to the raw input (or its bare 1x1 downsample).

    The residual stream is never pruned: bn1 keeps its full width and the selection after it drops channels.
    """

    def __init__(self, cin: int, planes: int, kept: tuple[int, int, int], stride: int, downsample: bool):
        super().__init__()
        cout = planes * EXPANSION
        self.bn1 = batch_norm(cin)
        self.select = ChannelSelection(cin, kept[0])
        self.conv1 = conv(kept[0], kept[1], 1)
        self.bn2 = batch_norm(kept[1])
        self.conv2 = conv(kept[1], kept[2], 3, stride)
        self.bn3 = batch_norm(kept[2])
        self.conv3 = conv(kept[2], cout, 1)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = conv(cin, cout, 1, stride) if downsample else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x (B, cin, H, W) to (B, 4 * planes, H / stride, W / stride)."""
        out = self.conv1(self.relu(self.select(self.bn1(x))))
        out = self.conv2(self.relu(self.bn2(out)))
        out = self.conv3(self.relu(self.bn3(out)))
        return out + (x if self.downsample is None else self.downsample(x))


class PreResNet(Network):
    """Depth 9n+2: three stages of n bottlenecks (16, 32, 64 planes), final BN, selection, pooling, linear."""

    residual = True
    """An emptied layer leaves the residual path: it becomes one silent channel (gamma 0), as in the authors' code."""

    def __init__(self, depth: int, num_classes: int, width: float, channels: list[int] | None):
        super().__init__()
        n = (depth - 2) // 9
        planes = [scaled(p, width) for p in (16, 32, 64)]
        stem = planes[0]
        inputs = [stem, planes[0] * EXPANSION, planes[1] * EXPANSION]
        full = []
        for p, cin in zip(planes, inputs, strict=True):
            for block in range(n):
                full += [cin if block == 0 else p * EXPANSION, p, p]
        full.append(planes[2] * EXPANSION)
        kept = iter(check_channels(f"preresnet{depth}", channels, full))
        self.arguments = {"name": f"preresnet{depth}", "num_classes": num_classes, "width": width}
        self.conv1 = conv(3, stem, 3)
        self.layer1 = self._stage(inputs[0], planes[0], n, 1, kept)
        self.layer2 = self._stage(inputs[1], planes[1], n, 2, kept)
        self.layer3 = self._stage(inputs[2], planes[2], n, 2, kept)
        last = next(kept)
        self.bn = batch_norm(full[-1])
        self.select = ChannelSelection(full[-1], last)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(last, num_classes)

    @staticmethod
    def _stage(cin: int, planes: int, n: int, stride: int, kept: Iterator[int]) -> nn.Sequential:
        blocks = []
        for block in range(n):
            first = block == 0
            width_in = cin if first else planes * EXPANSION
            triple = (next(kept), next(kept), next(kept))
            blocks.append(Bottleneck(width_in, planes, triple, stride if first else 1, downsample=first))
        return nn.Sequential(*blocks)

    @property
    def blocks(self) -> list[Bottleneck]:
        """All bottlenecks in forward order."""
        return [*self.layer1, *self.layer2, *self.layer3]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, num_classes) of images x (B, 3, 32, 32)."""
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        x = self.relu(self.select(self.bn(x)))
        return self.fc(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


def preresnet20(num_classes: int, width: float = 1.0, channels: list[int] | None = None) -> PreResNet:
    """PreResNet20 (n = 2): the reduced scales' stand-in for PreResNet101."""
    return PreResNet(20, num_classes, width, channels)


def preresnet29(num_classes: int, width: float = 1.0, channels: list[int] | None = None) -> PreResNet:
    """PreResNet29 (n = 3)."""
    return PreResNet(29, num_classes, width, channels)


def preresnet56(num_classes: int, width: float = 1.0, channels: list[int] | None = None) -> PreResNet:
    """PreResNet56 (n = 6)."""
    return PreResNet(56, num_classes, width, channels)


def preresnet101(num_classes: int, width: float = 1.0, channels: list[int] | None = None) -> PreResNet:
    """PreResNet101 (n = 11): 100 batch norms, 7,408 channels at width 1."""
    return PreResNet(101, num_classes, width, channels)


def preresnet164(num_classes: int, width: float = 1.0, channels: list[int] | None = None) -> PreResNet:
    """PreResNet164 (n = 18)."""
    return PreResNet(164, num_classes, width, channels)

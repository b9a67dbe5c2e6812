"""Wide residual network WRN-22-2 for 32x32 images (Zagoruyko & Komodakis, 2016; RigL, section 4.3): dense or sparse."""

import torch
from torch import nn

from ebreplicate.errors import UserError
from ebreplicate.models.common import Network, batch_norm, conv, scaled

STAGES, BLOCKS = (32, 64, 128), 3
"""Channels at widening factor 2, and basic blocks a stage: depth 6 * 3 + 4."""


class WideBlock(nn.Module):
    """bn-relu-conv3x3-bn-relu-conv3x3, added to the input or, where widths change, to a 1x1 of the activated input.

    No dropout. The 1x1 is given every `stride`-th pixel, which is what a strided one would take: torch trains narrow
    strided ones wrongly on a CPU (`models.common.NARROW`).
    """

    def __init__(self, cin: int, cout: int, stride: int, widen: bool):
        super().__init__()
        self.stride = stride
        self.bn1 = batch_norm(cin, 1.0)
        self.shortcut = conv(cin, cout, 1) if widen else None
        self.conv1 = conv(cin, cout, 3, stride)
        self.bn2 = batch_norm(cout, 1.0)
        self.conv2 = conv(cout, cout, 3)
        self.relu1, self.relu2 = nn.ReLU(inplace=True), nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x (B, cin, H, W) to (B, cout, H / stride, W / stride)."""
        active = self.relu1(self.bn1(x))
        if self.shortcut is not None:
            x = self.shortcut(active[:, :, :: self.stride, :: self.stride])
        return x + self.conv2(self.relu2(self.bn2(self.conv1(active))))


class WideResNet(Network):
    """3x3 stem of 16 channels, three stages of three blocks, final BN, average pool, linear; gamma starts at 1."""

    residual = True

    def __init__(self, num_classes: int, width: float):
        super().__init__()
        self.arguments = {"name": "wideresnet22x2", "num_classes": num_classes, "width": width}
        cin = scaled(16, width)
        self.conv1 = conv(3, cin, 3)
        blocks = []
        for i, channels in enumerate(STAGES):
            cout = scaled(channels, width)
            for block in range(BLOCKS):
                first = block == 0
                blocks.append(WideBlock(cin, cout, 2 if first and i else 1, widen=first))
                cin = cout
        self.blocks = nn.Sequential(*blocks)
        self.bn = batch_norm(cin, 1.0)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(cin, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, num_classes) of images x (B, 3, 32, 32)."""
        x = self.relu(self.bn(self.blocks(self.conv1(x))))
        return self.fc(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


def wideresnet22x2(num_classes: int, width: float = 1.0, channels: list[int] | None = None) -> WideResNet:
    """WRN-22-2: 22 convolutional and linear layers deep, widening factor 2. Raises UserError for `channels`."""
    if channels is not None:
        raise UserError("channels: wideresnet22x2 has no channel surgery; build it dense")
    return WideResNet(num_classes, width)

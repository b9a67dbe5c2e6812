"""A small supernet: inverted residuals whose hidden channels are split over depthwise kernels of three sizes.

The block is that of HR-NAS, on which SuperTickets builds (You et al., ECCV 2022; RICE-EIC/SuperTickets @ 36d7edd). Its
branches of several resolutions and its transformer are left out (docs/supertickets.md).
"""

import torch
from torch import nn

from ebreplicate.catalog import KERNELS
from ebreplicate.errors import UserError
from ebreplicate.models.common import Network, batch_norm, conv, scaled

STEM, STAGES, BLOCKS = 16, ((16, 2), (24, 2), (40, 1)), 2
"""Channels of the stem; channels of each stage and stride of its first block; blocks in each."""
EXPANSION = 2
"""Sizes of depthwise kernels, and hidden channels for each as a multiple of the block's input channels."""


def _depthwise(channels: int, kernel: int, stride: int) -> nn.Conv2d:
    """Convolution of each channel with itself, N(0, sqrt(2 / kernel^2))."""
    layer = nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False)
    nn.init.normal_(layer.weight, 0.0, 2**0.5 / kernel)
    return layer


class MixedBlock(nn.Module):
    """1x1 convolution to hidden channels, depthwise convolutions of `KERNELS` on a third of them each, 1x1 convolution.

    BN after each of the three steps, ReLU after the first two; added to the input where the shape stays. Hidden channel
    i is row i of `expand` and of the depthwise kernels one after another, scale i of `gate` and column i of `project`.
    """

    def __init__(self, cin: int, cout: int, stride: int):
        super().__init__()
        each = EXPANSION * cin
        hidden = each * len(KERNELS)
        self.expand, self.bn1, self.relu1 = conv(cin, hidden, 1), batch_norm(hidden, 1.0), nn.ReLU(inplace=True)
        self.depthwise = nn.ModuleList(_depthwise(each, kernel, stride) for kernel in KERNELS)
        self.gate, self.relu2 = batch_norm(hidden, 1.0), nn.ReLU(inplace=True)
        self.project, self.bn2 = conv(hidden, cout, 1), batch_norm(cout, 1.0)
        self.residual = stride == 1 and cin == cout

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x (B, cin, H, W) to (B, cout, H / stride, W / stride)."""
        parts = self.relu1(self.bn1(self.expand(x))).chunk(len(KERNELS), 1)
        out = torch.cat([layer(part) for layer, part in zip(self.depthwise, parts, strict=True)], 1)
        out = self.bn2(self.project(self.relu2(self.gate(out))))
        return x + out if self.residual else out


class Supernet(Network):
    """3x3 stem of stride 2, three stages of two blocks, average pool, linear; 72,346 parameters at width 1."""

    residual = False

    def __init__(self, num_classes: int, width: float):
        super().__init__()
        self.arguments = {"name": "supernet", "num_classes": num_classes, "width": width}
        cin = scaled(STEM, width)
        self.conv, self.bn, self.relu = conv(3, cin, 3, 2), batch_norm(cin, 1.0), nn.ReLU(inplace=True)
        blocks = []
        for channels, stride in STAGES:
            cout = scaled(channels, width)
            for block in range(BLOCKS):
                blocks.append(MixedBlock(cin, cout, 1 if block else stride))
                cin = cout
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(cin, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, num_classes) of images x (B, 3, H, W)."""
        x = self.blocks(self.relu(self.bn(self.conv(x))))
        return self.fc(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


def supernet(num_classes: int, width: float = 1.0, channels: list[int] | None = None) -> Supernet:
    """The supernet. Raises UserError for `channels`: channels are removed by masks, in training."""
    if channels is not None:
        raise UserError("channels: supernet has no channel surgery; build it dense")
    return Supernet(num_classes, width)

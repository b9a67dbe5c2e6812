"""ResNet18 and ResNet50 for ImageNet (He et al., 2016; reference audit, section 1), built from a channel configuration.

Post-activation blocks; in a bottleneck the 3x3 convolution carries the stride (torchvision's shape, "v1.5").
"""

from collections.abc import Iterator

import torch
from torch import nn

from ebreplicate.models.common import Network, batch_norm, check_channels, conv, scaled


class BasicBlock(nn.Module):
    """conv3x3-BN-relu-conv3x3-BN, added to the input or its 1x1-BN downsample, then relu.

    `kept` channels per batch norm; only bn1's are physical, since bn2 writes to the residual stream.
    """

    expansion = 1
    norms = 2

    def __init__(self, cin: int, planes: int, kept: list[int], stride: int):
        super().__init__()
        self.conv1, self.bn1 = conv(cin, kept[0], 3, stride), batch_norm(kept[0], 1.0)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = conv(kept[0], planes, 3), batch_norm(planes, 1.0)
        self.downsample = _downsample(cin, planes, stride)
        self.relu2 = nn.ReLU(inplace=True)

    @property
    def layers(self) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
        """Convolutions of the residual branch with their batch norms, in forward order."""
        return [(self.conv1, self.bn1), (self.conv2, self.bn2)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x (B, cin, H, W) to (B, planes, H / stride, W / stride)."""
        out = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """conv1x1-BN-relu-conv3x3-BN-relu-conv1x1-BN, added to the input or its 1x1-BN downsample, then relu.

    `kept` channels per batch norm; only those of bn1 and bn2 are physical, since bn3 writes to the residual stream.
    """

    expansion = 4
    norms = 3

    def __init__(self, cin: int, planes: int, kept: list[int], stride: int):
        super().__init__()
        cout = planes * self.expansion
        self.conv1, self.bn1 = conv(cin, kept[0], 1), batch_norm(kept[0], 1.0)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = conv(kept[0], kept[1], 3, stride), batch_norm(kept[1], 1.0)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv3, self.bn3 = conv(kept[1], cout, 1), batch_norm(cout, 1.0)
        self.downsample = _downsample(cin, cout, stride)
        self.relu3 = nn.ReLU(inplace=True)

    @property
    def layers(self) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
        """Convolutions of the residual branch with their batch norms, in forward order."""
        return [(self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x (B, cin, H, W) to (B, 4 * planes, H / stride, W / stride)."""
        out = self.relu2(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))))
        return self.relu3(self.bn3(self.conv3(out)) + (x if self.downsample is None else self.downsample(x)))


def _downsample(cin: int, cout: int, stride: int) -> nn.Sequential | None:
    """1x1-BN where the shape changes, else None. The authors' ResNet50 gives it a bias, which its BN cancels."""
    if stride == 1 and cin == cout:
        return None
    return nn.Sequential(conv(cin, cout, 1, stride), batch_norm(cout, 1.0))


Block = BasicBlock | Bottleneck
SHAPES: dict[str, tuple[type[Block], tuple[int, ...]]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
}


class ResNet(Network):
    """7x7 stem, four stages of blocks, global average pool, linear; gamma starts at 1.

    `channels` counts kept channels of every batch norm, but batch norms on the residual stream (stem, last of a block,
    downsample) keep their width: a channel dropped there is silenced (gamma = beta = 0), not removed, because other
    blocks write to the same channel.
    """

    residual = True
    """An emptied layer leaves the residual path: it becomes one silent channel (gamma 0)."""

    def __init__(self, name: str, num_classes: int, width: float, channels: list[int] | None):
        super().__init__()
        self.arguments = {"name": name, "num_classes": num_classes, "width": width}
        block, counts = SHAPES[name]
        planes = [scaled(p, width) for p in (64, 128, 256, 512)]
        full = full_widths(block, planes, counts)
        kept = iter(check_channels(name, channels, full))
        next(kept)  # the stem's, not physical
        self.conv1 = conv(3, planes[0], 7, 2)
        self.bn1 = batch_norm(planes[0], 1.0)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        stages, cin = [], planes[0]
        for i, (p, count) in enumerate(zip(planes, counts, strict=True)):
            stages.append(_stage(block, cin, p, count, 1 if i == 0 else 2, kept))
            cin = p * block.expansion
        self.stages = nn.Sequential(*stages)
        self.fc = nn.Linear(cin, num_classes)

    @property
    def blocks(self) -> list[Block]:
        """All blocks in forward order."""
        return [m for m in self.stages.modules() if isinstance(m, Block)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, num_classes) of images x (B, 3, H, W), H and W multiples of 32."""
        x = self.stages(self.pool(self.relu(self.bn1(self.conv1(x)))))
        return self.fc(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


def full_widths(block: type[Block], planes: list[int], counts: tuple[int, ...]) -> list[int]:
    """Channels of every batch norm of the dense network, in forward order."""
    full, cin = [planes[0]], planes[0]
    for i, (p, count) in enumerate(zip(planes, counts, strict=True)):
        for number in range(count):
            cout = p * block.expansion
            full += [p] * (block.norms - 1) + [cout]
            if number == 0 and (i > 0 or cin != cout):
                full.append(cout)
            cin = cout
    return full


def _stage(block: type[Block], cin: int, planes: int, count: int, stride: int, kept: Iterator[int]) -> nn.Sequential:
    """`count` blocks, the first with the stride; takes their entries from `kept`."""
    blocks = []
    for number in range(count):
        entries = [next(kept) for _ in range(block.norms)]
        blocks.append(block(cin, planes, entries, stride if number == 0 else 1))
        if blocks[-1].downsample is not None:
            next(kept)  # on the stream: not physical
        cin = planes * block.expansion
    return nn.Sequential(*blocks)


def resnet18(num_classes: int, width: float = 1.0, channels: list[int] | None = None) -> ResNet:
    """ResNet18: 20 batch norms, 3.64 GFLOPs forward at 224x224 under the authors' convention."""
    return ResNet("resnet18", num_classes, width, channels)


def resnet50(num_classes: int, width: float = 1.0, channels: list[int] | None = None) -> ResNet:
    """ResNet50: 53 batch norms, 8.21 GFLOPs forward at 224x224 under the authors' convention."""
    return ResNet("resnet50", num_classes, width, channels)

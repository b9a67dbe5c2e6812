"""ResNet18 for ImageNet (He et al., 2016; authors' resnet_imagenet.py): dense only, for Table 3's cost arithmetic."""

import torch
from torch import nn

from ebreplicate.errors import UserError
from ebreplicate.models.common import batch_norm, conv, scaled


class BasicBlock(nn.Module):
    """conv3x3-BN-relu-conv3x3-BN, added to the input or its 1x1-BN downsample, then relu."""

    def __init__(self, cin: int, planes: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = conv(cin, planes, 3, stride), batch_norm(planes, 1.0)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = conv(planes, planes, 3), batch_norm(planes, 1.0)
        change = stride != 1 or cin != planes
        self.downsample = nn.Sequential(conv(cin, planes, 1, stride), batch_norm(planes, 1.0)) if change else None
        self.relu2 = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x (B, cin, H, W) to (B, planes, H / stride, W / stride)."""
        out = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(out + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """7x7 stem, four stages of two basic blocks, global average pool, linear; gamma starts at 1."""

    residual = True

    def __init__(self, num_classes: int, width: float):
        super().__init__()
        self.arguments = {"name": "resnet18", "num_classes": num_classes, "width": width}
        planes = [scaled(p, width) for p in (64, 128, 256, 512)]
        self.conv1 = conv(3, planes[0], 7, 2)
        self.bn1 = batch_norm(planes[0], 1.0)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        stages, cin = [], planes[0]
        for i, p in enumerate(planes):
            stages.append(nn.Sequential(BasicBlock(cin, p, 1 if i == 0 else 2), BasicBlock(p, p, 1)))
            cin = p
        self.stages = nn.Sequential(*stages)
        self.fc = nn.Linear(cin, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, num_classes) of images x (B, 3, H, W), H and W multiples of 32."""
        x = self.stages(self.pool(self.relu(self.bn1(self.conv1(x)))))
        return self.fc(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


def resnet18(num_classes: int, width: float = 1.0, channels: list[int] | None = None) -> ResNet:
    """ResNet18, 3.64 GFLOPs forward at 224x224 under the authors' convention. Raises UserError for `channels`."""
    if channels is not None:
        raise UserError("channels: resnet18 has no channel surgery yet; build it dense")
    return ResNet(num_classes, width)

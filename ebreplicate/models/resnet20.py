"""ResNet-20 for 32x32 images, with shortcuts that have no parameters (He et al., CVPR 2016, section 4.2, option A)."""

import torch
from torch import nn

from ebreplicate.errors import UserError
from ebreplicate.models.common import Network, batch_norm, conv, scaled, weight_layers

STAGES, BLOCKS = (16, 32, 64), 3
"""Channels of the three stages, and basic blocks in each: depth 6 * 3 + 2."""


class BasicBlock(nn.Module):
    """conv3x3-BN-ReLU-conv3x3-BN, added to the input, then ReLU.

    Where the shape changes, the input is every `stride`-th pixel, between as many channels of zeros on both sides.
    """

    def __init__(self, cin: int, cout: int, stride: int):
        super().__init__()
        self.stride, self.before, self.after = stride, (cout - cin) // 2, (cout - cin + 1) // 2
        self.conv1, self.bn1 = conv(cin, cout, 3, stride), batch_norm(cout, 1.0)
        self.conv2, self.bn2 = conv(cout, cout, 3), batch_norm(cout, 1.0)
        self.relu1, self.relu2 = nn.ReLU(inplace=True), nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x (B, cin, H, W) to (B, cout, H / stride, W / stride)."""
        out = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        if self.stride > 1:
            taken = x[:, :, :: self.stride, :: self.stride]
            x = nn.functional.pad(taken, (0, 0, 0, 0, self.before, self.after))
        return self.relu2(out + x)


class ResNet20(Network):
    """3x3 stem, three stages of three blocks, average pool, linear; 269,722 parameters at width 1 and ten classes.

    Weights of convolutions and of the linear layer are Kaiming normal over inputs, as in microsoft/fnl_paper.
    """

    residual = True

    def __init__(self, num_classes: int, width: float):
        super().__init__()
        self.arguments = {"name": "resnet20", "num_classes": num_classes, "width": width}
        cin = scaled(STAGES[0], width)
        self.conv1, self.bn1, self.relu = conv(3, cin, 3), batch_norm(cin, 1.0), nn.ReLU(inplace=True)
        blocks = []
        for i, channels in enumerate(STAGES):
            cout = scaled(channels, width)
            for block in range(BLOCKS):
                blocks.append(BasicBlock(cin, cout, 2 if i and not block else 1))
                cin = cout
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(cin, num_classes)
        for layer in weight_layers(self).values():
            nn.init.kaiming_normal_(layer.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, num_classes) of images x (B, 3, 32, 32)."""
        x = self.blocks(self.relu(self.bn1(self.conv1(x))))
        return self.fc(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


def resnet20(num_classes: int, width: float = 1.0, channels: list[int] | None = None) -> ResNet20:
    """ResNet-20: 19 convolutions and one linear layer. Raises UserError for `channels`."""
    if channels is not None:
        raise UserError("channels: resnet20 has no channel surgery; build it dense")
    return ResNet20(num_classes, width)

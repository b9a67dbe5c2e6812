"""MobileNet-v1 for ImageNet (Howard et al., 2017): dense or sparse (RigL, section 4.1)."""

import torch
from torch import nn

from ebreplicate.errors import UserError
from ebreplicate.models.common import Network, batch_norm, conv, scaled

BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
"""(channels, stride) of the thirteen depthwise-separable blocks at width 1."""


def _depthwise(channels: int, stride: int) -> nn.Conv2d:
    """3x3 convolution of each channel with itself, N(0, sqrt(2 / 9))."""
    layer = nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False)
    nn.init.normal_(layer.weight, 0.0, (2 / 9) ** 0.5)
    return layer


class MobileNet(Network):
    """3x3 stem of stride 2, thirteen blocks of depthwise 3x3 and 1x1 (BN-ReLU after each), average pool, linear."""

    residual = False

    def __init__(self, num_classes: int, width: float):
        super().__init__()
        self.arguments = {"name": "mobilenet", "num_classes": num_classes, "width": width}
        cin = scaled(32, width)
        layers: list[nn.Module] = [conv(3, cin, 3, 2), batch_norm(cin, 1.0), nn.ReLU(inplace=True)]
        for channels, stride in BLOCKS:
            cout = scaled(channels, width)
            layers += [_depthwise(cin, stride), batch_norm(cin, 1.0), nn.ReLU(inplace=True)]
            layers += [conv(cin, cout, 1), batch_norm(cout, 1.0), nn.ReLU(inplace=True)]
            cin = cout
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(cin, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, num_classes) of images x (B, 3, H, W), H and W multiples of 32."""
        return self.fc(nn.functional.adaptive_avg_pool2d(self.features(x), 1).flatten(1))


def mobilenet(num_classes: int, width: float = 1.0, channels: list[int] | None = None) -> MobileNet:
    """MobileNet-v1, 569 million multiply-adds at 224x224. Raises UserError for `channels`."""
    if channels is not None:
        raise UserError("channels: mobilenet has no channel surgery; build it dense")
    return MobileNet(num_classes, width)

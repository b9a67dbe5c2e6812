"""VGG with batch norm for 32x32 images, one linear layer (authors' models/vgg.py; reference audit, section 1)."""

import torch
from torch import nn

from ebreplicate.models.common import Network, batch_norm, check_channels, conv, scaled

STAGES = {
    16: [[64, 64], [128, 128], [256] * 3, [512] * 3, [512] * 3],
    19: [[64, 64], [128, 128], [256] * 4, [512] * 4, [512] * 4],
}


class VGG(Network):
    """Stages of conv3x3-BN-ReLU with a 2x2 max-pool between stages, 2x2 average pool, one linear layer."""

    residual = False
    """A chain: an emptied layer would kill the network, so draws keep one channel of every layer."""

    def __init__(self, depth: int, num_classes: int, width: float, channels: list[int] | None):
        super().__init__()
        stages = [[scaled(c, width) for c in stage] for stage in STAGES[depth]]
        kept = iter(check_channels(f"vgg{depth}", channels, [c for stage in stages for c in stage]))
        self.arguments = {"name": f"vgg{depth}", "num_classes": num_classes, "width": width}
        layers: list[nn.Module] = []
        cin = 3
        for i, stage in enumerate(stages):
            if i:
                layers.append(nn.MaxPool2d(2))
            for _ in stage:
                cout = next(kept)
                layers += [conv(cin, cout, 3), batch_norm(cout), nn.ReLU(inplace=True)]
                cin = cout
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(cin, num_classes)
        nn.init.normal_(self.classifier.weight, 0.0, 0.01)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, num_classes) of images x (B, 3, 32, 32)."""
        x = nn.functional.avg_pool2d(self.features(x), 2)
        return self.classifier(x.flatten(1))


def vgg16(num_classes: int, width: float = 1.0, channels: list[int] | None = None) -> VGG:
    """VGG16: 13 convolutions, 4,224 batch-norm channels at width 1."""
    return VGG(16, num_classes, width, channels)


def vgg19(num_classes: int, width: float = 1.0, channels: list[int] | None = None) -> VGG:
    """VGG19: 16 convolutions, 5,504 batch-norm channels at width 1."""
    return VGG(19, num_classes, width, channels)

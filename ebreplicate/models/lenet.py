"""The lottery-ticket paper's small networks: LeNet-300-100 and Conv-2, Conv-4, Conv-6 (Frankle & Carbin, Figure 2).

No batch norm; biases; Gaussian Glorot initialisation. Pruned layer by layer: `pruning_rates` are factors on the ratio.
"""

import math
from itertools import pairwise

import torch
from torch import nn

from ebreplicate.errors import UserError
from ebreplicate.models.common import Network, scaled

Shape = tuple[int, int, int]
CONV_STAGES = {2: (64,), 4: (64, 128), 6: (64, 128, 256)}
CONV_RATES = {2: 0.5, 4: 0.5, 6: 0.75}
"""Convolutions are pruned at 10, 10 and 15 % a round where fully connected layers are pruned at 20 %."""
OUTPUT_RATE = 0.5
"""Connections to the output are pruned at half the rate of the rest (section 2)."""


class PixelSelection(nn.Module):
    """Pass on some of the inputs: those at `indexes`, int64 (k,)."""

    indexes: torch.Tensor

    def __init__(self, indexes: list[int]):
        super().__init__()
        self.register_buffer("indexes", torch.tensor(indexes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Inputs (B, k) of x (B, n)."""
        return x.index_select(1, self.indexes)


class Plain(Network):
    """3x3 convolutions with ReLU, in pairs with a 2x2 max-pool after each; then two hidden linear layers.

    `pixels`: the inputs that the first linear layer sees, where it does not see all.
    """

    residual = False

    def __init__(
        self,
        name: str,
        stages: tuple[int, ...],
        hidden: tuple[int, int],
        rate: float,
        *,
        num_classes: int,
        width: float,
        shape: Shape,
        pixels: list[int] | None = None,
    ):
        super().__init__()
        self.arguments = {"name": name, "num_classes": num_classes, "width": width, "shape": shape}
        layers: list[nn.Module] = []
        cin, height, breadth = shape
        for channels in stages:
            cout = scaled(channels, width)
            for a, b in ((cin, cout), (cout, cout)):
                layers += [nn.Conv2d(a, b, 3, padding=1), nn.ReLU(inplace=True)]
            layers.append(nn.MaxPool2d(2))
            cin, height, breadth = cout, height // 2, breadth // 2
        layers.append(nn.Flatten())
        sizes = [math.prod((cin, height, breadth)), *(scaled(h, width) for h in hidden)]
        if pixels is not None:
            layers.append(PixelSelection(pixels))
            sizes[0] = len(pixels)
        for a, b in pairwise(sizes):
            layers += [nn.Linear(a, b), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], num_classes))
        self.pruning_rates = [rate] * (2 * len(stages)) + [1.0] * len(hidden) + [OUTPUT_RATE]
        for layer in self.layers:
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.xavier_normal_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, num_classes) of images x (B, *shape)."""
        return self.layers(x)


def _dense(name: str, channels: list[int] | None) -> None:
    if channels is not None:
        raise UserError(f"channels: {name} has no channel surgery (no batch norms); build it dense")


def lenet300(
    num_classes: int, width: float = 1.0, channels: list[int] | None = None, shape: Shape = (1, 28, 28)
) -> Plain:
    """LeNet-300-100 on flattened images of `shape`: 266,200 weights on MNIST."""
    _dense("lenet300", channels)
    return Plain("lenet300", (), (300, 100), 1.0, num_classes=num_classes, width=width, shape=shape)


def compact_lenet300(pixels: list[int], hidden: tuple[int, int], num_classes: int, shape: Shape) -> Plain:
    """LeNet with `hidden` neurons in its two hidden layers, which sees the given pixels of flattened images only.

    Raises UserError where no pixel or no hidden neuron remains.
    """
    if not pixels or min(hidden) < 1:
        raise UserError(f"compact network: {len(pixels)} pixels and {hidden} hidden neurons remain; lower the sparsity")
    return Plain("lenet300", (), hidden, 1.0, num_classes=num_classes, width=1.0, shape=shape, pixels=pixels)


def _conv(depth: int, num_classes: int, width: float, channels: list[int] | None, shape: Shape) -> Plain:
    name = f"conv{depth}"
    _dense(name, channels)
    rate = CONV_RATES[depth]
    return Plain(name, CONV_STAGES[depth], (256, 256), rate, num_classes=num_classes, width=width, shape=shape)


def conv2(num_classes: int, width: float = 1.0, channels: list[int] | None = None, shape: Shape = (3, 32, 32)) -> Plain:
    """Conv-2: 4.3 million weights on CIFAR."""
    return _conv(2, num_classes, width, channels, shape)


def conv4(num_classes: int, width: float = 1.0, channels: list[int] | None = None, shape: Shape = (3, 32, 32)) -> Plain:
    """Conv-4: 2.4 million weights on CIFAR."""
    return _conv(4, num_classes, width, channels, shape)


def conv6(num_classes: int, width: float = 1.0, channels: list[int] | None = None, shape: Shape = (3, 32, 32)) -> Plain:
    """Conv-6: 2.3 million weights on CIFAR (the paper's Figure 2 prints 1.7 million for the same layers)."""
    return _conv(6, num_classes, width, channels, shape)

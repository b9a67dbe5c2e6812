"""Small networks, datasets and specs that several tests share."""

from pathlib import Path

import torch
from torch import nn

from ebreplicate.models import build
from ebreplicate.plan.spec import Recipe, Search
from ebreplicate.pruning.surgery import batch_norms
from ebreplicate.training import data

CPU = torch.device("cpu")
NOWHERE = Path("/nonexistent")
"""A data root: digits need no files."""

TINY = Recipe(epochs=3, batch_size=20, milestones=(2,), augment="none")


def tiny_search(recipe: Recipe = TINY, seed: int = 0, width: float = 0.0625) -> Search:
    """A search that takes about a second: 60 handwritten digits, VGG16 with 4 to 32 channels per layer."""
    return Search("vgg16", "digits", recipe, seed, width, train_size=60, test_size=40)


def digits(train: int = 60, test: int = 40) -> data.Data:
    """Class-balanced handwritten digits."""
    return data.load("digits", NOWHERE, train, test)


def random_network(name: str, width: float, seed: int, classes: int = 10) -> nn.Module:
    """A network none of whose batch norms is at its initial value, so that every copied tensor shows."""
    torch.manual_seed(seed)
    model = build(name, classes, width)
    for bn in batch_norms(model):
        nn.init.uniform_(bn.weight, -1.0, 1.0)
        nn.init.normal_(bn.bias)
        bn.running_mean.normal_()
        bn.running_var.uniform_(0.5, 2.0)
    return model


def images(count: int, seed: int = 0) -> torch.Tensor:
    """Random images (count, 3, 32, 32)."""
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))

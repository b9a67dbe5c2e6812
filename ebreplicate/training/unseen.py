"""Accuracy on every image that a training did not see: the whole test set and the training images left out.

A test subset of 2,000 images says little about a difference of a point; of CIFAR-10 with 5,000 training images, 55,000
are unseen. One bit an image is kept, so that two trainings can be compared image by image.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ebreplicate.catalog import INFO
from ebreplicate.data import arrays as datasets
from ebreplicate.specs.spec import Training
from ebreplicate.training.arithmetic import arithmetic

CORRECT = "correct.npy"
"""File of a run: one bit an unseen image, 1 where the network is right, packed as `numpy.packbits` does."""


def unseen_images(search: Training, root: Path) -> tuple[datasets.Split, datasets.Data]:
    """The images that trainings of `search` do not see, on the CPU, and their dataset (for its normalisation).

    First the whole test set, then the training images beyond `train_size`, both in the dataset's own order.
    """
    whole = datasets.load(search.dataset, root, standardise=search.standardise)
    assert isinstance(whole, datasets.Data)  # Training._validate allows no other
    left_out = torch.ones(len(whole.train), dtype=torch.bool)
    used = search.train_size or len(whole.train)  # images held out for early stopping count as used
    left_out[datasets.balanced_positions(whole.train.labels, used)] = False
    rest = whole.train.take(left_out.nonzero().flatten())
    images = torch.cat([whole.test.images, rest.images])
    return datasets.Split(images, torch.cat([whole.test.labels, rest.labels])), whole


@torch.no_grad()
def correct_images(model: nn.Module, search: Training, root: Path, precision: str) -> np.ndarray:
    """Whether `model` classifies each image of `unseen_images` correctly: bool (n,)."""
    images, data = unseen_images(search, root)
    device = next(model.parameters()).device
    model.eval()
    found = []
    for x, y in datasets.normalised(images.to(device), data):
        with arithmetic(precision, device):
            found.append(model(x).argmax(1) == y)
    return torch.cat(found).cpu().numpy()


def accuracies(search: Training, correct: np.ndarray) -> dict[str, Any]:
    """What a record says of `correct`, bool (n,): accuracy in percent on all unseen images, and on the test set."""
    official = INFO[search.dataset].test
    return {
        "unseen_accuracy": 100.0 * int(correct.sum()) / len(correct),
        "unseen_images": len(correct),
        "official_accuracy": 100.0 * int(correct[:official].sum()) / official,
        "official_images": official,
    }

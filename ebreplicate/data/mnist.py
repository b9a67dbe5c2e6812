"""MNIST from the files torchvision lays out."""

import gzip
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ebreplicate.data.arrays import Data, Split, present


def _read(content: bytes, header: int) -> Tensor:
    """Bytes of a compressed IDX file after its header."""
    return torch.from_numpy(np.frombuffer(gzip.decompress(content), np.uint8, offset=header).copy())


def _split(images: bytes, labels: bytes) -> Split:
    # Magic number and one size per axis, four bytes each.
    return Split(_read(images, 16).view(-1, 1, 28, 28), _read(labels, 8).long())


def load_mnist(root: Path) -> Data:
    """MNIST: 60,000 and 10,000 images of 1x28x28; mean and std are those of the training pixels."""
    train_images, train_labels, test_images, test_labels = present("mnist", root)
    train, test = _split(train_images, train_labels), _split(test_images, test_labels)
    return Data(train, test, mean=(0.1307,), std=(0.3081,))

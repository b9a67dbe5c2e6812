"""The images that pruning methods look at: of equal class counts, unaugmented and normalised."""

from pathlib import Path

import torch
from torch import Tensor

from ebreplicate.data import arrays as datasets
from ebreplicate.data.folders import FolderData
from ebreplicate.data.text import Text
from ebreplicate.errors import UserError
from ebreplicate.pruning.methods.crop import BATCH_SIZE, BATCHES
from ebreplicate.runner.inputs import load_data
from ebreplicate.specs import spec as specs


def sampled_images(search: specs.Search, root: Path, count: int) -> Tensor:
    """`count` training images (all, if there are fewer), unaugmented, with equal class counts: as `search` trains on
    them, standardised or in [0, 1], and none that it holds out."""
    data = _in_memory(search, load_data(search, root, torch.device("cpu")))
    some = datasets.balanced_subset(data.train, min(count, len(data.train)), "images")
    return torch.cat([x for x, _ in datasets.normalised(some, data)])


def sampled_batches(search: specs.Search, root: Path, split: str) -> list[tuple[Tensor, Tensor]]:
    """Unaugmented batches of the images of a `split`, "train" or "test", that gradients are taken on.

    As many as there are, up to BATCHES of BATCH_SIZE, with equal class counts: the same for every seed.
    """
    data = _in_memory(search, load_data(search, root, torch.device("cpu")))
    whole = data.train if split == "train" else data.test
    some = datasets.balanced_subset(whole, min(BATCHES * BATCH_SIZE, len(whole)), split)
    images, labels = (torch.cat(pieces) for pieces in zip(*datasets.normalised(some, data), strict=True))
    return list(zip(images.split(BATCH_SIZE), labels.split(BATCH_SIZE), strict=True))


def _in_memory(search: specs.Search, data: datasets.Data | FolderData | Text) -> datasets.Data:
    if not isinstance(data, datasets.Data):
        raise UserError(
            f"Ticket.method: needs training images in memory, which {search.dataset} does not have; use another method"
        )
    return data

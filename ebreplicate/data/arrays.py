"""Images as tensors on the training device; augmentation in batches, there."""

import fcntl
import functools
import hashlib
import io
import pickle
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from ebreplicate.catalog import DATASETS, INFO
from ebreplicate.data import shares
from ebreplicate.data.digits import scanned_digits
from ebreplicate.errors import UserError
from ebreplicate.files import regular_bytes

HELD_OUT_SEED = 1
"""Of the draw of validation images."""
PAD = 4
"""Zero pixels around an image before a crop of its own size."""
if TYPE_CHECKING:
    from ebreplicate.data.folders import Files, FolderData
    from ebreplicate.data.text import Text

CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
"""The authors' constants, for CIFAR-100 as well (the std is not the pixel std; reference audit, section 2)."""

FILE_LIMIT = 1 << 30
"""Bytes of the largest file of a dataset in memory; CIFAR-100's training file has 155 million."""

# The files torchvision lays out, with torchvision's own MD5s: a flipped byte is refused before any training.
FILES = {
    "cifar10": {
        "cifar-10-batches-py/data_batch_1": "c99cafc152244af753f735de768cd75f",
        "cifar-10-batches-py/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "cifar-10-batches-py/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "cifar-10-batches-py/data_batch_4": "634d18415352ddfa80567beed471001a",
        "cifar-10-batches-py/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "cifar-10-batches-py/test_batch": "40351d587109b95175f43aff81a1287e",
    },
    "cifar100": {
        "cifar-100-python/train": "16019d7e3df5f24257cddd939b257f8d",
        "cifar-100-python/test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    },
    "mnist": {
        "MNIST/raw/train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "MNIST/raw/train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "MNIST/raw/t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "MNIST/raw/t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
}


class BatchSource(Protocol):
    """Training batches of one split: what the training loop asks of them."""

    batch_size: int
    images_per_epoch: int
    device: torch.device

    def __len__(self) -> int:
        """Batches of an epoch."""
        ...

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches (images float (B, C, H, W) channels_last, labels int64 (B,)) of the 0-based `epoch`."""
        ...


class ImageData(Protocol):
    """A training and a test split: what the training loop asks of a dataset."""

    @property
    def device(self) -> torch.device:
        """Where batches are."""
        ...

    @property
    def test_images(self) -> int:
        """Size of the test split."""
        ...

    def batches(self, batch_size: int, augment: str, seed: int) -> BatchSource:
        """Training batches."""
        ...

    def evaluation(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Unaugmented batches of this process's share of the test split: images float (B, C, H, W), labels (B,)."""
        ...


@dataclass
class Split:
    """Images uint8 (n, 3, 32, 32), of MNIST (n, 1, 28, 28), and labels int64 (n,), on one device."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Split":
        """Move to `device`."""
        return Split(self.images.to(device), self.labels.to(device))

    def take(self, keep: Tensor) -> "Split":
        """The images at the positions `keep`, int64 (k,)."""
        return Split(self.images[keep], self.labels[keep])

    def only(self, labels: tuple[int, ...]) -> "Split":
        """The images that have one of `labels`, in their order; their labels become places in `labels`."""
        matches = self.labels[:, None] == torch.tensor(labels)
        keep = matches.any(1)
        return Split(self.images[keep], matches[keep].int().argmax(1))


@dataclass
class Data:
    """Training and test split, and the normalisation both share (per-channel mean and std of pixels in [0, 1])."""

    train: Split
    test: Split
    mean: tuple[float, ...] = CIFAR_MEAN
    std: tuple[float, ...] = CIFAR_STD
    validation: Split | None = None
    """Training images that are held out."""

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self.train.labels.device

    def to(self, device: torch.device) -> "Data":
        """Move to `device`."""
        validation = self.validation and self.validation.to(device)
        return replace(self, train=self.train.to(device), test=self.test.to(device), validation=validation)

    def holding_out(self, count: int) -> "Data":
        """The data with `count` training images as validation split.

        They are drawn at random by a constant seed, so all runs hold out the same images; the others keep their order.
        """
        if not count:
            return self
        order = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(HELD_OUT_SEED))
        taken, rest = order[:count].sort().values, order[count:].sort().values
        return replace(self, train=self.train.take(rest), validation=self.train.take(taken))

    def validating(self) -> "Data":
        """The data with the validation split in the place of the test split. Raises ValueError where there is none."""
        if self.validation is None:
            raise ValueError("no images were held out")
        return replace(self, test=self.validation)

    @property
    def test_images(self) -> int:
        """Size of the test split."""
        return len(self.test)

    def batches(self, batch_size: int, augment: str, seed: int) -> "Batches":
        """Training batches."""
        return Batches(self, batch_size, augment, seed)

    def evaluation(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Unaugmented batches (see `normalised`) of the test split, or of this process's share of it: images float
        (B, C, H, W), labels int64 (B,)."""
        mine = self.test
        if shares.world() > 1:
            mine = mine.take(torch.arange(len(mine))[shares.share(0, len(mine))])
        return normalised(mine, self)


Images = TypeVar("Images", Split, "Files")


def balanced_subset(split: Images, size: int | None, where: str) -> Images:
    """The first `size` images with equal class counts (up to one), in the dataset's own order: no randomness.

    Raises UserError, naming `where`, for more images than there are.
    """
    if size is None or size == len(split):
        return split
    if size > len(split):
        raise UserError(f"{where}: asked for {size} images, the dataset has {len(split)}")
    return split.take(balanced_positions(split.labels, size))


def balanced_positions(labels: Tensor, size: int) -> Tensor:
    """Positions, int64 (size,) increasing, of the images that `balanced_subset` takes; `labels`: int64 (n,)."""
    order = torch.argsort(labels, stable=True)
    counts = torch.bincount(labels)
    rank = torch.cat([torch.arange(int(c)) for c in counts])  # position of each image within its class
    return order[torch.argsort(rank, stable=True)[:size]].sort().values


def load(
    name: str,
    root: Path,
    train_size: int | None = None,
    test_size: int | None = None,
    validation: int = 0,
    standardise: bool = True,
    sequence: int = 64,
) -> "Data | FolderData | Text":
    """Load dataset `name`, reduced to the given sizes, `validation` training images held out; pixels in [0, 1] unless
    they are standardised. `sequence`: of a text, characters of a training sequence.

    Raises UserError for missing or corrupted files.
    """
    data = DATASETS.load(name)(root)
    info = INFO[name]
    if info.text:
        text: Text = data.sized(train_size or info.train, test_size or info.test, sequence)
        return text
    if info.of:
        data.train, data.test = data.train.only(info.of), data.test.only(info.of)
    if not standardise:
        data.mean, data.std = (0.0,) * len(data.mean), (1.0,) * len(data.std)
    data.train = balanced_subset(data.train, train_size, "Search.train_size")
    data.test = balanced_subset(data.test, test_size, "Search.test_size")
    made: Data | FolderData = data.holding_out(validation) if validation else data
    return made


def _files(name: str) -> str:
    """The files of a dataset with what they must hash to, for a message."""
    return ", ".join(f"{file} (MD5 {md5})" for file, md5 in FILES[name].items())


def verified(name: str, root: Path) -> Iterator[bytes]:
    """Yield the files of a dataset under `root` as bytes, each verified by hash: what is used is what was verified.

    Raises UserError for one that is missing or not what it should be.
    """
    for file, md5 in FILES[name].items():
        path = root / file
        try:
            content = regular_bytes(path, FILE_LIMIT)
        except FileNotFoundError:
            raise UserError(
                f"data root {str(root)!r}: {file} is missing. With a network, run `python -m ebreplicate data {name}`; "
                f"without one, put the files of torchvision's {INFO[name].title} there: {_files(name)}"
            ) from None
        except ValueError as e:
            raise UserError(f"{path}: {e}; delete it and fetch it again") from None
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
            raise UserError(
                f"{path}: corrupted (its MD5 differs from torchvision's list, {md5}); delete it and fetch it again"
            )
        yield content


class ArraysOnly(pickle.Unpickler):
    """Refuses everything a CIFAR file does not contain, though the hash has already vouched for it."""

    def find_class(self, module: str, name: str) -> object:
        """Return what makes an array; raises pickle.UnpicklingError for anything else."""
        allowed = {"_reconstruct", "ndarray", "dtype"}
        if module.split(".")[0] == "numpy" and name in allowed:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"unexpected {module}.{name}")


def read_cifar(contents: Sequence[bytes], label: str) -> Split:
    """Images and labels of CIFAR's files, given as bytes; `label` is what the files call their labels."""
    images, labels = [], []
    for content in contents:
        batch = ArraysOnly(io.BytesIO(content), encoding="latin1").load()
        images.append(np.asarray(batch["data"]).reshape(-1, 3, 32, 32))
        labels += batch[label]
    return Split(torch.from_numpy(np.concatenate(images)), torch.tensor(labels))


def load_cifar10(root: Path) -> Data:
    """CIFAR-10 from torchvision's folder layout: 50,000 and 10,000 images."""
    *train, test = present("cifar10", root)
    return Data(read_cifar(train, "labels"), read_cifar([test], "labels"))


def load_cifar100(root: Path) -> Data:
    """CIFAR-100 (fine labels) from torchvision's folder layout: 50,000 and 10,000 images."""
    train, test = present("cifar100", root)
    return Data(read_cifar([train], "fine_labels"), read_cifar([test], "fine_labels"))


def download(name: str, root: Path) -> None:
    """Fetch a dataset through torchvision unless its verified files are already there."""
    try:
        list(verified(name, root))
    except UserError:
        fetch(name, root)
        list(verified(name, root))


def fetch(name: str, root: Path) -> None:
    """Download a dataset to `root` through torchvision; raises UserError naming the files to put there if it fails."""
    from torchvision import datasets  # slow to import: only here
    from torchvision.datasets.utils import download_and_extract_archive

    # Each archive is verified by its MD5 before it is opened, and torchvision extracts with tarfile's filter "data",
    # which keeps files inside the folder. Its dataset classes are not made: they would unpickle what they find.
    mnist, cifar = datasets.MNIST, {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}.get(name)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with (root / f".{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # of several runs, the first fetches
            if cifar is not None:
                download_and_extract_archive(cifar.url, str(root), filename=cifar.filename, md5=cifar.tgz_md5)
            else:
                mnist(str(root), download=True)
    except (OSError, RuntimeError, tarfile.TarError) as e:
        raise UserError(f"data: could not download {name} ({e}); put these files under {root}: {_files(name)}") from e


def present(name: str, root: Path) -> list[bytes]:
    """Verified files of a dataset, downloaded where any is missing; a corrupted one is refused, not replaced."""
    if not all((root / file).is_file() for file in FILES[name]):
        fetch(name, root)
    return list(verified(name, root))


def prepare(name: str, root: Path) -> None:
    """Have dataset `name` under `root`: CIFAR is downloaded, `folders` made, ImageNet only checked."""
    if name in FILES:
        download(name, root)
    else:
        load(name, root)


Arrays = tuple[np.ndarray, np.ndarray]
"""Images, uint8 (n, 3, 32, 32), and labels."""


def _rgb(gray: np.ndarray) -> np.ndarray:
    """Images of values in [0, 16], float (n, 32, 32), as uint8 (n, 3, 32, 32)."""
    return np.round(gray * (255 / 16)).astype(np.uint8)[:, None].repeat(3, 1)


@functools.cache
def digit_arrays() -> dict[str, tuple[Arrays, Arrays]]:
    """Training and test images of `digits` and `digits100`."""
    images, labels = scanned_digits()
    cut, pairs = INFO["digits"].train, INFO["digits100"]
    blocks = _rgb(images.repeat(4, 1).repeat(4, 2))
    rng = np.random.default_rng(0)

    def paired(lo: int, hi: int, n: int) -> Arrays:
        left, right = rng.integers(lo, hi, n), rng.integers(lo, hi, n)
        # each digit 16 wide and 32 high
        wide = np.concatenate([images[left], images[right]], axis=2).repeat(2, 2).repeat(4, 1)
        return _rgb(wide), 10 * labels[left] + labels[right]

    return {
        "digits": ((blocks[:cut], labels[:cut]), (blocks[cut:], labels[cut:])),
        "digits100": (paired(0, cut, pairs.train), paired(cut, len(images), pairs.test)),
    }


def _digits(name: str) -> Data:
    train, test = (Split(torch.tensor(x), torch.tensor(y)) for x, y in digit_arrays()[name])  # copies
    return Data(train, test, mean=(0.3054,) * 3, std=(0.3753,) * 3)


def load_digits(root: Path) -> Data:
    """Handwritten digits, each pixel a 4x4 block: 1,437 training and 360 test images of 32x32, no download."""
    return _digits("digits")


def load_digits100(root: Path) -> Data:
    """Two handwritten digits side by side, label 10 * left + right: a 100-class task that needs no download.

    Training pairs are made of training digits only and test pairs of test digits only; which digits meet is fixed by
    a constant seed, so this is one dataset, not one per run.
    """
    return _digits("digits100")


class Batches:
    """Augmented, normalised training batches of one split, everything on its device.

    Order and augmentation of an epoch depend on (seed, epoch) alone, so training resumes exactly at any epoch.
    `augment`: "crop-flip" (pad 4, random crop of the image's size, flip with probability 1/2), "crop" or "none".
    Padding is done before normalisation, as in the authors' transform. The last partial batch is kept.
    """

    def __init__(self, data: Data, batch_size: int, augment: str, seed: int):
        if augment == "imagenet":
            raise UserError("Recipe.augment: 'imagenet' is for datasets of image files; use crop-flip, crop or none")
        self.labels = data.train.labels
        self.device = self.labels.device
        self.images_per_epoch = len(self.labels)
        self.batch_size, self.augment, self.seed = batch_size, augment, seed
        self.pad = 0 if augment == "none" else PAD
        self.images = torch.nn.functional.pad(data.train.images, (self.pad,) * 4)
        self.scale, self.shift = normalisation(data, self.device)

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches (images float (B, 3, 32, 32) or the like, channels_last, labels (B,)) of the 0-based `epoch`."""
        # Drawn on the CPU, so that every device sees the same order and crops.
        g = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) & 0x7FFF_FFFF_FFFF)
        n = len(self.labels)
        order = torch.randperm(n, generator=g).to(self.device)
        if self.pad:
            top, left = torch.randint(0, 2 * self.pad + 1, (2, n), generator=g).to(self.device)
            flip = torch.rand(n, generator=g).lt(0.5).to(self.device) & (self.augment == "crop-flip")
        for start in range(0, n, self.batch_size):
            part = shares.share(start, min(start + self.batch_size, n))
            index = order[part]
            if self.pad:
                images = crop(self.images, index, top[part], left[part], flip[part])
            else:
                images = self.images.index_select(0, index).permute(0, 2, 3, 1)
            x = torch.addcmul(self.shift, images.float(), self.scale)  # (B, 32, 32, 3): channels_last as it lies
            yield x.permute(0, 3, 1, 2), self.labels.index_select(0, index)


def crop(images: Tensor, index: Tensor, top: Tensor, left: Tensor, flip: Tensor) -> Tensor:
    """Cut the window at (top, left) out of padded images[index], mirrored where `flip`: uint8 (B, side, side, C)."""
    side = torch.arange(images.shape[-1] - 2 * PAD, device=images.device)
    rows = top[:, None] + side
    columns = left[:, None] + torch.where(flip[:, None], side.flip(0), side)
    # One gather; the sliced channel axis moves last because advanced indices surround it.
    return images[index[:, None, None], :, rows[:, :, None], columns[:, None, :]]


def normalisation(data: Data, device: torch.device) -> tuple[Tensor, Tensor]:
    """Scale and shift, float (C,) each, that map uint8 pixels to normalised floats: x * scale + shift."""
    mean, std = torch.tensor(data.mean), torch.tensor(data.std)
    return (1 / (255 * std)).to(device), (-mean / std).to(device)


def evaluation_batch(device: torch.device) -> int:
    """Images of a batch of evaluation: on a GPU more, because there launching kernels takes longer than computing.

    Batch norm uses its running statistics, so an image's logits depend on no other image; a GPU may choose other
    kernels for another size, which differ by rounding.
    """
    return 2_000 if device.type == "cuda" else 500


def normalised(split: Split, data: Data) -> Iterator[tuple[Tensor, Tensor]]:
    """Unaugmented batches for evaluation: images float (B, C, H, W) channels_last, labels int64 (B,)."""
    scale, shift = normalisation(data, split.labels.device)
    size = evaluation_batch(split.labels.device)
    for start in range(0, len(split), size):
        part = slice(start, start + size)
        images = split.images[part].permute(0, 2, 3, 1).float()
        yield torch.addcmul(shift, images, scale).permute(0, 3, 1, 2), split.labels[part]

"""Image files in class folders, decoded and augmented while training: ImageNet, and a small set made locally.

Order and augmentation of an epoch depend on (seed, epoch) alone, not on how many workers decode.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ebreplicate.catalog import INFO
from ebreplicate.data import shares
from ebreplicate.data.digits import scanned_digits
from ebreplicate.data.pixels import augmented, central
from ebreplicate.errors import UserError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SUFFIXES = (".jpeg", ".jpg", ".png")
SPLITS = ("train", "val")
AUGMENTATIONS = ("imagenet", "none")
EVALUATION_BATCH = 250

Item = tuple[int, tuple[int, ...] | None]
"""Number of an image, and the seed of its augmentation; None: the central crop of evaluation."""


@dataclass(frozen=True)
class Files:
    """Paths of images and their labels int64 (n,)."""

    paths: list[Path]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, keep: Tensor) -> "Files":
        """The files at the positions `keep`, int64 (k,)."""
        return Files([self.paths[i] for i in keep.tolist()], self.labels[keep])


class Decoder(torch.utils.data.Dataset[tuple[np.ndarray, int]]):
    """Images by number, decoded in a worker: uint8 (side, side, 3) and label."""

    def __init__(self, files: Files, side: int):
        # One array of bytes instead of a million objects, which workers would copy page by page.
        self.paths, self.labels, self.side = np.array([os.fsencode(p) for p in files.paths]), files.labels.numpy(), side

    def __getitem__(self, item: Item) -> tuple[np.ndarray, int]:
        number, seed = item
        path = os.fsdecode(self.paths[number])
        try:
            with Image.open(path) as file:
                image = file.convert("RGB")
        except (OSError, UnidentifiedImageError) as e:
            raise UserError(f"{path}: unreadable image ({e}); delete it and fetch it again") from None
        fit = central(image, self.side) if seed is None else augmented(image, self.side, np.random.default_rng(seed))
        return np.asarray(fit), int(self.labels[number])


def _stack(items: list[tuple[np.ndarray, int]]) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(np.stack([i for i, _ in items])), torch.tensor([y for _, y in items])


def cores() -> int:
    """Cores that this process may use: fewer than the machine has, under SLURM or in a container."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


SHARED_MEMORY = Path("/dev/shm")
"""Through which decoding processes pass batches; 64 MB in a container, unless it was given more."""
AHEAD = 2
"""Batches that each of them decodes ahead."""


def fitting(count: int, batch: int) -> int:
    """As many of `count` decoding processes as shared memory has room for, each with batches of `batch` bytes.

    Raises UserError where there is room for none: they would die of a bus error.
    """
    if not count or not SHARED_MEMORY.is_dir():
        return count
    free = shutil.disk_usage(SHARED_MEMORY).free
    room = free // (AHEAD * max(1, batch))
    if not room:
        raise UserError(
            f"{SHARED_MEMORY}: {free:,} bytes are free, but a batch takes {batch:,}; give the container more (podman "
            "--shm-size 16g; in a pod an emptyDir of medium Memory), or set EBREPLICATE_WORKERS=0"
        )
    return min(count, room)


def workers(device: torch.device) -> int:
    """Decoding processes of this training process: EBREPLICATE_WORKERS, or by default the cores shared out, at most 16,
    on a GPU and none on a CPU, where training uses the cores itself. Raises UserError for a value that is no number."""
    text = os.environ.get("EBREPLICATE_WORKERS")
    if text is None:
        return 0 if device.type == "cpu" else max(1, min(16, cores() // shares.world()))
    if not text.isdecimal():
        raise UserError(f"EBREPLICATE_WORKERS: expected a number of decoding processes (0: none), got {text!r}")
    return int(text)


@dataclass
class FolderData:
    """Training and test files, the side images are brought to, and the device that batches are made on."""

    train: Files
    test: Files
    side: int
    device: torch.device = torch.device("cpu")  # noqa: RUF009
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def to(self, device: torch.device) -> "FolderData":
        """Make batches on `device`."""
        return replace(self, device=device)

    @property
    def test_images(self) -> int:
        """Size of the test split."""
        return len(self.test)

    def batches(self, batch_size: int, augment: str, seed: int) -> "FolderBatches":
        """Training batches."""
        return FolderBatches(self, batch_size, augment, seed)

    def evaluation(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Centrally cropped batches of this process's share of the test split: images float (B, 3, side, side), labels
        (B,)."""
        mine = range(len(self.test))[shares.share(0, len(self.test))]
        starts = range(0, len(mine), EVALUATION_BATCH)
        return self.load(self.test, [[(i, None) for i in mine[s : s + EVALUATION_BATCH]] for s in starts])

    def load(self, files: Files, batches: list[list[Item]]) -> Iterator[tuple[Tensor, Tensor]]:
        """Decode batches of items: images float (B, 3, side, side) channels_last, normalised, and labels (B,)."""
        mean, std = torch.tensor(self.mean), torch.tensor(self.std)
        scale, shift = (1 / (255 * std)).to(self.device), (-mean / std).to(self.device)
        loader = torch.utils.data.DataLoader(
            Decoder(files, self.side),
            batch_sampler=batches,
            num_workers=fitting(workers(self.device), max(map(len, batches), default=0) * 3 * self.side**2),
            collate_fn=_stack,
            pin_memory=self.device.type == "cuda",
            generator=torch.Generator(),  # else it takes numbers from the global one
        )
        for images, labels in loader:
            x = images.to(self.device, non_blocking=True)  # bytes: a quarter of what floats would take
            x = torch.addcmul(shift, x.float(), scale)
            yield x.permute(0, 3, 1, 2), labels.to(self.device, non_blocking=True)


class FolderBatches:
    """Augmented training batches: "imagenet" (random resized crop, flip) or "none" (the central crop).

    Every process draws the same order and takes its share of each batch. The last partial batch is kept.
    """

    def __init__(self, data: FolderData, batch_size: int, augment: str, seed: int):
        if augment not in AUGMENTATIONS:
            raise UserError(f"Recipe.augment: image files take {' or '.join(AUGMENTATIONS)}, got {augment!r}")
        self.data, self.batch_size, self.augment, self.seed = data, batch_size, augment, seed
        self.device = data.device
        self.images_per_epoch = len(data.train)

    def __len__(self) -> int:
        return -(-self.images_per_epoch // self.batch_size)

    def items(self, epoch: int) -> list[list[Item]]:
        """This process's images of every batch of the 0-based `epoch`, each with its own seed."""
        g = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) & 0x7FFF_FFFF_FFFF)
        n = self.images_per_epoch
        order = torch.randperm(n, generator=g).tolist()
        parts = (order[shares.share(s, min(s + self.batch_size, n))] for s in range(0, n, self.batch_size))
        random = self.augment == "imagenet"
        return [[(i, (self.seed, epoch, i) if random else None) for i in part] for part in parts]

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches (images float (B, 3, side, side) channels_last, labels (B,)) of the 0-based `epoch`."""
        return self.data.load(self.data.train, self.items(epoch))


def _listed(name: str, root: Path, split: str, count: int) -> Files:
    """Files of one split, sorted by class and name; raises UserError unless there are `count` in every class's name."""
    folder, info = root / name / split, INFO[name]
    layout = (
        f"expected {name}/{{{','.join(SPLITS)}}}/<class>/<image>.jpeg, with {info.classes} class folders in each, "
        f"{info.train:,} and {info.test:,} images (docs/imagenet.md)"
    )
    if not folder.is_dir():
        raise UserError(f"data root {str(root)!r}: {name}/{split} is missing; {layout}")
    classes = sorted(d.name for d in os.scandir(folder) if d.is_dir())
    paths, labels = [], []
    for label, one in enumerate(classes):
        names = sorted(e.name for e in os.scandir(folder / one) if e.name.lower().endswith(SUFFIXES))
        paths += [folder / one / n for n in names]
        labels += [label] * len(names)
    if len(classes) != info.classes or len(paths) != count:
        raise UserError(f"{folder}: found {len(classes)} class folders and {len(paths):,} images; {layout}")
    return Files(paths, torch.tensor(labels))


def _load(name: str, root: Path) -> FolderData:
    info = INFO[name]
    train, test = (_listed(name, root, s, n) for s, n in zip(SPLITS, (info.train, info.test), strict=True))
    return FolderData(train, test, info.side)


def load_imagenet(root: Path) -> FolderData:
    """ImageNet (ILSVRC 2012) from <root>/imagenet/{train,val}/<class>/: 1,281,167 and 50,000 images."""
    return _load("imagenet", root)


def load_folders(root: Path) -> FolderData:
    """Handwritten digits as image files, made where they are missing: 1,437 training and 360 test images."""
    generate(root)
    return _load("folders", root)


def generate(root: Path) -> None:
    """Write scikit-learn's digits, 5x5 pixels each, as PNG files under <root>/folders, unless they are there.

    The first 1,437 are for training and the rest for testing, as in dataset `digits`. The folder appears whole.
    """
    if (root / "folders").is_dir():
        return
    images, labels = scanned_digits()
    cut = INFO["folders"].train
    root.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=root, prefix=".folders."))
    temporary.chmod(0o755)
    try:
        for number, (pixels, label) in enumerate(zip(images, labels, strict=True)):
            folder = temporary / SPLITS[number >= cut] / str(label)
            folder.mkdir(parents=True, exist_ok=True)
            gray = np.round(pixels * (255 / 16)).astype(np.uint8).repeat(5, 0).repeat(5, 1)
            Image.fromarray(gray).save(folder / f"{number:04d}.png")
        temporary.rename(root / "folders")
    except OSError:
        if not (root / "folders").is_dir():  # else another process was first
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)

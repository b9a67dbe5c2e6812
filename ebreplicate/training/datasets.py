"""The datasets' names and sizes, without torch."""

from dataclasses import dataclass

from ebreplicate.registry import Registry


@dataclass(frozen=True)
class DatasetInfo:
    """What planning and cost need to know of a dataset. Sizes are image counts."""

    classes: int
    train: int
    test: int
    title: str
    side: int = 32
    files: bool = False
    """True if it lies as files under the data root."""


INFO = {
    "digits": DatasetInfo(10, 1437, 360, "handwritten digits (scikit-learn), upscaled to 32x32"),
    "digits100": DatasetInfo(100, 4000, 1000, "pairs of handwritten digits, 100 classes, 32x32"),
    "cifar10": DatasetInfo(10, 50_000, 10_000, "CIFAR-10", files=True),
    "cifar100": DatasetInfo(100, 50_000, 10_000, "CIFAR-100", files=True),
    "folders": DatasetInfo(10, 1437, 360, "handwritten digits (scikit-learn) as 40x40 image files", 64, files=True),
    "imagenet": DatasetInfo(1000, 1_281_167, 50_000, "ImageNet (ILSVRC 2012)", 224, files=True),
}
ON_DISK = tuple(name for name, info in INFO.items() if info.files)
FOLDERS = ("folders", "imagenet")
"""Datasets read image by image from class folders, too large for a device's memory."""
DATASETS = Registry(
    "dataset", {n: f"ebreplicate.training.{'folder' if n in FOLDERS else 'data'}:load_{n}" for n in INFO}
)

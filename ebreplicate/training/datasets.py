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
    channels: int = 3
    files: bool = False
    """True if it lies as files under the data root."""
    streamed: bool = False
    """True if it is read image by image from class folders, too large for a device's memory."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image, (channels, side, side)."""
        return (self.channels, self.side, self.side)


INFO = {
    "digits": DatasetInfo(10, 1437, 360, "handwritten digits (scikit-learn), upscaled to 32x32"),
    "digits100": DatasetInfo(100, 4000, 1000, "pairs of handwritten digits, 100 classes, 32x32"),
    "cifar10": DatasetInfo(10, 50_000, 10_000, "CIFAR-10", files=True),
    "cifar100": DatasetInfo(100, 50_000, 10_000, "CIFAR-100", files=True),
    "mnist": DatasetInfo(10, 60_000, 10_000, "MNIST", side=28, channels=1, files=True),
    "folders": DatasetInfo(
        10, 1437, 360, "handwritten digits (scikit-learn) as 40x40 image files", 64, files=True, streamed=True
    ),
    "imagenet": DatasetInfo(1000, 1_281_167, 50_000, "ImageNet (ILSVRC 2012)", 224, files=True, streamed=True),
}
HOME = {"mnist": "mnist", "folders": "folder", "imagenet": "folder"}
"""Modules of ebreplicate.training that hold loaders; the others are in data."""
DATASETS = Registry("dataset", {name: f"ebreplicate.training.{HOME.get(name, 'data')}:load_{name}" for name in INFO})
ON_DISK = tuple(name for name, info in INFO.items() if info.files)
FOLDERS = tuple(name for name, info in INFO.items() if info.streamed)

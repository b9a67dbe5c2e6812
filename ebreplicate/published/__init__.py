"""What the papers printed, as CSV with a source per number. Nothing here is computed; a blank stays blank."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ebreplicate.errors import unknown

if TYPE_CHECKING:
    import pandas as pd

FOLDER = Path(__file__).parent
MODELS = {"VGG16": "vgg16", "PreResNet101": "preresnet101", "ResNet18": "resnet18"}
DATASETS = {"CIFAR-10": "cifar10", "CIFAR-100": "cifar100", "ImageNet": "imagenet"}


@cache
def read(name: str) -> "pd.DataFrame":
    """Rows of `<name>.csv`, with model and dataset under this project's names. Do not modify the result.

    Raises UserError for a file that there is not.
    """
    import pandas as pd

    path = FOLDER / f"{name}.csv"
    if not path.is_file():
        raise unknown("published", name, (p.stem for p in FOLDER.glob("*.csv")))
    table = pd.read_csv(path)
    for column, names in (("model", MODELS), ("dataset", DATASETS)):
        if column in table:
            table[column] = table[column].replace(names)
    return table

"""The four panels (dataset, network) of the early-bird paper, and what stands for them at a scale, in words."""

from fractions import Fraction

from ebreplicate.catalog import INFO, TITLES
from ebreplicate.specs.scale import Scale

PAPER_EPOCHS = 160
"""Epochs of the paper's trainings on CIFAR."""
TOYS = {"digits": "toy-digit", "digits100": "toy-digit-pair", "folders": "toy-digit"}
"""Datasets of handwritten digits that stand for real ones."""


def network(scale: Scale, model: str, width: float | None = None) -> str:
    """What is trained in the place of the paper's `model`: "VGG16 (1/4 width)"; `width`: an item's own."""
    entry = scale.models[model]
    name: str = TITLES.get(entry["name"], entry["name"]).partition(" (")[0]
    width = entry.get("width", 1) if width is None else width
    return name + (f" ({Fraction(width).limit_denominator(64)} width)" if width != 1 else "")


def images(scale: Scale, dataset: str) -> str:
    """What it is trained on in the place of the paper's `dataset`: "5,000 CIFAR-10 images", "ImageNet"."""
    entry = scale.datasets[dataset]
    name: str = entry["name"]
    toy = name in TOYS
    if not toy and "train_size" not in entry:
        return TITLES.get(name, name)
    return f"{entry.get('train_size', INFO[name].train):,} {TOYS[name] if toy else TITLES.get(name, name)} images"


def title(scale: Scale, model: str, dataset: str, width: float | None = None) -> str:
    """Panel title: the network and images that were trained, and below, the paper's, where they are others."""
    text = f"{network(scale, model, width)}, {images(scale, dataset)}"
    replaced = [TITLES[model]] if scale.models[model]["name"] != model else []
    replaced += [TITLES[dataset]] if scale.datasets[dataset]["name"] != dataset else []
    return text + (f"\n(in the place of {' and '.join(replaced)})" if replaced else "")


PANELS = tuple((dataset, model) for dataset in ("cifar10", "cifar100") for model in ("preresnet101", "vgg16"))
"""(dataset, model) of the paper's four panels, in its order."""
DATASETS = tuple(dict(PANELS))
"""Datasets of these panels."""


def panels(scale: Scale) -> list[tuple[str, str]]:
    """Those of `PANELS` that are run at `scale`."""
    return [(dataset, model) for dataset, model in PANELS if scale.runs_panel(model, dataset)]

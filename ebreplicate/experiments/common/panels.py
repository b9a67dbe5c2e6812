"""The four panels (dataset, network) of the early-bird paper, and their titles."""

from ebreplicate.catalog import TITLES
from ebreplicate.specs.scale import Scale


def title(scale: Scale, model: str, dataset: str) -> str:
    """Panel title: the paper's names, and what stands in for them where something does."""
    net, data = scale.models[model], scale.datasets[dataset]
    text = f"{TITLES[model]} on {TITLES[dataset]}"
    stand_ins = []
    if net != {"name": model}:
        width = net.get("width", 1)
        stand_ins.append(net["name"] + (f" at width {width:g}" if width != 1 else ""))
    if data != {"name": dataset}:
        size = f", {data['train_size']:,} images" if "train_size" in data else ""
        stand_ins.append(data["name"] + size)
    return text + (f"\n({'; '.join(stand_ins)})" if stand_ins else "")


PANELS = tuple((dataset, model) for dataset in ("cifar10", "cifar100") for model in ("preresnet101", "vgg16"))
"""(dataset, model) of the paper's four panels, in its order."""


def panels(scale: Scale) -> list[tuple[str, str]]:
    """Those of `PANELS` that are run at `scale`."""
    return [(dataset, model) for dataset, model in PANELS if scale.runs_panel(model, dataset)]

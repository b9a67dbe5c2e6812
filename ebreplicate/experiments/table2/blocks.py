"""The four blocks of Table 2 one by one: what to ask for when one network on one dataset is enough."""

from dataclasses import replace

from ebreplicate.catalog import TITLES
from ebreplicate.experiments.common.experiment import Experiment
from ebreplicate.experiments.table2 import EXPERIMENT


def _block(dataset: str, model: str) -> Experiment:
    title = f"Table 2, block {TITLES[model]} on {TITLES[dataset]}"
    options = {name: {"blocks": ((dataset, model),)} for name in ("runs", "table", "figure")}
    return replace(EXPERIMENT, item=f"table2_{model}_{dataset}", title=title, options=options)


VGG16_CIFAR10 = _block("cifar10", "vgg16")
VGG16_CIFAR100 = _block("cifar100", "vgg16")
PRERESNET101_CIFAR10 = _block("cifar10", "preresnet101")
PRERESNET101_CIFAR100 = _block("cifar100", "preresnet101")

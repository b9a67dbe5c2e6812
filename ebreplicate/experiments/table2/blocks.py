"""The four blocks of Table 2 one by one: what to ask for when one network on one dataset is enough."""

from dataclasses import replace

from ebreplicate.catalog import TITLES
from ebreplicate.experiments.table2 import EXPERIMENT, Table2
from ebreplicate.experiments.table2.methods import Place


def _block(dataset: str, model: str) -> Table2:
    where: Place = (dataset, model)
    title = f"Table 2, block {TITLES[model]} on {TITLES[dataset]}"
    return replace(EXPERIMENT, item=f"table2_{model}_{dataset}", title=title, blocks=(where,))


VGG16_CIFAR10 = _block("cifar10", "vgg16")
VGG16_CIFAR100 = _block("cifar100", "vgg16")
PRERESNET101_CIFAR10 = _block("cifar10", "preresnet101")
PRERESNET101_CIFAR100 = _block("cifar100", "preresnet101")

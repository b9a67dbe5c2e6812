"""Runs of Figure 3: the dense searches. No torch."""

from dataclasses import dataclass

from ebreplicate.specs.fields import Spec
from ebreplicate.specs.scale import Scale

RATIOS = (0.2, 0.4, 0.6, 0.8)
MODELS = ("vgg16", "preresnet101")
DATASET = "cifar100"
"""The paper's."""


@dataclass(frozen=True)
class Grid(Spec):
    """`dataset`: on which the searches are that stand for the paper's on CIFAR-100."""

    dataset: str


def dataset_of(scale: Scale) -> str:
    """The paper's name of the dataset whose searches are shown at `scale`."""
    found: str = scale.grid("fig3_mask_distance", Grid).dataset
    return found


def runs(scale: Scale) -> list[Spec]:
    """The dense searches alone: scores of every epoch give any ratio's masks."""
    dataset = dataset_of(scale)
    return [scale.search(model, dataset, seed) for model in MODELS for seed in scale.seeds_for(model)]

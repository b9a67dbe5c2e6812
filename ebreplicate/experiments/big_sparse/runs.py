"""Which trainings the item needs: four arms a seed. No torch."""

from dataclasses import dataclass
from typing import Any

from ebreplicate.experiments.common.arms import Planned
from ebreplicate.experiments.rigl_mnist.runs import FIRST_UPDATE
from ebreplicate.specs.fields import Spec, need_known
from ebreplicate.specs.scale import Scale, need_distinct
from ebreplicate.specs.spec import Recipe, Search, Sparse

ITEM, MODEL = "big_sparse", "lenet300"
ARMS = ("dense", "dense-longer", "big-sparse", "big-sparse-longer")
WIDTH, SPARSITY = 3.183, 0.75
"""955 and 318 hidden neurons: with MNIST's 784 inputs, 266,283 weights that are not zero; LeNet has 266,200."""
FACTORS = (1.0, 1.0, 0.0)
"""Sparsity of each layer as a multiple: the output is dense."""
LONGER = 5.0
"""Times the training (the paper's Big-Sparse)."""


@dataclass(frozen=True)
class Grid(Spec):
    """What this item runs at a scale (workflow/config/items/big_sparse.yaml)."""

    seeds: tuple[int, ...]
    arms: tuple[str, ...]
    dataset: str
    train_size: int | None
    interval: int
    recipe: Recipe

    def _validate(self) -> None:
        need_distinct(self.seeds, "Grid.seeds")
        need_known(self.arms, ARMS, "Grid.arms")


def grid_of(scale: Scale) -> Grid:
    """The item's settings at `scale`."""
    return scale.grid(ITEM, Grid)


def _training(grid: Grid, arm: str, seed: int) -> Search | Sparse:
    recipe = grid.recipe.scaled(LONGER if arm.endswith("longer") else 1.0)
    data: dict[str, Any] = {"seed": seed, "train_size": grid.train_size}
    data |= {"standardise": False, "weight_init": "glorot-uniform"}
    if arm.startswith("dense"):
        return Search(MODEL, grid.dataset, recipe, **data)
    masks: dict[str, Any] = {"sparsity": SPARSITY, "factors": FACTORS, "interval": grid.interval, "begin": FIRST_UPDATE}
    return Sparse(MODEL, grid.dataset, recipe, width=WIDTH, **data, **masks)


def planned(scale: Scale) -> list[Planned]:
    """Every training of the item, seed by seed."""
    grid = grid_of(scale)
    return [Planned(arm, seed, _training(grid, arm, seed)) for seed in grid.seeds for arm in grid.arms]


def runs(scale: Scale) -> list[Spec]:
    """Up to four trainings a seed."""
    return [run.spec for run in planned(scale)]

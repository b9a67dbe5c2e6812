"""Which trainings the item needs: LeNet-300-100 on MNIST, pruned early, before training, and not at all. No torch."""

from dataclasses import dataclass
from typing import Any

from ebreplicate.experiments.common.arms import Planned
from ebreplicate.experiments.early_crop.runs import AT_INIT, EARLY_CROP, PAPER_RULE, RULE, arms
from ebreplicate.specs.fields import Spec, need_known
from ebreplicate.specs.scale import Scale, need_distinct
from ebreplicate.specs.spec import Recipe

ITEM, MODEL, DATASET = "early_crop_mnist", "lenet300", "mnist"
GRASP, SNIP, RANDOM = "GraSP", "SNIP", "random"
DRAWN: dict[str, tuple[str, str | int]] = {
    EARLY_CROP: ("crop-weights", RULE),
    AT_INIT: ("crop-weights", 0),
    PAPER_RULE: ("crop-weights", "crop"),
    GRASP: ("grasp-weights", 0),
}
"""Pruning method and draw of the arms that are pruned from a dense network."""
SPARSE = {SNIP: "snip", RANDOM: "static"}
"""Method of the arms that are sparse from the first step."""


@dataclass(frozen=True)
class Grid(Spec):
    """What this item runs at a scale (workflow/config/items/early_crop_mnist.yaml). No seeds: nothing is run.

    `ratio`: fraction of the weights removed; `arms`: the pruned networks that are trained.
    """

    seeds: tuple[int, ...]
    ratio: float
    arms: tuple[str, ...]
    recipe: Recipe
    standardise: bool = True
    weight_init: str = "model"

    def _validate(self) -> None:
        need_distinct(self.seeds, "Grid.seeds")
        need_known(self.arms, (*DRAWN, *SPARSE), "Grid.arms")


def grid_of(scale: Scale) -> Grid:
    """The item's settings at `scale`."""
    found: Grid = scale.grid(ITEM, Grid)
    return found


def planned(scale: Scale) -> list[Planned]:
    """Every training of the item, seed by seed."""
    grid, out = grid_of(scale), list[Planned]()
    data: dict[str, Any] = {"standardise": grid.standardise, "weight_init": grid.weight_init, "evaluation": "unseen"}
    drawn = {arm: DRAWN[arm] for arm in grid.arms if arm in DRAWN}
    for seed in grid.seeds:
        search = scale.search(MODEL, DATASET, seed, grid.recipe, **data)
        out += [Planned(arm, seed, spec) for arm, spec in arms(search, grid.ratio, drawn).items()]
        for arm in (a for a in grid.arms if a in SPARSE):
            more = {**data, "method": SPARSE[arm], "sparsity": grid.ratio}
            out.append(Planned(arm, seed, scale.sparse(MODEL, DATASET, seed, grid.recipe, **more)))
    return out


def runs(scale: Scale) -> list[Spec]:
    """A dense training and its arms a seed."""
    return [run.spec for run in planned(scale)]

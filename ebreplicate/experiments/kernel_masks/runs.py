"""Which trainings the item needs: for each seed, its search adapted to every task by every method. No torch."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from ebreplicate.catalog import ADAPTIONS, TASKS
from ebreplicate.specs.fields import Spec, need, need_known
from ebreplicate.specs.scale import Scale, Seeds, need_seeds
from ebreplicate.specs.spec import Adapt, Recipe

ITEM, MODEL, DATASET = "kernel_masks", "vgg16", "cifar10"


@dataclass(frozen=True)
class Grid(Spec):
    """What this item runs at a scale (workflow/config/items/kernel_masks.yaml). `recipe`: of every adaption."""

    seeds: Seeds
    tasks: tuple[str, ...]
    recipe: Recipe

    def _validate(self) -> None:
        need_seeds(self.seeds, "Grid.seeds")
        need(len(set(self.tasks)) == len(self.tasks) > 0, "Grid.tasks", "needs at least one task, and none twice")
        need_known(self.tasks, TASKS, "Grid.tasks")


class Planned(NamedTuple):
    """One adaption."""

    arm: str
    task: str
    seed: int
    spec: Adapt


def grid_of(scale: Scale) -> Grid:
    """The item's settings at `scale`."""
    found: Grid = scale.grid(ITEM, Grid)
    return found


def seeds_of(scale: Scale) -> tuple[int, ...]:
    """Seeds that this item runs."""
    return scale.seeds_for(MODEL, grid_of(scale).seeds)


def planned(scale: Scale) -> list[Planned]:
    """Every adaption, seed by seed; the search of a seed is that of `early_bird`."""
    grid, out = grid_of(scale), list[Planned]()
    for seed in seeds_of(scale):
        search = scale.search(MODEL, DATASET, seed)
        same: dict[str, Any] = {
            "seed": seed,
            "width": search.width,
            "precision": search.precision,
            "evaluation": "unseen",
        }
        for arm in ADAPTIONS:
            for task in grid.tasks:
                spec = Adapt(search.model, task, grid.recipe, **same, backbone=search, method=arm)
                out.append(Planned(arm, task, seed, spec))
    return out


def runs(scale: Scale) -> list[Spec]:
    """One training for each seed, arm and task."""
    return [run.spec for run in planned(scale)]

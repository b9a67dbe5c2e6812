"""Which trainings the item needs: one for each arm and seed. No torch."""

from dataclasses import dataclass

from ebreplicate.experiments.common.arms import Planned
from ebreplicate.specs.bits import CYCLIC, LEARNED, PROGRESSIVE, STATIC, Bits
from ebreplicate.specs.fields import Spec, need, need_known
from ebreplicate.specs.scale import Scale, need_distinct
from ebreplicate.specs.spec import Recipe

ITEM, DATASET = "learned_precision", "cifar10"
PLAIN, STATIC_8, STATIC_6, CPT, PFQ = "fp32", "static 8/8", "static 6/6", "CPT", "PFQ"
LDP, LDP_COST = "LDP", "LDP, cost term"
LOW, HIGH = 3, 8
"""Forward bits of CPT and LDP."""


def bits_of(cost: float) -> dict[str, Bits | None]:
    """The quantiser of every arm; `cost`: weight of LDP's cost term."""
    return {
        PLAIN: None,
        STATIC_8: Bits(STATIC, (8,), (8,)),
        STATIC_6: Bits(STATIC, (6,), (6,)),
        CPT: Bits(CYCLIC, (LOW, HIGH), (8,)),
        PFQ: Bits(PROGRESSIVE, (3, 4, 6, 8), (6, 6, 8, 8)),
        LDP: Bits(LEARNED, (LOW, HIGH), (8,)),
        LDP_COST: Bits(LEARNED, (LOW, HIGH), (8,), cost),
    }


ARMS = tuple(bits_of(0))


@dataclass(frozen=True)
class Grid(Spec):
    """What this item runs at a scale (workflow/config/items/learned_precision.yaml). `cost`: of LDP's cost term."""

    seeds: tuple[int, ...]
    model: str
    width: float
    arms: tuple[str, ...]
    cost: float
    recipe: Recipe
    evaluation: str = "test"

    def _validate(self) -> None:
        need_distinct(self.seeds, "Grid.seeds")
        need_known(self.arms, ARMS, "Grid.arms")
        need(self.cost > 0, "Grid.cost", f"must be positive, got {self.cost}")


def grid_of(scale: Scale) -> Grid:
    """The item's settings at `scale`."""
    found: Grid = scale.grid(ITEM, Grid)
    return found


def planned(scale: Scale) -> list[Planned]:
    """Every training of the item, seed by seed."""
    grid, out = grid_of(scale), list[Planned]()
    bits = bits_of(grid.cost)
    for seed in grid.seeds:
        for arm in grid.arms:
            more = {"evaluation": grid.evaluation, "bits": bits[arm], "width": grid.width}
            out.append(Planned(arm, seed, scale.search(grid.model, DATASET, seed, grid.recipe, **more)))
    return out


def runs(scale: Scale) -> list[Spec]:
    """One training for each arm and seed."""
    return [run.spec for run in planned(scale)]

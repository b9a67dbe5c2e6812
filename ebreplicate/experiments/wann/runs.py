"""Which runs the item needs: the released champion's test and two searches a seed. No torch."""

from dataclasses import dataclass

from ebreplicate.experiments.common.arms import Planned
from ebreplicate.specs.fields import Spec, need
from ebreplicate.specs.scale import Scale, need_distinct
from ebreplicate.wann.spec import WeightAgnostic

ITEM = "wann"
RELEASED, SWING_UP, DIGITS = "released", "swing-up", "digits"
ARMS = (RELEASED, SWING_UP, DIGITS)


@dataclass(frozen=True)
class Grid(Spec):
    """What this item runs at a scale (workflow/config/items/wann.yaml): `swing_` and `digits_` are the two searches'
    generations, networks a generation, and starts or images."""

    seeds: tuple[int, ...]
    tests: int
    swing_generations: int
    swing_population: int
    swing_starts: int
    digits_generations: int
    digits_population: int
    digits_images: int

    def _validate(self) -> None:
        need_distinct(self.seeds, "Grid.seeds")
        for name in ("swing_generations", "digits_generations"):
            need(getattr(self, name) >= 1, f"Grid.{name}", f"must be at least 1, got {getattr(self, name)}")


def grid_of(scale: Scale) -> Grid:
    """The item's settings at `scale`."""
    found: Grid = scale.grid(ITEM, Grid)
    return found


def planned(scale: Scale) -> list[Planned]:
    """Every run of the item, seed by seed. Swing-up: laptop settings; digits: the code's for MNIST, scaled down."""
    grid, out = grid_of(scale), list[Planned]()
    for seed in grid.seeds:
        swing = WeightAgnostic(
            "swing-up", seed, grid.swing_generations, grid.swing_population, grid.swing_starts, tests=grid.tests
        )
        digits = WeightAgnostic(
            "digits",
            seed,
            grid.digits_generations,
            grid.digits_population,
            grid.digits_images,
            elite=0.2,
            initial=0.05,
            tests=grid.tests,
        )
        released = WeightAgnostic("swing-up", seed, tests=grid.tests)
        out += [Planned(arm, seed, spec) for arm, spec in zip(ARMS, (released, swing, digits), strict=True)]
    return out


def runs(scale: Scale) -> list[Spec]:
    """Three runs a seed."""
    return [run.spec for run in planned(scale)]

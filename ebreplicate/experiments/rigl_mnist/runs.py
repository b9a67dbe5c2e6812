"""Which trainings the item needs: five arms a seed. No torch."""

from dataclasses import dataclass, replace

from ebreplicate.experiments.common.arms import Planned
from ebreplicate.specs.fields import Spec
from ebreplicate.specs.scale import Scale, need_distinct
from ebreplicate.specs.spec import Recipe, Search, Sparse

ITEM, MODEL, DATASET = "rigl_mnist", "lenet300", "mnist"
ARMS = ("rigl", "rigl-plus", "set", "static", "dense")
FACTORS = (1.0, 0.9, 0.0)
"""Sparsity of each layer as a multiple of S (RigL's code: sparsity_scale 0.9, the last layer dense)."""
FIRST_UPDATE = 0
"""Step of the first mask update (RigL's code: maskupdate_begin_step)."""


@dataclass(frozen=True)
class Grid(Spec):
    """What this item runs at a scale (workflow/config/items/rigl_mnist.yaml). No seeds: nothing is run."""

    seeds: tuple[int, ...]
    sparsity: float
    plus_sparsity: float
    interval: int
    stop: float
    dense_milestones: tuple[int, ...]
    recipe: Recipe

    def _validate(self) -> None:
        need_distinct(self.seeds, "Grid.seeds")


def grid_of(scale: Scale) -> Grid:
    """The item's settings at `scale`."""
    return scale.grid(ITEM, Grid)


def arms(scale: Scale, seed: int) -> dict[str, Search | Sparse]:
    """The training of every arm at one seed; RigL+ starts from the network that RigL of this seed found."""
    grid = grid_of(scale)
    data = {"standardise": False, "weight_init": "glorot-uniform", "evaluation": "unseen"}
    masks = {"factors": FACTORS, "interval": grid.interval, "stop": grid.stop, "begin": FIRST_UPDATE}

    def sparse(method: str, sparsity: float, **more: Sparse) -> Sparse:
        names = {"method": method, "sparsity": sparsity, **data, **masks, **more}
        return scale.sparse(MODEL, DATASET, seed, grid.recipe, **names)

    rigl = sparse("rigl", grid.sparsity)
    return {
        "rigl": rigl,
        "rigl-plus": sparse("rigl", grid.plus_sparsity, compact_of=rigl),
        "set": sparse("set", grid.sparsity),
        "static": sparse("static", grid.sparsity),
        "dense": scale.search(MODEL, DATASET, seed, replace(grid.recipe, milestones=grid.dense_milestones), **data),
    }


def planned(scale: Scale) -> list[Planned]:
    """Every training of the item, seed by seed."""
    return [Planned(arm, seed, spec) for seed in grid_of(scale).seeds for arm, spec in arms(scale, seed).items()]


def runs(scale: Scale) -> list[Spec]:
    """Five trainings a seed."""
    return [run.spec for run in planned(scale)]

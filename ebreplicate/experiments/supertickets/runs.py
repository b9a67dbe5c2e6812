"""Which trainings the item needs: up to eight arms a seed. No torch."""

from dataclasses import dataclass, replace

from ebreplicate.experiments.common.arms import Planned
from ebreplicate.specs.fields import Spec, need, need_known
from ebreplicate.specs.joint import RANDOM, RESET, ZEROED, Joint
from ebreplicate.specs.scale import Scale, need_distinct
from ebreplicate.specs.spec import Recipe, Retrain, Search, Ticket

ITEM, MODEL, DATASET = "supertickets", "supernet", "cifar10"
SUPERNET, JOINT, FROZEN, FREED = "supernet", "two-in-one", "two-in-one, zeroed", "two-in-one, reset"
ANY, AFTER = "two-in-one, random", "search, prune"
RETRAINED, JOINT_RETRAINED = "search, prune, retrain", "two-in-one, retrain"
ORIGIN = {RETRAINED: AFTER, JOINT_RETRAINED: JOINT}
"""Of the arms that are retrained, the one whose ticket they train."""
ARMS = (SUPERNET, JOINT, FROZEN, FREED, ANY, AFTER, *ORIGIN)


@dataclass(frozen=True)
class Grid(Spec):
    """What this item runs at a scale (workflow/config/items/supertickets.yaml). `joint`: of the arm two-in-one."""

    seeds: tuple[int, ...]
    arms: tuple[str, ...]
    joint: Joint
    recipe: Recipe
    evaluation: str = "test"

    def _validate(self) -> None:
        need_distinct(self.seeds, "Grid.seeds")
        need_known(self.arms, ARMS, "Grid.arms")
        need(self.joint.target > 0, "Grid.joint.target", "must be positive: the arms prune")


def grid_of(scale: Scale) -> Grid:
    """The item's settings at `scale`."""
    found: Grid = scale.grid(ITEM, Grid)
    return found


def searches(grid: Grid) -> dict[str, Joint]:
    """How each arm that is not retrained searches and prunes."""
    joint = grid.joint
    return {
        SUPERNET: replace(joint, target=0.0),
        JOINT: joint,
        FROZEN: replace(joint, connectivity=ZEROED),
        FREED: replace(joint, connectivity=RESET),
        ANY: replace(joint, ranking=RANDOM),
        AFTER: replace(joint, interval=grid.recipe.epochs, increment=joint.target),
    }


def planned(scale: Scale) -> list[Planned]:
    """Every training of the item, seed by seed."""
    grid, out = grid_of(scale), list[Planned]()
    for seed in grid.seeds:
        found: dict[str, Search | Retrain] = {}
        for arm, joint in searches(grid).items():
            more = {"evaluation": grid.evaluation, "joint": joint}
            found[arm] = scale.search(MODEL, DATASET, seed, grid.recipe, **more)
        for arm, origin in ORIGIN.items():
            search = found[origin]
            assert isinstance(search, Search)  # the arms above
            ticket = Ticket(search, grid.joint.target, "final", "nonzero")
            found[arm] = Retrain(ticket, grid.recipe, precision=search.precision)
        out += [Planned(arm, seed, found[arm]) for arm in grid.arms]
    return out


def runs(scale: Scale) -> list[Spec]:
    """A training for each arm and seed."""
    return [run.spec for run in planned(scale)]

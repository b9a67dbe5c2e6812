"""Which trainings the item needs: criterion by time, and controls, on the searches of `early_bird`. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass

from ebreplicate.experiments.common.arms import Planned
from ebreplicate.specs.fields import Spec, need, need_known
from ebreplicate.specs.scale import Scale, Seeds, need_seeds
from ebreplicate.specs.spec import Retrain, Search, Ticket

ITEM, MODEL, DATASET = "early_crop", "vgg16", "cifar10"
DENSE, EB_TRAIN, EARLY_CROP = "dense", "EB Train", "EarlyCroP"
CROP_AT_EB, GAMMA_AT_CROP = "CroP score at EB's epoch", "gamma at EarlyCroP's epoch"
AT_INIT, LEAK, PAPER_RULE = "CroP", "EarlyCroP, test-set leak", "EarlyCroP, rule of the paper"
RULE = "crop-code"
"""Rule of the judged arms: the one that was read."""
ARMS: dict[str, tuple[str, str | int]] = {
    EB_TRAIN: ("slimming", "eb"),
    EARLY_CROP: ("crop", RULE),
    CROP_AT_EB: ("crop", "eb"),
    GAMMA_AT_CROP: ("slimming", RULE),
    AT_INIT: ("crop", 0),
    LEAK: ("crop-leak", RULE),
    PAPER_RULE: ("crop", "crop"),
}
"""Pruning method and draw of every arm that is pruned."""
RULES = {"eb": "mask distance", "epi": "EPI", RULE: "EarlyCroP, code", "crop": "EarlyCroP, paper"}
"""What can fire, as `Ticket.at` has it."""


@dataclass(frozen=True)
class Grid(Spec):
    """What this item runs at a scale (workflow/config/items/early_crop.yaml).

    `ratio`: of the trained networks; `ratios`: of the firing epochs; `arms`: the pruned ones that are trained.
    """

    seeds: Seeds
    ratio: float
    ratios: tuple[float, ...]
    arms: tuple[str, ...]

    def _validate(self) -> None:
        need_seeds(self.seeds, "Grid.seeds")
        need(self.ratio in self.ratios, "Grid.ratio", f"must be one of {list(self.ratios)}, got {self.ratio}")
        need(0 < len(self.ratios) <= 4, "Grid.ratios", f"the figure has room for 1 to 4, got {len(self.ratios)}")
        need_known(self.arms, ARMS, "Grid.arms")


def grid_of(scale: Scale) -> Grid:
    """The item's settings at `scale`."""
    found: Grid = scale.grid(ITEM, Grid)
    return found


def seeds_of(scale: Scale) -> tuple[int, ...]:
    """Seeds that this item runs."""
    return scale.seeds_for(MODEL, grid_of(scale).seeds)


def arms(search: Search, ratio: float, drawn: Mapping[str, tuple[str, str | int]]) -> dict[str, Search | Retrain]:
    """The dense search and, of each (method, draw), the pruned network that goes through the rest of its schedule."""
    found: dict[str, Search | Retrain] = {DENSE: search}
    for arm, (method, at) in drawn.items():
        ticket = Ticket(search, ratio, at, method)
        found[arm] = Retrain(ticket, search.recipe, schedule="continue", precision=search.precision)
    return found


def planned(scale: Scale) -> list[Planned]:
    """Every training of the item, seed by seed."""
    grid, out = grid_of(scale), list[Planned]()
    for seed in seeds_of(scale):
        found = arms(scale.search(MODEL, DATASET, seed), grid.ratio, {arm: ARMS[arm] for arm in grid.arms})
        out += [Planned(arm, seed, spec) for arm, spec in found.items()]
    return out


def runs(scale: Scale) -> list[Spec]:
    """A dense search and its arms a seed; the search and EB Train are those of `early_bird`."""
    return [run.spec for run in planned(scale)]

"""Which runs the claims of the analysis plan need (docs/statistics.md), in the order of its queue. No torch."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ebreplicate.experiments.detector.runs import eb_train
from ebreplicate.experiments.table1.runs import LOW, searches
from ebreplicate.experiments.table2.runs import METHODS
from ebreplicate.specs.fields import Spec, need
from ebreplicate.specs.scale import Scale, Seeds, need_seeds
from ebreplicate.specs.spec import Retrain, Search, Ticket

ITEM = "early_bird"
DATASET = "cifar10"
MAIN, SECOND = "vgg16", "preresnet101"
"""The paper's networks: of all claims, and of the claim on a second network."""
FIRST, EARLY, FINAL = 1, (20, 40), 160
"""Draw epochs, as the paper's: too early, early (12.5 and 25 % of training), and the last."""
DENSE, MASK_ONLY, EB_TRAIN = "dense", "final mask on early weights", "EB Train"
RANDOM, REINIT, SNIP, LOTTERY = "Random channels", "EB Train (re-init)", "SNIP", "LT (one-shot)"
CONTROLS = (SNIP, LOTTERY, RANDOM, REINIT)


@dataclass(frozen=True)
class Grid(Spec):
    """`seeds`: of the core, which most claims share; `few`: of the arms of one claim alone. `ratios`: of the core;
    `ratio`: of the other arms, one of them. `first_planned`: number of the core's seeds before the plan's rule on hours
    took some away; 0: it took none."""

    seeds: Seeds
    few: Seeds
    ratios: tuple[float, ...]
    ratio: float
    first_planned: int = 0

    def _validate(self) -> None:
        need_seeds(self.seeds, "Grid.seeds")
        need_seeds(self.few, "Grid.few")
        need(self.ratio in self.ratios, "Grid.ratio", f"must be one of {list(self.ratios)}, got {self.ratio}")


class Planned(NamedTuple):
    """One run and the arm it belongs to; `ratio` is 0 for dense networks."""

    model: str
    ratio: float
    arm: str
    seed: int
    spec: Spec


def grid_of(scale: Scale) -> Grid:
    """The item's settings at `scale`."""
    found: Grid = scale.grid(ITEM, Grid)
    return found


def seeds_of(scale: Scale, model: str = MAIN) -> tuple[int, ...]:
    """Seeds of the core."""
    return scale.seeds_for(model, grid_of(scale).seeds)


def few_of(scale: Scale, model: str = MAIN) -> tuple[int, ...]:
    """Seeds of the arms of one claim alone."""
    return scale.seeds_for(model, grid_of(scale).few)


DRAW = re.compile(r"draw (?P<epoch>\d+)(?P<rate>, low rate)?")
"""Arms that `draw_name` names."""


def draw_name(epoch: int, low: bool = False) -> str:
    """Arm of the tickets drawn at the paper's `epoch`; `low`: from the search at a tenth of the rate."""
    return f"draw {epoch}" + (", low rate" if low else "")


def _as_drawn(scale: Scale, search: Search, ratio: float, epoch: int) -> Retrain:
    return Retrain(Ticket(search, ratio, scale.epoch(epoch)), scale.retrain_recipe, precision=scale.precision)


def _mask_only(scale: Scale, search: Search, ratio: float) -> Retrain:
    """The final mask on the weights of the first early draw: what the mask alone is worth."""
    last, early = Ticket(search, ratio, "final"), scale.epoch(EARLY[0])
    return Retrain(last, scale.retrain_recipe, init="rewind", rewind=early, precision=scale.precision)


def _core(scale: Scale, seed: int) -> Iterator[Planned]:
    search = scale.search(MAIN, DATASET, seed)
    yield Planned(MAIN, 0.0, DENSE, seed, search)
    for ratio in grid_of(scale).ratios:
        for epoch in (*EARLY, FINAL):
            yield Planned(MAIN, ratio, draw_name(epoch), seed, _as_drawn(scale, search, ratio, epoch))
        yield Planned(MAIN, ratio, MASK_ONLY, seed, _mask_only(scale, search, ratio))
        yield Planned(MAIN, ratio, EB_TRAIN, seed, eb_train(scale, DATASET, MAIN, ratio, seed))


def _first_draw(scale: Scale, seed: int) -> Iterator[Planned]:
    search = scale.search(MAIN, DATASET, seed)
    for ratio in grid_of(scale).ratios:
        yield Planned(MAIN, ratio, draw_name(FIRST), seed, _as_drawn(scale, search, ratio, FIRST))


def _controls(scale: Scale, seed: int) -> Iterator[Planned]:
    ratio = grid_of(scale).ratio
    for name in CONTROLS:
        yield Planned(MAIN, ratio, name, seed, METHODS[name](scale, DATASET, MAIN, ratio, seed))


def _low_rate(scale: Scale, seed: int) -> Iterator[Planned]:
    search, ratio = searches(scale, DATASET, MAIN, seed)[LOW], grid_of(scale).ratio
    for epoch in EARLY:
        yield Planned(MAIN, ratio, draw_name(epoch, low=True), seed, _as_drawn(scale, search, ratio, epoch))


def _second_network(scale: Scale, seed: int) -> Iterator[Planned]:
    search, ratio = scale.search(SECOND, DATASET, seed), grid_of(scale).ratio
    yield Planned(SECOND, 0.0, DENSE, seed, search)
    for epoch in (FIRST, EARLY[0], FINAL):
        yield Planned(SECOND, ratio, draw_name(epoch), seed, _as_drawn(scale, search, ratio, epoch))


def planned(scale: Scale) -> list[Planned]:
    """Every run, in the order of the queue: the core and the first draw seed by seed (A, B), then C, D and E."""
    out, few = list[Planned](), few_of(scale)
    for seed in seeds_of(scale):
        out += _core(scale, seed)
        out += _first_draw(scale, seed) if seed in few else ()
    for arms in (_controls, _low_rate):
        out += [run for seed in few for run in arms(scale, seed)]
    return out + [run for seed in few_of(scale, SECOND) for run in _second_network(scale, seed)]


def runs(scale: Scale) -> list[Spec]:
    """The runs of the queue, in its order; Figure 1, Figure 3, both tables and the detector study share them."""
    return [run.spec for run in planned(scale)]

"""Runs of Table 1: retrains of tickets from two searches. No torch."""

from dataclasses import dataclass

from ebreplicate.experiments.common.panels import panels
from ebreplicate.specs.fields import Spec
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Retrain, Search, Ticket

RATIO = 0.5
HIGH, LOW = "[80,120]", "[0,100]"


@dataclass(frozen=True)
class Grid(Spec):
    """`seeds`: how many of the scale's seeds; `draws`: the paper's draws, by name."""

    seeds: int
    draws: tuple[str, ...]


def grid(scale: Scale) -> Grid:
    """This table's part of the scale."""
    return scale.grid("table1_schedules", Grid)


def seeds_of(scale: Scale) -> tuple[int, ...]:
    """Seeds this table runs."""
    return scale.seeds[: grid(scale).seeds]


def searches(scale: Scale, dataset: str, model: str, seed: int) -> dict[str, Search]:
    """The search of each schedule; the first is Figure 1's."""
    low = scale.low_lr(scale.recipe)
    evaluation = scale.evaluation(dataset)
    return {
        HIGH: scale.search(model, dataset, seed),
        LOW: scale.search(model, dataset, seed, low, evaluation=evaluation),
    }


def retrains(scale: Scale, dataset: str, model: str, seed: int) -> dict[tuple[str, str], Retrain]:
    """Retrains by (schedule of the search, draw); every retrain uses the same recipe, so only the ticket differs."""
    return {
        (schedule, draw): Retrain(
            ticket=Ticket(search, RATIO, "final" if draw == "final" else scale.epoch(int(draw))),
            recipe=scale.retrain_recipe,
            precision=scale.precision,
        )
        for schedule, search in searches(scale, dataset, model, seed).items()
        for draw in grid(scale).draws
    }


def runs(scale: Scale) -> list[Spec]:
    """The [80,120] half is shared with Figure 1."""
    return [
        spec
        for seed in seeds_of(scale)
        for dataset, model in panels(scale)
        for spec in retrains(scale, dataset, model, seed).values()
    ]

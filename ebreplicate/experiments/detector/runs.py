"""Runs of the detector study: retrains of tickets drawn where the detector fires. No torch."""

from dataclasses import dataclass

from ebreplicate.experiments.common.panels import panels
from ebreplicate.experiments.fig1.runs import ratios_of
from ebreplicate.specs.fields import Spec
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Retrain, Ticket

RULES = {
    "authors": "authors' code: newest of 5 masks against each older one",
    "consecutive": "README: last 5 distances between consecutive epochs",
    "no-init": "authors' rule without the untrained mask",
}


@dataclass(frozen=True)
class Grid(Spec):
    """`at_emergence`: whether tickets drawn where the detector fires are retrained in full, beside EB Train."""

    at_emergence: bool


def emergence_retrain(scale: Scale, dataset: str, model: str, ratio: float, seed: int) -> Retrain:
    """The ticket drawn where the authors' detector fires, retrained."""
    search = scale.search(model, dataset, seed)
    return Retrain(Ticket(search, ratio, "eb"), scale.retrain_recipe, precision=scale.precision)


def eb_train(scale: Scale, dataset: str, model: str, ratio: float, seed: int) -> Retrain:
    """EB Train as the paper runs it: from emergence on, the small network goes through the rest of the schedule."""
    search = scale.search(model, dataset, seed)
    return Retrain(Ticket(search, ratio, "eb"), scale.recipe, schedule="continue", precision=scale.precision)


def runs(scale: Scale) -> list[Spec]:
    """Retrains at emergence, whole and continuing; the grid of draws to compare with is Figure 1's."""
    whole = [emergence_retrain] if scale.grid("detector_study", Grid).at_emergence else []
    return [
        kind(scale, dataset, model, ratio, seed)
        for seed in scale.seeds
        for dataset, model in panels(scale)
        if seed in scale.seeds_for(model)
        for ratio in ratios_of(scale, dataset, model)
        for kind in (*whole, eb_train)
    ]

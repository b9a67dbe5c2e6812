"""Which runs the item when_to_prune needs: tickets where each indicator fires, and the draws of an oracle. No torch."""

from dataclasses import dataclass
from typing import Any

from ebreplicate.experiments.common.panels import panels
from ebreplicate.specs.fields import Spec, need
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Retrain, Ticket

METHODS = {"magnitude": "slimming", "taylor": "taylor"}
"""Importance of channels and the pruning method that ranks by it."""
INDICATORS = {"eb": "mask distance", "epi": "EPI"}
Series = tuple[str, str, float, str]
"""Dataset, model, ratio, importance."""


@dataclass(frozen=True)
class Grid(Spec):
    """`seeds`: how many of the scale's; 0: nothing is run. `taylor_draws`: draws, as the paper's epochs, among which
    Taylor's oracle is looked for (none: no oracle); `continue_too`: whether tickets also go on through the rest of the
    search's schedule."""

    seeds: int
    datasets: tuple[str, ...]
    ratios: tuple[float, ...]
    taylor_draws: tuple[int, ...]
    continue_too: bool

    def _validate(self) -> None:
        need(self.seeds >= 0, "Grid.seeds", f"must not be negative, got {self.seeds}")
        need(len(self.ratios) <= 4, "Grid.ratios", f"the figure has room for 4, got {len(self.ratios)}")


def grid_of(scale: Scale) -> Grid:
    """This item's part of the scale."""
    return scale.grid("when_to_prune", Grid)


def seeds_of(scale: Scale) -> tuple[int, ...]:
    """Seeds this item runs."""
    return scale.seeds[: grid_of(scale).seeds]


def panels_of(scale: Scale) -> list[tuple[str, str]]:
    """(dataset, model) of the panels this item runs."""
    return [(d, m) for d, m in panels(scale) if d in grid_of(scale).datasets]


def series(scale: Scale) -> list[Series]:
    """Everything that is compared within itself: panel, ratio and importance."""
    return [(d, m, r, i) for d, m in panels_of(scale) for r in grid_of(scale).ratios for i in METHODS]


def draws(scale: Scale, importance: str) -> list[str]:
    """Names of the draws the oracle chooses from: those of Figure 1 by magnitude, the grid's own by Taylor."""
    epochs = scale.draw_epochs if importance == "magnitude" else grid_of(scale).taylor_draws
    return [str(e) for e in epochs]


def retrains(scale: Scale, one: Series, seed: int) -> dict[tuple[str, str], Retrain]:
    """Retrains of a series by (draw, schedule): where each indicator fires, and the oracle's draws."""
    dataset, model, ratio, importance = one
    search, method = scale.search(model, dataset, seed), METHODS[importance]
    grid = {name: scale.epoch(int(name)) for name in draws(scale, importance)}
    out = {}
    places: dict[str, int | str] = {**{i: i for i in INDICATORS}, **grid}
    for name, at in places.items():
        ticket = Ticket(search=search, ratio=ratio, at=at, method=method)
        out[name, "full"] = Retrain(ticket, scale.retrain_recipe, precision=scale.precision)
        if name in INDICATORS and grid_of(scale).continue_too:
            out[name, "continue"] = Retrain(ticket, scale.recipe, schedule="continue", precision=scale.precision)
    return out


def where_of(one: Series) -> dict[str, Any]:
    """Columns of the table that select a series."""
    return dict(zip(("dataset", "model", "ratio", "importance"), one, strict=True))


def runs(scale: Scale) -> list[Spec]:
    """By magnitude all but the tickets at EPI are shared with Figure 1 and the detector study."""
    return [spec for s in seeds_of(scale) for one in series(scale) for spec in retrains(scale, one, s).values()]

"""Which runs Figure 2 needs: searches in every precision, and their tickets retrained in full precision. No torch."""

from dataclasses import dataclass
from typing import Any

from ebreplicate.experiments.fig1.runs import RATIOS
from ebreplicate.specs.fields import Spec, need, need_known
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import LOW_PRECISIONS, Retrain, Search, Ticket

FINAL = 160
NAMES = {"bfp8": "8-bit block floating point", "fp8": "FP8 (E4M3, E5M2)"}


@dataclass(frozen=True)
class Grid(Spec):
    """What is run at a scale; `draws` are the paper's epochs. `seeds`: how many of the scale's; 0: nothing is run."""

    datasets: tuple[str, ...]
    models: tuple[str, ...]
    ratios: tuple[float, ...]
    draws: tuple[int, ...]
    precisions: tuple[str, ...]
    seeds: int

    def _validate(self) -> None:
        need_known(self.precisions, LOW_PRECISIONS, "Grid.precisions")
        need(self.seeds >= 0, "Grid.seeds", f"must not be negative, got {self.seeds}")
        need(FINAL in self.draws, "Grid.draws", f"must hold the last epoch, {FINAL}, got {list(self.draws)}")

    def panels(self) -> list[tuple[str, str, tuple[float, ...]]]:
        """(dataset, model, ratios) of every panel."""
        return [(d, m, tuple(r for r in RATIOS[d, m] if r in self.ratios)) for d in self.datasets for m in self.models]


def grid_of(scale: Scale) -> Grid:
    """The item's section of the scale."""
    return scale.grid("fig2_low_precision", Grid)


def searches(scale: Scale, dataset: str, model: str, seed: int) -> dict[str, Search]:
    """Searches by precision; the first, in the scale's own precision, is Figure 1's."""
    low = {p: scale.search(model, dataset, seed, precision=p) for p in grid_of(scale).precisions}
    return {scale.precision: scale.search(model, dataset, seed)} | low


def tickets(scale: Scale, search: Search, ratios: tuple[float, ...]) -> dict[tuple[float, int], Ticket]:
    """Tickets of one search by (ratio, the paper's draw epoch)."""
    return {(r, d): Ticket(search, r, scale.epoch(d)) for r in ratios for d in grid_of(scale).draws}


def retrain(scale: Scale, ticket: Ticket) -> Retrain:
    """Every ticket is retrained alike, in the scale's own precision."""
    return Retrain(ticket=ticket, recipe=scale.retrain_recipe, precision=scale.precision)


def where_of(dataset: str, model: str, precision: str, ratio: float, draw: int) -> dict[str, Any]:
    """Columns of the table that select a point."""
    return {"dataset": dataset, "model": model, "precision": precision, "ratio": ratio, "draw": str(draw)}


def runs(scale: Scale) -> list[Spec]:
    """Searches and retrains of every precision; of further seeds, full-precision tickets for the yardstick."""
    grid, out = grid_of(scale), list[Spec]()
    for seed in scale.seeds[: grid.seeds]:
        for dataset, model, ratios in grid.panels():
            for search in searches(scale, dataset, model, seed).values():
                found = tickets(scale, search, ratios).values()
                out += [search, *(retrain(scale, t) for t in found)]
    for dataset, model, ratios in grid.panels():
        for seed in scale.seeds_for(model)[grid.seeds :] if grid.seeds else ():
            out += tickets(scale, scale.search(model, dataset, seed), ratios).values()
    return out

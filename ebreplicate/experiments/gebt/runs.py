"""Which runs the graph-ticket item needs: GEBT's Figures 1, 2b, 4 and 6. No torch."""

from collections.abc import Iterator
from dataclasses import dataclass

from ebreplicate.catalog import GRAPHS
from ebreplicate.specs.fields import Spec, need
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import GraphTickets

ITEM = "gebt"
TENTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Grid(Spec):
    """What this item runs at a scale: see workflow/config/items/gebt.yaml. Defaults are the paper's."""

    seeds: int
    graphs: tuple[str, ...]
    joint_graphs: tuple[str, ...]
    cost_graphs: tuple[str, ...]
    epochs: int = 100
    ratios: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)
    weight_ratios: tuple[float, ...] = (0.5, 0.7, 0.9)
    cost_ratios: tuple[float, ...] = (*TENTHS, 0.93)
    cost_weight_ratios: tuple[float, ...] = (0.6, 0.9)
    draws: tuple[int, ...] = (0, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100)
    early: tuple[int, ...] = (10, 20)
    late: int = 100
    random_graphs: int = 2

    def _validate(self) -> None:
        need(self.seeds >= 1, "Grid.seeds", f"must be at least 1, got {self.seeds}")
        for name in ("graphs", "joint_graphs", "cost_graphs"):
            for graph in getattr(self, name):
                need(graph in GRAPHS, f"Grid.{name}", f"{graph!r} is none of {', '.join(GRAPHS)}")
        compared = {*self.early, self.late} <= set(self.draws)
        need(compared, "Grid.draws", f"must hold the draws that are compared, {[*self.early, self.late]}")

    @property
    def all_graphs(self) -> list[str]:
        """Every graph, in the order it is run."""
        return list(dict.fromkeys((*self.graphs, *self.joint_graphs, *self.cost_graphs)))


def grid_of(scale: Scale) -> Grid:
    """The item's settings at `scale`."""
    return scale.grid(ITEM, Grid)


def planned(scale: Scale) -> list[GraphTickets]:
    """Every run of the item: graph by graph, seed by seed."""
    grid = grid_of(scale)
    return [run for graph in grid.all_graphs for seed in range(grid.seeds) for run in _of_seed(grid, graph, seed)]


def _of_seed(grid: Grid, graph: str, seed: int) -> Iterator[GraphTickets]:
    """The unpruned graph, graph tickets, joint tickets."""
    common = {"dataset": graph, "seed": seed, "epochs": grid.epochs}
    yield GraphTickets(**common)  # type: ignore[arg-type]
    drawn = grid.ratios if graph in grid.graphs else ()
    costs = grid.cost_ratios if graph in grid.cost_graphs else ()
    for ratio in sorted({*drawn, *costs}):
        draws = grid.draws if ratio in drawn else (grid.late,)
        yield GraphTickets(**common, p_graph=ratio, draws=draws, random_graphs=grid.random_graphs)  # type: ignore[arg-type]
    drawn = grid.ratios if graph in grid.joint_graphs else ()
    pairs = {(p, q) for p in drawn for q in grid.weight_ratios} | {
        (p, q) for p in costs for q in grid.cost_weight_ratios
    }
    for ratio, weight_ratio in sorted(pairs, key=lambda pair: (pair[1], pair[0])):
        draws = grid.draws if ratio in drawn and weight_ratio in grid.weight_ratios else ()
        yield GraphTickets(**common, p_graph=ratio, p_weight=weight_ratio, draws=draws)  # type: ignore[arg-type]


def runs(scale: Scale) -> list[Spec]:
    """One run a graph, seed and pair of ratios; the four items share them."""
    return [*planned(scale)]

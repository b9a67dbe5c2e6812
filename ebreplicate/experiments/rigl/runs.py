"""Runs of the RigL family: a dense network and the sparse series. No torch."""

from dataclasses import dataclass

from ebreplicate.specs.fields import Spec, need, need_known
from ebreplicate.specs.scale import Scale, Seeds, need_seeds
from ebreplicate.specs.spec import Recipe, Search, Sparse

DATASET = "cifar10"

Series = tuple[str, str, bool]
"""Method, distribution, whether the training is extended."""

SERIES = (
    ("small-dense", "uniform", False),
    ("static", "uniform", False),
    ("static", "erk-kernel", False),
    ("snip", "uniform", False),
    ("set", "uniform", False),
    ("set", "erk-kernel", False),
    ("snfs", "uniform", False),
    ("snfs", "erk-kernel", False),
    ("rigl", "uniform", False),
    ("rigl", "erk", False),
    ("rigl", "erk-kernel", False),
    ("gmp", "uniform", False),
    ("static", "uniform", True),
    ("rigl", "uniform", True),
    ("rigl", "erk-kernel", True),
)
"""(method, distribution, extended training). Small-dense counts the uniform network's parameters; SNIP has none."""

NAMES = {f"{m} {d}" + " longer" * more: (m, d, more) for m, d, more in SERIES}
"""Series by the name that they have in the settings."""
PRINTED = {
    ("small-dense", "uniform", False): "Small-Dense",
    ("static", "uniform", False): "Static",
    ("set", "uniform", False): "SET",
    ("rigl", "uniform", False): "RigL",
    ("set", "erk-kernel", False): "SET ERK",
    ("rigl", "erk-kernel", False): "RigL ERK",
    ("gmp", "uniform", False): "Pruning",
    ("rigl", "uniform", True): "RigL 2x",
    ("rigl", "erk-kernel", True): "RigL 2x ERK",
}
"""Names in the reproducibility report (arXiv 2103.15767), WRN-22-2 at 80 % sparsity."""


@dataclass(frozen=True)
class Grid(Spec):
    """What this item runs at a scale (workflow/config/items/rigl_family.yaml)."""

    models: tuple[str, ...]
    sparsities: tuple[float, ...]
    seeds: Seeds
    interval: int
    gmp_interval: int
    longer: float
    recipe: Recipe
    series: tuple[str, ...] = ()

    def _validate(self) -> None:
        need_known(self.series, NAMES, "Grid.series")
        need(bool(self.models), "Grid.models", "names no network")
        need(bool(self.sparsities), "Grid.sparsities", "is empty")
        need_seeds(self.seeds, "Grid.seeds")
        need(self.longer > 1, "Grid.longer", f"must exceed 1, got {self.longer}")

    def chosen(self) -> tuple[Series, ...]:
        """The series that this item trains."""
        return tuple(NAMES[name] for name in self.series) or SERIES


def grid_of(scale: Scale) -> Grid:
    """The item's settings at `scale`."""
    return scale.grid("rigl_family", Grid)


def dense_run(scale: Scale, grid: Grid, model: str, seed: int) -> Search:
    """The dense network, trained by the same recipe."""
    return scale.search(model, DATASET, seed, grid.recipe)


def sparse_runs(
    scale: Scale, grid: Grid, model: str, seed: int, sparsity: float, dataset: str = DATASET
) -> dict[Series, Sparse]:
    """One sparse training a series of `SERIES`, whether or not the item trains it."""
    return {
        (method, distribution, longer): scale.sparse(
            model,
            dataset,
            seed,
            grid.recipe,
            method=method,
            sparsity=sparsity,
            distribution=distribution,
            interval=grid.gmp_interval if method == "gmp" else grid.interval,
            multiplier=grid.longer if longer else 1.0,
        )
        for method, distribution, longer in SERIES
    }


def runs(scale: Scale) -> list[Spec]:
    """Seed by seed: the dense network and every series at every sparsity."""
    grid = grid_of(scale)
    out: list[Spec] = []
    for seed in scale.chosen(grid.seeds):
        for model in grid.models:
            out.append(dense_run(scale, grid, model, seed))
            for sparsity in grid.sparsities:
                found = sparse_runs(scale, grid, model, seed, sparsity)
                out += [found[series] for series in grid.chosen()]
    return out

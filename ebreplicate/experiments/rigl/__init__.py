"""Sparse training from scratch: RigL beside static, SNIP, small-dense, SET, SNFS and gradual pruning."""

import math
from dataclasses import dataclass
from typing import Any

from ebreplicate import published
from ebreplicate.errors import unknown
from ebreplicate.experiments.common.experiment import NOT_RUN, Cell, Claim, Experiment
from ebreplicate.experiments.common.rows import accuracies, by_seed, interval
from ebreplicate.experiments.common.stats import accuracy_margin
from ebreplicate.experiments.rigl.claims import all_claims
from ebreplicate.specs.fields import need
from ebreplicate.specs.scale import Scale, Seeds, need_seeds
from ebreplicate.specs.spec import Recipe, Search, Sparse, Spec, key

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
        for name in self.series:
            if name not in NAMES:
                raise unknown("Grid.series", name, NAMES)
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


class RigLFamily(Experiment):
    """Networks x sparsities x 15 series, and the dense network."""

    def runs(self, scale: Scale) -> list[Spec]:
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

    def table(self, scale: Scale, store: Any) -> Any:
        """One row a run; the dense network is the method "dense" at sparsity 0."""
        import pandas as pd

        grid, rows = grid_of(scale), []
        for model in grid.models:
            for seed in scale.chosen(grid.seeds):
                names = {"model": model, "dataset": DATASET, "seed": seed}
                dense = dense_run(scale, grid, model, seed)
                more = {"method": "dense", "distribution": "", "longer": False, "sparsity": 0.0}
                rows.append(run_row(dense, store, store.read(dense), **names, **more))
                for sparsity in grid.sparsities:
                    found = sparse_runs(scale, grid, model, seed, sparsity)
                    for method, spread, longer in grid.chosen():
                        more = {"method": method, "distribution": spread, "longer": longer, "sparsity": sparsity}
                        spec = found[method, spread, longer]
                        rows.append(run_row(spec, store, store.read(dense), **names, **more))
        return pd.DataFrame(rows).reindex(columns=COLUMNS)

    def figure(self, scale: Scale, table: Any) -> Any:
        """Accuracy against sparsity and against training FLOPs, a row a network."""
        from ebreplicate.experiments.rigl.plot import draw

        return draw(scale, grid_of(scale), table)

    def cells(self, scale: Scale, table: Any) -> list[Cell]:
        """WRN-22-2 at 80 % beside the reproducibility report."""
        return _accuracy_cells(table)

    def claims(self, scale: Scale, table: Any) -> list[Claim]:
        """RigL over SET over static, ERK over uniform, longer training, nearness to dense and to pruning."""
        return all_claims(scale, table)


COLUMNS = ["model", "dataset", "method", "distribution", "longer", "sparsity", "seed", "status", "last_accuracy"]
COLUMNS += ["best_accuracy", "reached_sparsity", "mask_updates", "relative_training", "relative_inference"]
COLUMNS += ["training_flops", "seconds", "key"]


def run_row(spec: Search | Sparse, store: Any, dense: dict[str, Any] | None, **names: Any) -> dict[str, Any]:
    """Table row of a run; costs relative to the dense network trained once."""
    record = store.read(spec)
    row = {**names, "key": key(spec), "status": record["status"] if record else NOT_RUN}
    if record is None:
        return row
    metrics, cost = record["metrics"], record["cost"]
    row |= accuracies(record) | {"training_flops": cost["training_flops"]["authors"], "seconds": cost["seconds"]}
    row |= {"reached_sparsity": metrics.get("sparsity", 0.0), "mask_updates": metrics.get("mask_updates", 0)}
    if dense is not None:
        row["relative_training"] = row["training_flops"] / dense["cost"]["training_flops"]["authors"]
    inference = cost.get("relative_forward", {})
    return row | {"relative_inference": inference.get("authors", 1.0)}


def _accuracy_cells(table: Any) -> list[Cell]:
    dense = published.read("rigl_paper_tables")
    dense = dense[(dense.model == "WRN-22-2") & (dense.method == "Dense")].iloc[0]
    rows = published.read("rigl_repro_and_quotes")
    rows = rows[rows.item == "RigL reproducibility report"].set_index("method")
    out = [
        Cell(
            "WRN-22-2 CIFAR-10: dense",
            float(dense.value),
            interval(by_seed(table, model="wideresnet22x2", method="dense")),
            "%",
            f"{dense.item}, {dense.source}",
            "last epoch",
            accuracy_margin(float(dense.value), 10_000),
        )
    ]
    for (method, distribution, longer), name in PRINTED.items():
        row = rows.loc[name]
        where = {"model": "wideresnet22x2", "method": method, "distribution": distribution, "longer": longer}
        spread = float(row.uncertainty) if math.isfinite(row.uncertainty) else 0.0
        out.append(
            Cell(
                f"WRN-22-2 CIFAR-10, sparsity 0.8: {name}",
                float(row.value),
                interval(by_seed(table, sparsity=float(row.prune_ratio), **where)),
                "%",
                f"{row.item}, {row.source}",
                "last epoch",
                accuracy_margin(float(row.value), 10_000) + spread,
                note=f"printed +-{spread:g}; our recipe is that of RigL's CIFAR code",
            )
        )
    return out


EXPERIMENT = RigLFamily(
    item="rigl_family",
    title="RigL and its family: sparse training from scratch",
    category="Beyond the paper",
    caption=(
        "Instead of training a dense network and pruning it, these methods train a network that is sparse from the "
        "first step. Static masks never change; SET, SNFS and RigL move weights to better places while training; "
        "gradual pruning starts dense. Left: accuracy against the fraction of zero weights. Right: accuracy against "
        "training FLOPs relative to the dense network."
    ),
)

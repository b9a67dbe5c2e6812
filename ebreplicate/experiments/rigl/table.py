"""Table of the RigL family, from the records of its runs."""

from typing import Any

import pandas as pd

from ebreplicate.experiments.common.experiment import NOT_RUN
from ebreplicate.experiments.common.rows import accuracies
from ebreplicate.experiments.rigl.runs import DATASET, dense_run, grid_of, sparse_runs
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Search, Sparse, key
from ebreplicate.store.store import Store


def table(scale: Scale, store: Store) -> pd.DataFrame:
    """One row a run; the dense network is the method "dense" at sparsity 0."""
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


COLUMNS = ["model", "dataset", "method", "distribution", "longer", "sparsity", "seed", "status", "last_accuracy"]
COLUMNS += ["best_accuracy", "reached_sparsity", "mask_updates", "relative_training", "relative_inference"]
COLUMNS += ["training_flops", "seconds", "key"]


def run_row(spec: Search | Sparse, store: Store, dense: dict[str, Any] | None, **names: Any) -> dict[str, Any]:
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

"""Table of the RigL family on ImageNet, from the records of its runs."""

from typing import Any

import pandas as pd

from ebreplicate.experiments.rigl.table import run_row
from ebreplicate.experiments.rigl_imagenet.runs import DATASET, dense_run, planned
from ebreplicate.specs.scale import Scale
from ebreplicate.store.store import Store

COLUMNS = ["model", "dataset", "method", "distribution", "sparsity", "multiplier", "smoothing", "width", "seed"]
COLUMNS += ["status", "last_accuracy", "best_accuracy", "reached_sparsity", "mask_updates", "relative_training"]
COLUMNS += ["relative_inference", "training_flops", "seconds", "key"]


def table(scale: Scale, store: Store) -> pd.DataFrame:
    """One row a run; the dense network is the method "dense" at sparsity 0."""
    rows = []
    for model, point, seed, spec in planned(scale):
        names: dict[str, Any] = {"model": model, "dataset": DATASET, "seed": seed}
        dense = {"method": "dense", "sparsity": 0.0, "multiplier": 1.0, "smoothing": True, "width": 1.0}
        names |= dense if point is None else point._asdict()
        rows.append(run_row(spec, store, store.read(dense_run(scale, model, seed)), **names))
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    table["multiplier"] = table.multiplier.astype(float)
    return table

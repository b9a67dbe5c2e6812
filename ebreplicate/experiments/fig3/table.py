"""Table of Figure 3, from the records of its runs."""

import math
from typing import Any

import pandas as pd

from ebreplicate.experiments.common.experiment import NOT_RUN
from ebreplicate.experiments.fig3.runs import MODELS, RATIOS, dataset_of
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import key
from ebreplicate.store.store import Store


def table(scale: Scale, store: Store) -> pd.DataFrame:
    """Curves of every seed, and for the first seed the matrix: columns d1 ... dE, one row an epoch."""
    rows = []
    for model in MODELS:
        for seed in scale.seeds_for(model):
            dataset = dataset_of(scale)
            spec = scale.search(model, dataset, seed)
            names = {"model": model, "dataset": dataset, "seed": seed, "key": key(spec)}
            record = store.read(spec)
            if record is None or record["status"] != "ok":
                rows.append({**names, "status": record["status"] if record else NOT_RUN})
                continue
            for ratio in RATIOS:
                first = seed == scale.seeds[0]
                rows += [{**names, "status": "ok", **row} for row in _curves(spec, store, ratio, matrix=first)]
    columns = ["model", "dataset", "ratio", "seed", "epoch", "emergence", "to_final", "to_previous", "max_to_4"]
    columns += ["status", "key", *(f"d{e}" for e in range(1, scale.recipe.epochs + 1))]
    return pd.DataFrame(rows).reindex(columns=columns)


def _curves(spec: Any, store: Store, ratio: float, matrix: bool) -> list[dict[str, Any]]:
    """Rows of one search and ratio, one per epoch."""
    from ebreplicate.pruning.earlybird import emergence_epoch
    from ebreplicate.pruning.masks import distance_matrix, epoch_masks
    from ebreplicate.runner.inputs import load_scores

    scores = load_scores(spec, store)
    distances = distance_matrix(epoch_masks(scores[1:], ratio)).numpy().round(4)
    emergence = emergence_epoch(scores, ratio)
    rows = []
    for e, row in enumerate(distances):
        rows.append(
            {
                "ratio": ratio,
                "epoch": e + 1,
                "emergence": emergence,
                "to_final": row[-1],
                "to_previous": row[e - 1] if e else math.nan,
                "max_to_4": row[max(0, e - 4) : e].max() if e else math.nan,
            }
            | ({f"d{i + 1}": d for i, d in enumerate(row)} if matrix else {})
        )
    return rows

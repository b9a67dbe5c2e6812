"""Table of Table 1, from the records of its runs."""

from typing import Any

from ebreplicate.experiments.common.panels import panels
from ebreplicate.experiments.common.rows import retrain_row, search_row, tidy
from ebreplicate.experiments.table1.runs import retrains, searches, seeds_of
from ebreplicate.specs.scale import Scale


def table(scale: Scale, store: Any) -> Any:
    """One row a retrain and one a search (draw "dense")."""
    rows = []
    for dataset, model in panels(scale):
        for seed in seeds_of(scale):
            names = {"model": model, "dataset": dataset}
            for schedule, search in searches(scale, dataset, model, seed).items():
                rows.append(search_row(search, store, draw="dense", schedule=schedule, **names))
            for (schedule, draw), spec in retrains(scale, dataset, model, seed).items():
                rows.append(retrain_row(spec, store, draw=draw, schedule=schedule, **names))
    return tidy(rows)

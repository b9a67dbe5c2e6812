"""Table of Table 1, from the records of its runs."""

import pandas as pd

from ebreplicate.experiments.common.panels import panels
from ebreplicate.experiments.common.rows import retrain_row, search_row, tidy
from ebreplicate.experiments.table1.runs import retrains, searches, seeds_of
from ebreplicate.specs.scale import Scale
from ebreplicate.store.store import Store


def table(scale: Scale, store: Store) -> pd.DataFrame:
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

"""Table of Figure 1, from the records of its runs."""

import pandas as pd

from ebreplicate.experiments.common.panels import panels
from ebreplicate.experiments.common.rows import retrain_row, search_row, tidy
from ebreplicate.experiments.fig1.runs import retrains, seeds_of
from ebreplicate.specs.scale import Scale
from ebreplicate.store.store import Store


def table(scale: Scale, store: Store) -> pd.DataFrame:
    """One row a run: the dense baseline (draw "dense") and every retrain."""
    rows = []
    for dataset, model in panels(scale):
        for seed in seeds_of(scale, model):
            names = {"model": model, "dataset": dataset}
            rows.append(search_row(scale.search(model, dataset, seed), store, draw="dense", **names))
            for (_, draw), spec in retrains(scale, dataset, model, seed).items():
                rows.append(retrain_row(spec, store, draw=draw, schedule="[80,120]", **names))
    return tidy(rows)

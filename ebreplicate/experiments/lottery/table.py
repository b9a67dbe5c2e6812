"""Table of the lottery tickets, from the records of its runs."""

from collections.abc import Collection
from typing import Any

import pandas as pd

from ebreplicate.experiments.common.rows import retrain_row, search_row
from ebreplicate.experiments.lottery.runs import DATASET, DEEP, SMALL, Planned, planned
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Search
from ebreplicate.store.store import Store

COLUMNS = [
    "model",
    "dataset",
    "setting",
    "series",
    "round",
    "seed",
    "remaining",
    "status",
    "last_accuracy",
    "best_accuracy",
    "early_stop_accuracy",
    "early_stop_iteration",
    "training_flops",
    "seconds",
    "search_epochs",
    "key",
]


def _row(run: Planned, store: Store) -> dict[str, Any]:
    """Table row of a run: its accuracies and cost, the share of weights left, and where early stopping would be."""
    names: dict[str, Any] = {"model": run.model, "dataset": DATASET[run.model], "setting": run.setting}
    names |= {"series": run.series, "round": run.round}
    remaining: float | None = 1.0
    if isinstance(run.spec, Search):
        row, search = search_row(run.spec, store, **names), run.spec
    else:
        row, search = retrain_row(run.spec, store, **names), run.spec.ticket.search
        drawn = store.read(run.spec.ticket)
        remaining = drawn["metrics"].get("remaining_fraction") if drawn else None
    record = store.read(run.spec)
    stop = record["metrics"] if record is not None and record["status"] == "ok" else {}
    steps = -(-search.train_images // search.recipe.batch_size)
    epoch = stop.get("early_stop_epoch")
    return {
        **row,
        "remaining": remaining,
        "early_stop_accuracy": stop.get("early_stop_accuracy"),
        "early_stop_iteration": stop.get("early_stop_iteration", None if epoch is None else epoch * steps),
    }


def table(scale: Scale, store: Store, models: Collection[str] = (*SMALL, *DEEP)) -> Any:
    """One row a run; round 0 is the dense network."""
    return pd.DataFrame([_row(run, store) for run in planned(scale, models)]).reindex(columns=COLUMNS)

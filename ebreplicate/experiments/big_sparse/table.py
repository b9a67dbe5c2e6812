"""Records to the table: a row a training."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from ebreplicate.experiments.big_sparse.runs import planned
from ebreplicate.experiments.common.arms import Planned
from ebreplicate.experiments.common.experiment import NOT_RUN
from ebreplicate.experiments.common.rows import accuracies
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import key

if TYPE_CHECKING:
    from ebreplicate.store.store import Store

COLUMNS = ["arm", "seed", "status", "last_accuracy", "best_accuracy", "nonzero", "training_flops", "seconds", "key"]


def _row(run: Planned, store: "Store") -> dict[str, Any]:
    names = {"arm": run.arm, "seed": run.seed, "key": key(run.spec)}
    record = store.read(run.spec)
    if record is None:
        return {**names, "status": NOT_RUN}
    cost = {"training_flops": record["cost"]["training_flops"]["authors"], "seconds": record["cost"]["seconds"]}
    found = {"status": record["status"], "nonzero": record["metrics"].get("nnz")}
    return {**names, **found, **accuracies(record), **cost}


def table(scale: Scale, store: "Store") -> pd.DataFrame:
    """One row a training; a training that is missing has the status "not run"."""
    return pd.DataFrame([_row(run, store) for run in planned(scale)]).reindex(columns=COLUMNS)

"""Table of accuracy against training FLOPs, from the records of its runs."""

from typing import Any

import pandas as pd

from ebreplicate.experiments.accuracy_vs_flops.runs import Planned, crop_trainings, lottery_tickets, sparse_trainings
from ebreplicate.experiments.common.experiment import NOT_RUN
from ebreplicate.experiments.common.rows import accuracies
from ebreplicate.experiments.table2 import table as table2
from ebreplicate.experiments.table2.runs import IMPROVEMENT
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Sparse, key
from ebreplicate.store.store import Store

COLUMNS = ["model", "dataset", "method", "group", "ratio", "seed", "status", "last_accuracy", "best_accuracy"]
COLUMNS += ["unseen_accuracy", "training_flops", "flops_ratio", "key"]


def table(scale: Scale, store: Store) -> pd.DataFrame:
    """Table 2's rows, accuracy and cost only, and those of the other methods."""
    whole = table2.table(scale, store)
    rows = [_row(run, store, "sparse") for run in sparse_trainings(scale)]
    rows += [_row(run, store, "lottery") for run in lottery_tickets(scale)]
    rows += [_row(run, store, "crop") for run in crop_trainings(scale)]
    parts = [whole[whole.method != IMPROVEMENT], pd.DataFrame(rows)]
    return pd.concat([p.reindex(columns=COLUMNS) for p in parts if len(p)], ignore_index=True)


def _row(run: Planned, store: Store, group: str) -> dict[str, Any]:
    """Accuracy and cost of a run. A sparse training's FLOPs are those of its non-zero weights, relative to the dense
    network trained once by its recipe; a ticket pays for the search up to its draw, an iterative one for each round."""
    row = {**run._asdict(), "group": group, "key": key(run.spec)}
    spec, record = row.pop("spec"), store.read(run.spec)
    if record is None:
        return {**row, "status": NOT_RUN}
    cost = record["cost"]
    row |= {"status": record["status"], **accuracies(record)}
    row |= {"training_flops": cost.get("training_flops", {}).get("authors")}
    if isinstance(spec, Sparse):
        return row | {"flops_ratio": cost.get("relative_training", {}).get("authors")}
    search = store.read(spec.ticket.search)
    dense = search["cost"]["training_flops"]["authors"] if search else None
    return row | ({"flops_ratio": row["training_flops"] / dense} if dense and row["training_flops"] else {})

"""Records to the table: a row an adaption, and a row a claim and seed with its difference over all tasks."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from ebreplicate.experiments.common import compared
from ebreplicate.experiments.common.experiment import NOT_RUN
from ebreplicate.experiments.common.rows import accuracies
from ebreplicate.experiments.kernel_masks.claims import COMPARED
from ebreplicate.experiments.kernel_masks.runs import Planned, planned
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import key

if TYPE_CHECKING:
    from ebreplicate.store.store import Store

STORED = ["mask_entries", "mask_zeros", "mask_bits", "task_bits"]
COLUMNS = ["arm", "task", "seed", "status", "last_accuracy", "best_accuracy", "unseen_accuracy", *STORED]
COLUMNS += ["training_flops", "seconds", "claim", "images", "difference", "image_count", "products", "key"]


def table(scale: Scale, store: "Store") -> pd.DataFrame:
    """One row an adaption, and a contrast and seed."""
    rows = [_row(run, store) for run in planned(scale)]
    return pd.DataFrame([*rows, *compared.rows(COMPARED, rows, store)]).reindex(columns=COLUMNS)


def _row(run: Planned, store: "Store") -> dict[str, Any]:
    row, record = {**run._asdict(), "key": key(run.spec), "status": NOT_RUN}, store.read(run.spec)
    if record is None:
        return row
    row |= {name: record["metrics"].get(name) for name in (*STORED, "unseen_images")}
    row |= {"training_flops": record["cost"]["training_flops"]["authors"], "seconds": record["cost"]["seconds"]}
    return row | {"status": record["status"], **accuracies(record)}

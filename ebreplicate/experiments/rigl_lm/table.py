"""Records to the table: a row a training, and a row an epoch of it."""

import csv
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from ebreplicate.experiments.common.arms import Planned
from ebreplicate.experiments.common.experiment import NOT_RUN
from ebreplicate.experiments.rigl_lm.runs import grid_of, planned
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import key

if TYPE_CHECKING:
    from ebreplicate.store.store import Store

RUN, EPOCH = "run", "epoch"
"""Kinds of rows."""
COLUMNS = ["kind", "arm", "seed", "status", "step", "bits", "accuracy", "nonzero", "mask_updates", "text"]
COLUMNS += ["unconnected_state", "unconnected_readout", "training_flops", "seconds", "key"]


def _rows(run: Planned, steps: int, store: "Store") -> Iterator[dict[str, Any]]:
    names = {"arm": run.arm, "seed": run.seed, "key": key(run.spec)}
    record = store.read(run.spec)
    if record is None:
        yield {"kind": RUN, **names, "status": NOT_RUN}
        return
    metrics, cost, names = record["metrics"], record["cost"], names | {"status": record["status"]}
    lost = metrics.get("unconnected_outputs")  # none of a dense training, and of those before it was recorded
    yield {
        "kind": RUN,
        **names,
        "step": steps * metrics["epochs"],
        "bits": metrics.get("bits"),  # none of a training that diverged
        "accuracy": metrics["last_accuracy"],
        "nonzero": metrics.get("nnz"),
        "mask_updates": metrics.get("mask_updates"),
        "unconnected_state": lost["recurrent"] if lost else None,
        "unconnected_readout": lost["readout.0"] + lost["readout.2"] if lost else None,
        "text": record["provenance"].get("text", {}).get("sha256", "")[:10],
        "training_flops": cost["training_flops"]["authors"],
        "seconds": cost["seconds"],
    }
    history = store.folder(run.spec) / "history.csv"
    if history.is_file():
        with history.open(newline="") as file:
            for row in csv.DictReader(file):
                bits = float(row["test_loss"]) / math.log(2)
                yield {"kind": EPOCH, **names, "step": steps * int(float(row["epoch"])), "bits": bits}


def table(scale: Scale, store: "Store") -> pd.DataFrame:
    """One row a training, then one an epoch; a training that is missing has the status "not run"."""
    steps = grid_of(scale).steps
    return pd.DataFrame([row for run in planned(scale) for row in _rows(run, steps, store)], columns=COLUMNS)

"""What a stage saves after it has computed: arrays, and the record that says the run is finished."""

import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ebreplicate.files import atomic_write
from ebreplicate.specs.fields import Spec
from ebreplicate.store.store import Store
from ebreplicate.training import distributed
from ebreplicate.training.loop import State
from ebreplicate.training.provenance import provenance


def save_record(
    spec: Spec,
    store: Store,
    status: str,
    metrics: dict[str, Any],
    cost: dict[str, Any],
    started: float,
    device: torch.device | None = None,
    history: Iterable[dict[str, Any]] = (),
    evaluations: Iterable[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Write the record of a finished run, with where and when it was made, and return it.

    `started`: when the run began, seconds since 1970; `device`: what it trained on (default: the CPU); `history`: one
    row an epoch; `evaluations`: one row an evaluation on held-out images.
    """
    made = provenance(spec, device or torch.device("cpu"), started)
    record = {"status": status, "metrics": metrics, "cost": cost, "provenance": made}
    store.write(spec, record, history, evaluations)
    return record


def metrics_of(state: State) -> dict[str, Any]:
    """Last-epoch and best-epoch accuracy, both exact; best is selected on the test set, as the authors' code does.

    Early stopping is at the epoch of minimum test loss (the lottery-ticket paper's criterion, on its validation set);
    `best_top5` is the top-5 accuracy of the epoch with the best top-1.
    """
    if not state.history:
        return {"epochs": 0, "last_accuracy": None, "best_accuracy": None, "best_epoch": None, "last_train_loss": None}
    best = max(state.history, key=lambda row: row["test_accuracy"])
    finite = [row for row in state.history if math.isfinite(row["test_loss"])]
    stop = min(finite or state.history[:1], key=lambda row: row["test_loss"])
    last = state.history[-1]
    loss = last["train_loss"]
    return {
        "epochs": len(state.history),
        "last_accuracy": last["test_accuracy"],
        "best_accuracy": best["test_accuracy"],
        "best_epoch": int(best["epoch"]),
        "early_stop_accuracy": stop["test_accuracy"],
        "early_stop_epoch": int(stop["epoch"]),
        "last_top5": last.get("test_top5"),
        "best_top5": best.get("test_top5"),
        "last_train_loss": loss if math.isfinite(loss) else None,
    }


def status_of(state: State) -> str:
    """ "ok", or "diverged" where the loss was not finite or training stopped early."""
    finite = all(math.isfinite(row["train_loss"]) for row in state.history)
    return "ok" if finite and state.epoch == state.recipe.epochs else "diverged"


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an array of any shape, atomically; of several processes, the first does."""
    if not distributed.leads():
        return
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    atomic_write(path, buffer.getvalue())

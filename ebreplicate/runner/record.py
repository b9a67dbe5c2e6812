"""What a stage saves after it has computed: arrays, and the record that says the run is finished."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ebreplicate.files import atomic_write
from ebreplicate.specs.fields import Spec
from ebreplicate.store.store import Store
from ebreplicate.training import distributed
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
    origin: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Write the record of a finished run, with where and when it was made, and return it.

    `started`: when the run began, seconds since 1970; `device`: what it trained on (default: the CPU); `history`: one
    row an epoch; `evaluations`: one row an evaluation on held-out images; `origin`: what the data say of themselves.
    """
    made = provenance(spec, device or torch.device("cpu"), started) | (origin or {})
    record = {"status": status, "metrics": metrics, "cost": cost, "provenance": made}
    store.write(spec, record, history, evaluations)
    return record


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an array of any shape, atomically; of several processes, the first does."""
    if not distributed.leads():
        return
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    atomic_write(path, buffer.getvalue())

"""Records to the table: one row a training."""

import math
from typing import Any

import pandas as pd

from ebreplicate.catalog import INFO
from ebreplicate.experiments.common.arms import Planned
from ebreplicate.experiments.common.experiment import NOT_RUN
from ebreplicate.experiments.common.rows import accuracies
from ebreplicate.experiments.rigl_mnist import costs
from ebreplicate.experiments.rigl_mnist.runs import DATASET, MODEL, planned
from ebreplicate.pruning.sizes import products, size_bytes
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Search, Sparse, key
from ebreplicate.store.store import Store

COLUMNS = ["arm", "model", "dataset", "seed", "status", "last_accuracy", "best_accuracy", "last_error", "best_error"]
COLUMNS += ["pixels", "hidden1", "hidden2", "stable_pixels", "stable_hidden1", "stable_hidden2", "weights", "nonzero"]
COLUMNS += ["stable_nonzero", "size_bytes", "inference_kflop", "training_gflop", "mask_updates"]
COLUMNS += ["central_start", "central_end", "connections_start", "connections_end", "training_flops", "seconds", "key"]
SIZES = ("pixels", "hidden1", "hidden2")
CENTRE = 20 / 28
"""Side of the central square as a part of the image's: 20 x 20 of MNIST's 28 x 28 pixels, where its digits are."""
HIDDEN = (300, 100)
"""Hidden neurons of LeNet."""


def at_pixels(connections: list[int], shape: tuple[int, int, int]) -> list[list[int]]:
    """Connections at every place of an image of `shape` (channels, height, width), summed over channels: rows."""
    channels, height, width = shape
    area = height * width
    sums = [sum(connections[c * area + i] for c in range(channels)) for i in range(area)]
    return [sums[y * width : (y + 1) * width] for y in range(height)]


def central_share(connections: list[int], shape: tuple[int, int, int]) -> float:
    """Percentage of first-layer connections at pixels of the central square; nan where there is no connection."""
    rows = at_pixels(connections, shape)
    side = round(CENTRE * len(rows))
    low = (len(rows) - side) // 2
    inside = sum(sum(row[low : low + side]) for row in rows[low : low + side])
    return 100 * inside / sum(connections) if any(connections) else math.nan


def full_sizes(spec: Search | Sparse) -> list[int]:
    """Inputs, hidden neurons and outputs of the dense network."""
    info = INFO[spec.dataset]
    return [math.prod(info.shape), *(max(1, round(h * spec.width)) for h in HIDDEN), info.classes]


def _dense(spec: Search) -> dict[str, Any]:
    """Size and cost of the dense network, which follow from its sizes alone."""
    sizes = full_sizes(spec)
    layers = products(sizes)
    return {
        **dict(zip(SIZES, sizes, strict=False)),
        "weights": sum(layers),
        "nonzero": sum(layers),
        "size_bytes": size_bytes(sizes, sum(layers)),
        "inference_kflop": costs.inference_kflop(sum(layers)),
        "training_gflop": costs.training_gflop(layers, images=spec.train_images * spec.recipe.epochs),
    }


def _sparse(spec: Sparse, metrics: dict[str, Any], store: Store) -> dict[str, Any]:
    """Size and cost of a sparse network without its dead parts, and where its first-layer connections are."""
    found = store.read(spec.compact_of) if spec.compact_of else None
    layers = products(found["metrics"]["architecture"] if found else full_sizes(spec))
    kept = [density * size for density, size in zip(metrics["density"].values(), layers, strict=True)]
    images, connections = spec.train_images * spec.recipe.epochs, metrics["input_connections"]
    shape = INFO[spec.dataset].shape
    return {
        **dict(zip(SIZES, metrics["architecture"], strict=False)),
        **{f"stable_{name}": size for name, size in zip(SIZES, metrics["stable_architecture"], strict=False)},
        "weights": metrics["nnz"],
        "nonzero": metrics["compact_nnz"],
        "stable_nonzero": metrics["stable_nnz"],
        "size_bytes": metrics["compact_bytes"],
        "inference_kflop": costs.inference_kflop(metrics["compact_nnz"]),
        "training_gflop": costs.training_gflop(kept, layers if spec.method == "rigl" else None, images, spec.interval),
        "mask_updates": metrics["mask_updates"],
        **{f"central_{when}": central_share(counts, shape) for when, counts in connections.items()},
        **{f"connections_{when}": " ".join(map(str, counts)) for when, counts in connections.items()},
    }


def _row(run: Planned, store: Store) -> dict[str, Any]:
    names = {"arm": run.arm, "model": MODEL, "dataset": DATASET, "seed": run.seed, "key": key(run.spec)}
    record = store.read(run.spec)
    if record is None:
        return {**names, "status": NOT_RUN}
    reached, metrics = accuracies(record), record["metrics"]
    errors = {
        f"{which}_error": None if reached[f"{which}_accuracy"] is None else 100 - reached[f"{which}_accuracy"]
        for which in ("last", "best")
    }
    assert isinstance(run.spec, (Search, Sparse))
    sized = _sparse(run.spec, metrics, store) if isinstance(run.spec, Sparse) else _dense(run.spec)
    cost = {"training_flops": record["cost"]["training_flops"]["authors"], "seconds": record["cost"]["seconds"]}
    return {**names, "status": record["status"], **reached, **errors, **sized, **cost}


def table(scale: Scale, store: Store) -> pd.DataFrame:
    """One row a training; a training that is missing has the status "not run"."""
    return pd.DataFrame([_row(run, store) for run in planned(scale)]).reindex(columns=COLUMNS)

"""A training's history: by itself, and against the outcome in its record."""

import csv
import io
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ebreplicate.catalog import INFO
from ebreplicate.files import regular_text
from ebreplicate.specs.fields import Spec
from ebreplicate.specs.graph import search_of
from ebreplicate.specs.spec import Recipe, Retrain, Search, Sparse, Training
from ebreplicate.store.store import Store

PRINTED = 1e-5
"""Relative rounding of history.csv (six digits)."""
Record = dict[str, Any]
Row = dict[str, float]


def close(a: Any, b: Any, tolerance: float = 1e-9) -> bool:
    """Whether two values of records are the same; numbers up to a relative `tolerance`."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(close(a[k], b[k], tolerance) for k in a)
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-9)
    return bool(a == b)


def text(value: Any) -> str:
    """A value for a message: short."""
    return f"{value:g}" if isinstance(value, float) else str(value)[:100]


def differences(recorded: Record, expected: Record, why: str, tolerance: float = 1e-9) -> Iterator[str]:
    """One line for each name that is missing or differs."""
    for name, value in expected.items():
        if name not in recorded:
            yield f"lacks {name}"
        elif not close(recorded[name], value, tolerance):
            yield f"{name} {text(recorded[name])} against {text(value)}{why}"


def read_rows(path: Path) -> list[Row]:
    """Rows of a run's CSV, as numbers; raises ValueError where a column is there twice."""
    rows = csv.DictReader(io.StringIO(regular_text(path), newline=""))
    columns = rows.fieldnames or []
    if len(set(columns)) < len(columns):
        raise ValueError("a column is there twice")
    return [{k: float(v) for k, v in row.items() if v} for row in rows]


@cache
def dense_forward(spec: Training) -> dict[str, float]:
    """Forward FLOPs of a training's dense network, every convention."""
    from ebreplicate import cost
    from ebreplicate.runner.inputs import network, shape

    return cost.forward_flops(network(spec), shape(spec))


def plain(spec: Training) -> Training:
    """The spec, reduced to what its network depends on: many runs share one."""
    factorised = spec.factorised if isinstance(spec, Search) else None
    return Search(spec.model, spec.dataset, width=spec.width, factorised=factorised)


def schedule(spec: Training | Retrain, store: Store) -> tuple[Recipe, int]:
    """Recipe of a training and the epoch it starts after."""
    if isinstance(spec, Sparse):
        return spec.recipe.scaled(spec.multiplier), 0
    if isinstance(spec, Training):
        return spec.recipe, 0
    drawn = store.read(spec.ticket) or {}
    if spec.schedule == "budget":
        from ebreplicate.stages.retrain import budget_recipe

        dense = dense_forward(plain(search_of(spec)))["authors"]
        return budget_recipe(spec.recipe, dense, drawn["cost"]["forward_flops"]["authors"]), 0
    return spec.recipe, drawn["metrics"]["epoch"] if spec.schedule == "continue" else 0


def history_problems(spec: Spec, rows: list[Row], recipe: Recipe, start: int) -> Iterator[str]:
    """A history by itself: consecutive epochs, the recipe's rates, accuracies that are counts of test images."""
    images = search_of(spec).test_images
    if [row["epoch"] for row in rows] != list(range(start + 1, start + 1 + len(rows))):
        yield f"history.csv: its epochs are not {start + 1}, {start + 2}, ..."
        return
    for row in rows:
        where = f"history.csv: epoch {row['epoch']:g}: "
        rate = recipe.lr_at(row["epoch"] - 1)
        if not close(row["lr"], rate, PRINTED):
            yield f"{where}lr {row['lr']:g} is not the recipe's {rate:g}"
        for name in ("test_accuracy", "test_top5"):
            count = row.get(name, 0.0) * images / 100
            if not 0 <= count <= images or abs(count - round(count)) > 1e-6 + PRINTED * count:
                yield f"{where}{name} {row[name]:g} is no count of {images} test images"
        if row.get("test_top5", 100.0) < row["test_accuracy"] * (1 - PRINTED):
            yield f"{where}test_top5 is below test_accuracy"
        if min(row["train_seconds"], row["test_seconds"]) < 0:
            yield f"{where}took less than no time"


def outcome_problems(spec: Spec, record: Record, rows: list[Row], recipe: Recipe) -> Iterator[str]:
    """Status, accuracies and epochs of a record against its history."""
    from torch import nn

    from ebreplicate.training.loop import State

    metrics = record["metrics"]
    state = State(nn.Identity(), recipe, int(rows[-1]["epoch"]), 0, rows)  # only its history is looked at
    from ebreplicate.training.outcome import metrics_of, status_of

    expected, status = metrics_of(state), status_of(state)
    if record["status"] != status:
        yield f"status {record['status']!r}: its history is that of one that is {status!r}"
    least = min((row["test_loss"] for row in rows if math.isfinite(row["test_loss"])), default=math.nan)
    stops = [row for row in rows if row["test_loss"] == least]  # rounded: more than one may be the least
    if search_of(spec).validation:  # evaluations.csv says where training would stop
        expected = {k: v for k, v in expected.items() if not k.startswith("early_stop")}
    elif metrics.get("early_stop_epoch") in [row["epoch"] for row in stops]:
        stop = next(row for row in stops if row["epoch"] == metrics["early_stop_epoch"])
        expected |= {"early_stop_epoch": int(stop["epoch"]), "early_stop_accuracy": stop["test_accuracy"]}
    if status == "ok" and INFO[search_of(spec).dataset].text:
        expected["bits"] = rows[-1]["test_loss"] / math.log(2)
    yield from differences(metrics, expected, ", which is what history.csv has", PRINTED)
    images = search_of(spec).test_images
    for name in ("last_accuracy", "best_accuracy", "early_stop_accuracy", "last_top5", "best_top5", "swa_accuracy"):
        count = (metrics.get(name) or 0) * images / 100
        if abs(count - round(count)) > 1e-6 * max(1, count):
            yield f"{name} {metrics[name]:g} is no count of {images} test images"
    epochs = math.fsum(row["train_seconds"] + row["test_seconds"] for row in rows)
    if record["cost"]["seconds"] < epochs * (1 - 1e-3) - 1e-3 * len(rows):
        yield f"seconds {record['cost']['seconds']:g} are fewer than the {epochs:g} of its epochs"


def evaluation_problems(spec: Spec, record: Record, rows: list[Row], recipe: Recipe, epochs: int) -> Iterator[str]:
    """Evaluations on held-out images: at every interval of all steps, counts of images, and the minimum they have."""
    from ebreplicate.training.validation import early_stop

    search = search_of(spec)
    steps = epochs * -(-search.train_images // recipe.batch_size)
    every = search.validation_interval
    if [row["iteration"] for row in rows] != list(range(every, steps + 1, every)):
        yield f"evaluations.csv: its iterations are not {every}, {2 * every}, ... to {steps}"
        return
    least = math.inf
    for row in rows:
        where = f"evaluations.csv: iteration {row['iteration']:g}: "
        lower = row["validation_loss"] < least
        least = min(least, row["validation_loss"]) if lower else least
        if lower == math.isnan(row["test_accuracy"]):
            yield f"{where}test_accuracy is there exactly where the loss is lower than before"
        for name, images in (("validation_accuracy", search.validation), ("test_accuracy", search.test_images)):
            count = 0.0 if math.isnan(row[name]) else row[name] * images / 100
            if not 0 <= count <= images or abs(count - round(count)) > 1e-6 + PRINTED * count:
                yield f"{where}{name} {row[name]:g} is no count of {images} images"
    stop = early_stop(rows)
    found = {"early_stop_iteration": stop and stop.iteration, "early_stop_accuracy": stop and stop.accuracy}
    yield from differences(record["metrics"], found, ", which is what evaluations.csv has", PRINTED)

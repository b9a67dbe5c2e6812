"""What a search, a retrain or a sparse training says of itself, against its history, its network and its parts."""

import csv
import dataclasses
import io
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ebreplicate.plan.plan import search_of
from ebreplicate.plan.spec import Recipe, Retrain, Search, Sparse, Spec, Training, key
from ebreplicate.reading import regular_text
from ebreplicate.records import Store

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


def differences(said: Record, expected: Record, why: str, tolerance: float = 1e-9) -> Iterator[str]:
    """One line for each name that is in both and differs. Records of earlier versions lack some names."""
    for name, value in expected.items():
        if name in said and not close(said[name], value, tolerance):
            yield f"{name} {text(said[name])} against {text(value)}{why}"


def read_history(folder: Path) -> list[Row]:
    """Rows of history.csv, as numbers."""
    rows = csv.DictReader(io.StringIO(regular_text(folder / "history.csv"), newline=""))
    return [{k: float(v) for k, v in row.items() if v} for row in rows]


@cache
def dense_forward(spec: Training) -> dict[str, float]:
    """Forward FLOPs of a training's dense network, every convention."""
    from ebreplicate import cost
    from ebreplicate.stages.common import network, shape

    return cost.forward_flops(network(spec), shape(spec))


def _plain(spec: Training) -> Training:
    """The spec, reduced to what its network depends on: many runs share one."""
    return Search(spec.model, spec.dataset, width=spec.width)


def schedule(spec: Training | Retrain, store: Store) -> tuple[Recipe, int]:
    """Recipe of a training and the epoch it starts after."""
    if isinstance(spec, Sparse):
        return spec.recipe.scaled(spec.multiplier), 0
    if isinstance(spec, Training):
        return spec.recipe, 0
    drawn = store.read(spec.ticket) or {}
    if spec.schedule == "budget":
        from ebreplicate.stages.retraining import budget_recipe

        dense = dense_forward(_plain(search_of(spec)))["authors"]
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
    from ebreplicate.stages.common import metrics_of, status_of

    expected, status = metrics_of(state), status_of(state)
    if record["status"] != status:
        yield f"status {record['status']!r}: its history is that of one that is {status!r}"
    least = min((row["test_loss"] for row in rows if math.isfinite(row["test_loss"])), default=math.nan)
    stops = [row for row in rows if row["test_loss"] == least]  # rounded: more than one may be the least
    if metrics.get("early_stop_epoch") in [row["epoch"] for row in stops]:
        stop = next(row for row in stops if row["epoch"] == metrics["early_stop_epoch"])
        expected |= {"early_stop_epoch": int(stop["epoch"]), "early_stop_accuracy": stop["test_accuracy"]}
    yield from differences(metrics, expected, ", which is what history.csv has", PRINTED)
    images = search_of(spec).test_images
    for name in ("last_accuracy", "best_accuracy", "early_stop_accuracy", "last_top5", "best_top5", "swa_accuracy"):
        count = (metrics.get(name) or 0) * images / 100
        if abs(count - round(count)) > 1e-6 * max(1, count):
            yield f"{name} {metrics[name]:g} is no count of {images} test images"
    told = math.fsum(row["train_seconds"] + row["test_seconds"] for row in rows)
    if record["cost"]["seconds"] < told * (1 - 1e-3) - 1e-3 * len(rows):
        yield f"seconds {record['cost']['seconds']:g} are fewer than the {told:g} of its epochs"


def search_problems(spec: Search, record: Record, store: Store) -> Iterator[str]:
    """Network, FLOPs and scores of a search."""
    from ebreplicate import cost
    from ebreplicate.pruning.surgery import bn_widths, prunable_scores
    from ebreplicate.stages.common import load_scores, network

    forward, epochs, dense = dense_forward(_plain(spec)), record["metrics"]["epochs"], network(spec)
    training = {c: cost.training_flops(f, search_of(spec).train_images, epochs) for c, f in forward.items()}
    widths = bn_widths(dense)
    yield from differences(record["cost"], {"forward_flops": forward, "training_flops": training}, " of its network")
    yield from differences(record["metrics"], {"bn_widths": widths, "bn_channels": sum(widths)}, " of its network")
    scores = load_scores(spec, store)
    if tuple(scores.shape) != (epochs + 1, sum(widths)):
        yield f"scores.npy has {tuple(scores.shape)} entries, not {(epochs + 1, sum(widths))}"
    elif record["status"] == "ok" and not (scores.isfinite().all() and (scores >= 0).all()):
        yield "scores.npy: not all are finite and at least zero"
    elif not scores[0].equal(prunable_scores(dense)):
        yield "scores.npy does not begin with those of the untrained network"


def _twin_problems(spec: Retrain, record: Record, store: Store) -> Iterator[str]:
    """A record that names another run as the one that was trained."""
    for at in ("eb", "epi", "best", (store.read(spec.ticket) or {})["metrics"]["epoch"]):
        if spec.ticket.over_weights and at in ("eb", "epi"):
            continue
        twin = dataclasses.replace(spec, ticket=dataclasses.replace(spec.ticket, at=at))
        if key(twin) != record["trained_as"] or key(twin) == key(spec):
            continue
        ours, drawn, trained = store.read(spec.ticket), store.read(twin.ticket), store.read(twin)
        if not (ours and drawn and trained):
            yield f"was trained as {record['trained_as']}, which is not here"
        elif ours["metrics"]["epoch"] != drawn["metrics"]["epoch"]:
            yield f"was trained as {record['trained_as']}, which is of another draw epoch"
        else:
            for name in ("status", "metrics", "provenance"):
                if record[name] != trained[name]:
                    yield f"{name} are not those of {record['trained_as']}, as which it was trained"
        return
    yield f"was trained as {text(record['trained_as'])}, which is no other name of it"


def retrain_problems(spec: Retrain, record: Record, store: Store) -> Iterator[str]:
    """Whether a retrain had a ticket, and its FLOPs, the sum of their parts."""
    from ebreplicate import cost

    drawn = store.read(spec.ticket)
    if drawn is None:
        yield f"its draw {key(spec.ticket)} is not here"
        return
    epoch = drawn["metrics"]["epoch"]
    nothing = drawn["status"] != "ok" or (spec.schedule == "continue" and epoch == spec.recipe.epochs)
    if (record["status"] == "no-ticket") != nothing:
        yield f"status {record['status']!r}, and its draw is {drawn['status']!r} at epoch {epoch}"
        return
    if nothing:
        untrained = dict.fromkeys(("last_accuracy", "best_accuracy", "best_epoch")) | {"epochs": 0}
        yield from differences(record["metrics"], untrained, ", for nothing was trained")
        return
    ledger, found = record["cost"], drawn["cost"]
    count, epochs = search_of(spec).train_images, record["metrics"]["epochs"]
    own = {c: cost.training_flops(f, count, epochs) for c, f in found["forward_flops"].items()}
    parts = {c: found["search_flops"][c] + found["draw_flops"] + f for c, f in own.items()}
    drew = {name: found[name] for name in ("forward_flops", "search_flops", "draw_flops")}
    yield from differences(ledger, drew, " of its draw")
    yield from differences(ledger, {"retrain_flops": own}, " of its network and epochs")
    yield from differences(ledger, {"training_flops": parts}, ", the sum of its parts")
    yield from (f"lacks {name}" for name in (*drew, "retrain_flops") if name not in ledger)
    if "trained_as" in record:
        yield from _twin_problems(spec, record, store)


def sparse_problems(spec: Sparse, record: Record) -> Iterator[str]:
    """Weights that are left, and FLOPs, of a sparse training."""
    from ebreplicate.sparse_flops import layer_costs, sparse_forward
    from ebreplicate.stages.common import network, shape
    from ebreplicate.training.sparse import sparse_layers
    from ebreplicate.training.sparsifiers import SPARSIFIERS

    metrics, ledger, hook = record["metrics"], record["cost"], SPARSIFIERS.load(spec.method)(spec)
    trained = network(dataclasses.replace(spec, width=hook.width()))
    own, full = dense_forward(_plain(dataclasses.replace(spec, width=hook.width()))), dense_forward(_plain(spec))
    sizes = {name: layer.weight.numel() for name, layer in sparse_layers(trained).items()}
    nnz = {name: round(metrics["density"][name] * size) for name, size in sizes.items()}
    left = {"nnz": sum(nnz.values()), "prunable": sum(sizes.values()), "width": hook.width()}
    left["sparsity"] = 1 - left["nnz"] / left["prunable"]
    yield from differences(metrics, left, " of its layers")
    final = sparse_forward(own, layer_costs(trained, shape(spec)), metrics["density"])
    once = {c: 3 * f * search_of(spec).train_images * spec.recipe.epochs for c, f in full.items()}
    forward = {"forward_flops": full, "sparse_forward_flops": final}
    forward["relative_forward"] = {c: final[c] / full[c] for c in full}
    forward["relative_training"] = {c: ledger["training_flops"][c] / once[c] for c in full}
    yield from differences(ledger, forward, " of its network")
    images = search_of(spec).train_images * metrics["epochs"]
    least = {c: hook.training_flops(final[c], own[c]) * images for c in full}
    # Masks that change keep their size, or shrink (gradual pruning), so no training cost less than its final mask.
    for c in full:
        if ledger["training_flops"][c] < least[c] * (1 - 1e-9):
            yield f"training_flops {ledger['training_flops'][c]:g} are fewer than {least[c]:g} at its final density"


def training_problems(spec: Training | Retrain, record: Record, folder: Path, store: Store) -> Iterator[str]:
    """Everything about one search, retrain or sparse training."""
    if isinstance(spec, Retrain):
        yield from retrain_problems(spec, record, store)
    if (
        record["status"] != "no-ticket"
        and "trained_as" not in record
        and (not isinstance(spec, Retrain) or store.done(spec.ticket))
    ):
        try:
            rows = read_history(folder)
            if not rows:
                raise ValueError("no rows")
        except (OSError, ValueError, KeyError, TypeError) as e:
            yield f"history.csv: unreadable ({e})"
            return
        recipe, start = schedule(spec, store)
        yield from history_problems(spec, rows, recipe, start)
        yield from outcome_problems(spec, record, rows, recipe)
    precision = {"precision": spec.precision, "search_precision": search_of(spec).precision}
    yield from differences(record["cost"], precision, " of its spec")
    if isinstance(spec, Search):
        yield from search_problems(spec, record, store)
    if isinstance(spec, Sparse):
        yield from sparse_problems(spec, record)

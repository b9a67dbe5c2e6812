"""Do the records, and what was made of them, agree? Everything that can be computed again is computed again.

A record holds more than its own numbers: its history has them epoch by epoch, an accuracy is a count of images, FLOPs
follow from the network, a mask and its emergence follow from the scores of the search. A number edited in one place
disagrees with the others.
"""

import csv
import math
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ebreplicate.errors import UserError
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.merging import checked_run, runs_under
from ebreplicate.plan.plan import search_of
from ebreplicate.plan.scale import SCALES, load_scale
from ebreplicate.plan.spec import Retrain, Search, Spec, Ticket, key
from ebreplicate.records import Store
from ebreplicate.training.datasets import INFO

PRINTED = 1e-5
"""Relative rounding of history.csv (six digits)."""
CONVENTION = "authors"
STAND_INS = ("digits", "digits100", "folders")


def _close(a: float, b: float, tolerance: float = 1e-9) -> bool:
    return math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-9)


def _test_images(spec: Spec) -> int:
    root = search_of(spec)
    return root.test_size or INFO[root.dataset].test


def _history(folder: Path) -> list[dict[str, float]]:
    with (folder / "history.csv").open(newline="") as f:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(f)]


def accuracy_problems(spec: Spec, record: dict[str, Any], folder: Path) -> Iterator[str]:
    """A training's accuracies against its history, and against the number of test images."""
    metrics = record["metrics"]
    if record["status"] == "no-ticket" or "trained_as" in record:
        return
    try:
        rows = _history(folder)
    except (OSError, ValueError, KeyError) as e:
        yield f"history.csv: unreadable ({e})"
        return
    best = max(row["test_accuracy"] for row in rows)
    for name, told in (("last_accuracy", rows[-1]["test_accuracy"]), ("best_accuracy", best)):
        if not _close(metrics[name], told, PRINTED):
            yield f"{name} {metrics[name]:g} is not what history.csv has, {told:g}"
        count = metrics[name] * _test_images(spec) / 100
        if abs(count - round(count)) > 1e-6 * max(1, count):
            yield f"{name} {metrics[name]:g} is no count of {_test_images(spec)} test images"
    if metrics["epochs"] != len(rows):
        yield f"epochs {metrics['epochs']} against {len(rows)} rows of history.csv"


@cache
def _forward(spec: Search) -> float:
    from ebreplicate import cost
    from ebreplicate.stages.common import network, shape

    return cost.flops(network(spec), shape(spec), CONVENTION)


def cost_problems(spec: Spec, record: dict[str, Any], store: Store) -> Iterator[str]:
    """FLOPs against the network and the parts they are the sum of."""
    ledger = record["cost"]
    if isinstance(spec, Search):
        expected = 3 * _forward(spec) * (spec.train_size or INFO[spec.dataset].train) * record["metrics"]["epochs"]
        if not _close(ledger["training_flops"][CONVENTION], expected):
            yield f"training_flops {ledger['training_flops'][CONVENTION]:g} against {expected:g} of its network"
    elif isinstance(spec, Retrain) and record["status"] != "no-ticket":
        parts = ledger["search_flops"][CONVENTION] + ledger["draw_flops"] + ledger["retrain_flops"][CONVENTION]
        if not _close(ledger["training_flops"][CONVENTION], parts):
            yield f"training_flops {ledger['training_flops'][CONVENTION]:g} against {parts:g}, the sum of its parts"
        drawn = store.read(spec.ticket)
        if drawn is None:
            yield f"its draw {key(spec.ticket)} is not here"
        elif ledger["forward_flops"] != drawn["cost"]["forward_flops"]:
            yield "forward_flops are not those of its draw"


def draw_problems(spec: Ticket, record: dict[str, Any], store: Store) -> Iterator[str]:
    """A slimming ticket against the scores of its search: emergence, mask, channels, FLOPs."""
    from ebreplicate import cost
    from ebreplicate.pruning.earlybird import RULES, emergence_epoch
    from ebreplicate.pruning.masks import global_mask, rescue_empty_layers
    from ebreplicate.pruning.surgery import bn_widths, kept_channels
    from ebreplicate.stages.common import load_mask, load_scores, network, shape

    if spec.method != "slimming" or spec.after is not None or not store.done(spec.search):
        return
    scores, metrics = load_scores(spec.search, store), record["metrics"]
    if len(scores) > 1:
        for rule in RULES:
            if metrics["emergence"].get(rule) != emergence_epoch(scores, spec.ratio, rule):
                yield f"emergence under {rule}: {metrics['emergence'].get(rule)}, not what the scores give"
    if metrics["epoch"] is None:
        return
    dense = network(spec.search)
    mask, row = global_mask(scores[metrics["epoch"]], spec.ratio), scores[metrics["epoch"]]
    if not dense.residual:
        mask, _ = rescue_empty_layers(mask, row, bn_widths(dense))
    if not load_mask(spec, store, len(mask)).equal(mask):
        yield "mask.npy is not the mask of the scores at its epoch"
    channels = kept_channels(dense, mask)
    if metrics["channels"] != channels:
        yield "channels are not those of the mask"
    expected = cost.flops(network(spec.search, channels=channels), shape(spec.search), CONVENTION)
    if not _close(record["cost"]["forward_flops"][CONVENTION], expected):
        yield f"forward_flops {record['cost']['forward_flops'][CONVENTION]:g} against {expected:g} of its network"


def provenance_problems(spec: Spec, record: dict[str, Any]) -> Iterator[str]:
    """A record of code that nobody can look up, or of another run's command, or one that tells a path.

    Stand-in data are let through: they say nothing about the paper. Early records told the stage at most.
    """
    if record["provenance"].get("clean") is False and search_of(spec).dataset not in STAND_INS:
        yield "was made from code that is not committed (provenance.clean is false)"
    command = record["provenance"].get("command", "ebreplicate")
    if "/" in command or "\\" in command:
        yield f"provenance.command tells a path: {command!r}"
    told = command.split()[1:3]
    if told != [spec.stage, record.get("trained_as", key(spec))][: len(told)]:
        yield f"provenance.command is of another run: {command!r}"


def run_problems(folder: Path, store: Store) -> Iterator[str]:
    """Everything that does not agree in one run folder."""
    try:
        spec = checked_run(folder)
        record = store.read(spec) or {}
        if not isinstance(spec, Ticket):
            yield from accuracy_problems(spec, record, folder)
        else:
            yield from draw_problems(spec, record, store)
        yield from cost_problems(spec, record, store)
        yield from provenance_problems(spec, record)
    except UserError as e:
        yield str(e)
    except (KeyError, TypeError, ValueError, OSError) as e:
        yield f"lacks what a record of its stage has ({type(e).__name__}: {e})"


def page_problems(results: Path) -> Iterator[str]:
    """Comparisons against ones made again from the records."""
    from ebreplicate.report import pipeline

    for scale in SCALES:
        names = [f"{scale}.csv", f"{scale}_claims.csv", f"{scale}.md"]
        there = [results / "comparison" / n for n in names if (results / "comparison" / n).is_file()]
        if not there:
            continue
        with tempfile.TemporaryDirectory() as folder:
            again = Path(folder)
            (again / "runs").symlink_to((results / "runs").resolve())
            for item in EXPERIMENTS:
                pipeline.tabulate(item, load_scale(scale), again)
            pipeline.compare(load_scale(scale), again)
            for path in there:
                if path.read_text() != (again / "comparison" / path.name).read_text():
                    yield f"{path}: does not follow from the records; run `ebreplicate redraw --scale {scale}`"


def verify(results: Path) -> tuple[int, list[str]]:
    """Check a results folder: how many runs were looked at, and every disagreement, one line each."""
    store, folders = Store(results), runs_under(results)
    found = [f"{f.parent.name}/{f.name}: {problem}" for f in folders for problem in run_problems(f, store)]
    return len(folders), found + list(page_problems(results))

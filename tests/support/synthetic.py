"""Records as finished runs would leave them, with outcomes that a test chooses; and a scale small enough to count."""

import io
import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ebreplicate.catalog import DISPLACEMENT_DRAWS, FULLY_CONNECTED, GRAPH_ARMS, GRAPHS, INFO
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.common.experiment import Claim
from ebreplicate.experiments.rigl_mnist.table import full_sizes
from ebreplicate.files import atomic_write
from ebreplicate.graphs.costs import of_run
from ebreplicate.report import pipeline
from ebreplicate.specs.fields import to_json
from ebreplicate.specs.graph import Plan
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import GraphTickets, Recipe, Retrain, Search, Sparse, Spec, Ticket, Training
from ebreplicate.store.store import Store

SEARCH = Recipe(epochs=8, batch_size=20, milestones=(5, 7), augment="none")
RETRAIN = Recipe(epochs=3, batch_size=20, milestones=(2,), augment="none")
TINY = Scale(
    name="tiny",
    note="A scale for tests.",
    comparable=False,
    seeds=(0, 1),
    epochs={1: 1, 10: 2, 20: 3, 40: 4, 80: 5, 100: 6, 120: 7, 160: 8},
    draw_epochs=(1, 20, 160),
    recipe=SEARCH,
    retrain_recipe=RETRAIN,
    datasets={
        "cifar10": {"name": "digits", "train_size": 60, "test_size": 200},
        "cifar100": {"name": "digits100", "train_size": 100, "test_size": 200},
        "imagenet": {"name": "folders", "train_size": 60, "test_size": 40},
        "mnist": {"name": "digits", "train_size": 60, "test_size": 200},
    },
    models={
        "vgg16": {"name": "vgg16", "width": 0.0625},
        "preresnet101": {"name": "preresnet20", "width": 0.25},
        "resnet18": {"name": "resnet18", "width": 0.125},
        "resnet50": {"name": "resnet50", "width": 0.0625},
        "mobilenet": {"name": "mobilenet", "width": 0.125},
        "wideresnet22x2": {"name": "wideresnet22x2", "width": 0.125},
        "resnet20": {"name": "resnet20", "width": 0.125},
        "supernet": {"name": "supernet", "width": 0.125},
        "lenet300": {"name": "lenet300", "width": 0.1},
        **{name: {"name": name, "width": 0.0625} for name in ("conv2", "conv4", "conv6", "vgg19")},
        "preresnet20": {"name": "preresnet20", "width": 0.25},
    },
    items=yaml.safe_load((Path(__file__).parent / "items.yaml").read_text()),
)
"""Draws 1, 20 and 160 are epochs 1, 3 and 8 here; 10 and 40 are 2 and 4, and the first decay is after 5."""
FULL = replace(TINY, retrain_recipe=SEARCH)
"""Retrains as long as searches, so that claims about draw epochs are judged."""
COMPARABLE = replace(FULL, comparable=True)


def with_settings(scale: Scale, item: str, settings: Spec) -> Scale:
    """The scale with these settings of one item."""
    return replace(scale, items=scale.items | {item: json.loads(to_json(settings))})


def items_alone(patch: pytest.MonkeyPatch, *names: str) -> None:
    """Leave the items `names` alone registered, while `patch` lasts: a further item then changes no count or page."""
    patch.setattr(EXPERIMENTS, "targets", {name: EXPERIMENTS.targets[name] for name in names})


@dataclass(frozen=True)
class Outcome:
    """How a search or retrain ended. The best accuracy is one point above the last."""

    accuracy: float | None
    status: str = "ok"
    flops: float = 1e9
    early_stop: int = 1


Outcomes = Callable[[Spec], Outcome | float | None]
"""From a search or retrain to its outcome, an accuracy alone, or None: not run."""


def search_of(spec: Spec) -> Training:
    """The training from scratch at the root of a run."""
    return spec if isinstance(spec, Training) else spec.search if isinstance(spec, Ticket) else spec.ticket.search


def trained(outcome: Outcome) -> dict[str, Any]:
    """Record of a search or retrain."""
    last = outcome.accuracy
    metrics = {"last_accuracy": last, "best_accuracy": None if last is None else last + 1, "epochs": 8, "best_epoch": 1}
    metrics |= {"early_stop_accuracy": last, "early_stop_epoch": outcome.early_stop}
    cost = {"training_flops": {"authors": outcome.flops}, "seconds": 2.0} if outcome.status != "no-ticket" else {}
    return {"status": outcome.status, "metrics": metrics, "cost": cost, "provenance": {}}


def drawn(spec: Ticket, emergence: int | None) -> dict[str, Any]:
    """Record of a draw: where detectors fire is `emergence`, `best` is epoch 1. Other rules fire one epoch later."""
    epoch = {**dict.fromkeys(("eb", "epi", *DISPLACEMENT_DRAWS), emergence), "best": 1}.get(spec.at, spec.at)
    later = None if emergence is None else emergence + 1
    rules = {"authors": emergence, "consecutive": later, "no-init": later}
    metrics = {"epoch": epoch, "emergence": rules, "empty_layers": 0}
    if spec.over_weights:
        metrics["remaining_fraction"] = (1 - spec.ratio) ** spec.round
    status = "no-ticket" if epoch is None else "ok"
    return {"status": status, "metrics": metrics, "cost": {}, "provenance": {}}


def write(
    store: Store,
    specs: Iterable[Spec],
    outcomes: Outcomes,
    emergence: Callable[[Ticket], int | None] = lambda _: 3,
) -> None:
    """Leave records of `specs` and all they need. A retrain without an epoch to start from has no ticket."""
    for spec in Plan(specs).runs.values():
        if isinstance(spec, Ticket):
            store.write(spec, drawn(spec, emergence(spec)))
            continue
        if isinstance(spec, GraphTickets):
            store.write(spec, *graph_run(spec, lambda arm, draw: 50.0))
            continue
        if spec.stage == "wann":
            store.write(spec, *agnostic_run(spec))
            continue
        outcome = outcomes(spec)
        if (
            isinstance(spec, Retrain)
            and spec.ticket.at in ("eb", "epi", *DISPLACEMENT_DRAWS)
            and emergence(spec.ticket) is None
        ):
            outcome = Outcome(None, "no-ticket")
        if outcome is not None:
            record = trained(outcome if isinstance(outcome, Outcome) else Outcome(outcome))
            if INFO[search_of(spec).dataset].text and record["metrics"]["last_accuracy"] is not None:
                record["metrics"]["bits"] = 8 - record["metrics"]["last_accuracy"] / 20
            if isinstance(spec, Sparse) and spec.model in FULLY_CONNECTED:
                record["metrics"] |= compact(spec)
            if isinstance(spec, Search) and spec.bits:
                record["cost"]["relative_bitops"] = 0.05
                store.folder(spec).mkdir(parents=True, exist_ok=True)
                np.save(store.folder(spec) / "bits.npy", np.full((8, 3, 4), [[5.0]] * 3))
            if isinstance(spec, Search) and spec.joint:
                record["metrics"] |= joint([100] * 8 + [50], [None, 0.1])
            store.write(spec, record)


def joint(sizes: list[int], returned: list[float | None]) -> dict[str, Any]:
    """Metrics that a search of a supernet has besides: channels, weights and products by epoch, and what came back."""
    names = ("alive_channels", "alive_weights", "unmasked_weights", "forward_products")
    return {**dict.fromkeys(names, sizes), "returned_weights": returned, "kernel_channels": [1, 2, 3] * 6}


def compact(spec: Sparse) -> dict[str, Any]:
    """Metrics that a fully connected sparse network has besides: a tenth of the weights, none of its units dead."""
    sizes = full_sizes(spec)
    weights = sum(a * b // 10 for a, b in pairwise(sizes))
    counts = {"nnz": weights, "compact_nnz": weights, "stable_nnz": weights, "compact_bytes": 4 * weights}
    return {
        **counts,
        "density": dict.fromkeys("abc", 0.1),
        "architecture": [*sizes],
        "stable_architecture": [*sizes],
        "mask_updates": 3,
        "input_connections": {"start": [1] * sizes[0], "end": [2] * sizes[0]},
    }


def graph_run(
    spec: GraphTickets, accuracy: Callable[[str, int], float], emerged: int | None = 7
) -> tuple[dict[str, Any], list[dict[str, int]]]:
    """Record and history of a run over a graph: accuracies by arm and draw epoch, the detector firing at `emerged`. Of
    random edges, the draw is the number of the graph; of the unpruned graph, 0."""
    draws = [*spec.draws, spec.epochs if emerged is None else emerged + 1]
    if not spec.p_graph:
        arms, emerged = {"unpruned": [accuracy("unpruned", 0)]}, None
    else:
        arms = {a: [accuracy(a, d) for d in draws] for a in (GRAPH_ARMS if spec.p_weight else GRAPH_ARMS[:1])}
        arms |= (
            {"random-edges": [accuracy("random-edges", n) for n in range(spec.random_graphs)]}
            if spec.random_graphs
            else {}
        )
    metrics = {"epoch": emerged, "epochs": spec.epochs, "test_nodes": 150, "accuracy": arms}
    metrics |= {"accuracy_at_best_validation": arms}
    history = []
    if spec.p_graph:
        rules = {"graph": emerged, **dict.fromkeys(("weights", "mean", "sum"), emerged if spec.p_weight else None)}
        kept = len(draws) * [round(GRAPHS[spec.dataset].edges * (1 - spec.p_graph))]
        metrics |= {"emergence": rules, "draws": draws, "tied": [0.0] * len(draws), "edges": kept}
        layers = {"layer1": 100, "layer2": 0} if spec.p_weight else {}
        near = spec.epochs if emerged is None else emerged
        history = [
            {"epoch": e, **{name: n if e < near else 0 for name, n in {"graph": 100, **layers}.items()}}
            for e in range(3, spec.epochs)
        ]
    cost = {**of_run(spec, emerged), "seconds": 1.0}
    return {"status": "ok", "metrics": metrics, "cost": cost, "provenance": {}}, history


def agnostic_run(spec: Any, **scores: float) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, float]]]:
    """Record, history and rewards by weight of a search for weight agnostic networks, or of the released champion's
    test. Fitness of generation g is g."""
    names = {"individual": 10.0, "shared": 50.0, "six": 51.0, "tuned": 60.0, "tuned_weight": 0.5}
    names |= {"vote": 52.0} if spec.task == "digits" else {}
    metrics = {"generations": spec.generations, "score": names | scores, "connections": 20, "hidden": 5}
    history = []
    if spec.generations:
        metrics["fitness"] = float(spec.generations)
        rows = ("elite_fitness", "best_ever_fitness", "median_connections")
        history = [{"generation": g, **dict.fromkeys(rows, float(g))} for g in range(1, spec.generations + 1)]
    cost = {"training_flops": {"authors": 1e6}, "seconds": 1.0}
    sweep = [{"weight": w / 50, "score": 60.0 - abs(w - 25)} for w in range(-100, 101)]
    return {"status": "ok", "metrics": metrics, "cost": cost, "provenance": {}}, history, sweep


def write_scores(store: Store, spec: Search, rows: np.ndarray) -> None:
    """Leave the scores (epochs + 1, N) of a search."""
    buffer = io.BytesIO()
    np.save(buffer, rows.astype(np.float32))
    atomic_write(store.folder(spec) / "scores.npy", buffer.getvalue())


def turning(turn: int, back: int = 99) -> np.ndarray:
    """Scores of ten channels over eight epochs: equal before training, rising up to epoch `turn`, falling from there
    on, and rising again from epoch `back` on."""
    up = np.arange(1.0, 11.0)
    return np.stack([np.full(10, 0.5), *(up if e < turn or e >= back else up[::-1] for e in range(1, 9))])


def tabulated(item: str, scale: Scale, root: Path) -> Any:
    """The item's table as the workflow makes it: through its CSV."""
    pipeline.tabulate(item, scale, root)
    return pipeline.read_table(item, scale, root)


def claims(item: str, scale: Scale, table: Any) -> dict[str, Claim]:
    """The item's claims by name."""
    return {c.name: c for c in EXPERIMENTS.load(item).claims(scale, table)}


@cache
def structural_table() -> Any:
    """Table of structural_costs, the one item that computes (5 s): shared by all tests, so not to be modified."""
    return EXPERIMENTS.load("structural_costs").table(TINY, Store("/nonexistent"))


def empty_table(item: str, scale: Scale) -> Any:
    """The item's table before anything has been run."""
    if item == "structural_costs":
        return structural_table()
    return EXPERIMENTS.load(item).table(scale, Store("/nonexistent"))


def edited(source: Store, spec: Any, root: Path, change: Callable[[dict[str, Any]], Any]) -> Store:
    """A store at `root` with a copy of one run of `source`, the metrics of its record changed by `change`."""
    store = Store(root)
    shutil.copytree(source.folder(spec), store.folder(spec))
    path = store.folder(spec) / "record.json"
    record = json.loads(path.read_text())
    change(record["metrics"])
    path.write_text(json.dumps(record))
    return store

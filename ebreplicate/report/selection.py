"""What choosing the best epoch on the test set adds to an accuracy: best minus last epoch, measured on our own runs."""

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TypeVar

from ebreplicate.experiments.common.contrasts import pooled
from ebreplicate.experiments.common.stats import Interval
from ebreplicate.experiments.planner import requests
from ebreplicate.report.markdown import markdown_table
from ebreplicate.specs.fields import Spec
from ebreplicate.specs.graph import Plan, search_of
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Adapt, Alone, Retrain, Search, Ticket, Training, key
from ebreplicate.store.merging import runs_under
from ebreplicate.store.store import Store

BEGIN, END = "<!-- selection: begin -->", "<!-- selection: end -->"
NOTHING = "Nothing has been run at this scale.\n"
KINDS = {"search": "dense", "retrain": "retrained tickets", "sparse": "sparse from scratch", "adapt": "adapted"}
UNLIKE = {"joint": "pruned while searched", "factorised": "factorised", "bits": "quantised"}
"""Fields of a search whose network is not the dense one, and what it is called."""


@dataclass(frozen=True)
class Effect:
    """Best minus last epoch's accuracy (percentage points) of one kind of training on one dataset.

    `interval`: over seeds, of the mean over those series (what was trained, whatever its seed) that have all of these
    seeds. Of all runs: how many, the `mean`, the `largest`, and `epochs`, the shortest and the longest training.
    """

    dataset: str
    kind: str
    interval: Interval
    runs: int
    mean: float
    largest: float
    epochs: tuple[int, int]


Run = TypeVar("Run", bound=Spec)


def unseeded(spec: Run) -> Run:
    """The spec with seed 0 at its root: equal for the runs that differ by their seed alone."""
    if isinstance(spec, Adapt):
        return replace(spec, seed=0, backbone=unseeded(spec.backbone))
    if isinstance(spec, Training):
        return replace(spec, seed=0)
    if isinstance(spec, Retrain):
        return replace(spec, ticket=unseeded(spec.ticket), seed=None)
    if isinstance(spec, Ticket):
        return replace(spec, search=unseeded(spec.search), after=spec.after and unseeded(spec.after))
    raise TypeError(f"not a run: {spec!r}")


def kind_of(spec: Spec) -> str:
    """What kind of training a run is, in words."""
    unlike = (word for name, word in UNLIKE.items() if isinstance(spec, Search) and getattr(spec, name) is not None)
    return next(unlike, KINDS[spec.stage])


def effects(scale: Scale, store: Store) -> list[Effect]:
    """The effect on every kind of training and dataset of which `scale` has finished runs; diverged ones are left out.

    A training that has two names counts once.
    """
    gains: dict[tuple[str, str], dict[Spec, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    epochs: dict[tuple[str, str], list[int]] = defaultdict(list)
    finished = {folder.name for folder in runs_under(store.root)}  # of the paper's ten thousand few
    for spec in Plan(requests(scale)).runs.values():
        here = key(spec) in finished and not isinstance(spec, (Ticket, Alone))
        record = store.read(spec) if here else None
        if record is None or record["status"] != "ok" or "trained_as" in record:
            continue
        root, metrics = search_of(spec), record["metrics"]
        group = (root.dataset, kind_of(spec))
        gains[group][unseeded(spec)][root.seed] = metrics["best_accuracy"] - metrics["last_accuracy"]
        epochs[group].append(metrics["epochs"])
    found = []
    for (dataset, kind), series in gains.items():
        every = [gain for by_seed in series.values() for gain in by_seed.values()]
        lengths = epochs[dataset, kind]
        mean, spread = math.fsum(every) / len(every), (min(lengths), max(lengths))
        found.append(Effect(dataset, kind, pooled(series), len(every), mean, max(every), spread))
    return found


def table(found: list[Effect]) -> str:
    """The effects as a markdown table; one line that says so where nothing has been run."""
    if not found:
        return NOTHING
    rows = []
    for e in found:
        half = "no interval" if math.isnan(e.interval.half) else f"± {e.interval.half:.2f}"
        epochs = " to ".join(str(n) for n in dict.fromkeys(e.epochs))
        ours = [f"+{e.interval.mean:.2f} {half}", str(e.interval.n), str(e.interval.series)]
        rows.append([e.dataset, e.kind, epochs, *ours, str(e.runs), f"+{e.mean:.2f}", f"+{e.largest:.2f}"])
    head = [
        "dataset",
        "trained",
        "epochs",
        "best minus last, pp (95 % CI)",
        "n",
        "series",
        "all runs",
        "mean",
        "largest",
    ]
    return markdown_table(head, rows)

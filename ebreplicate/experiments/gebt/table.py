"""Records of graph runs as tidy tables."""

import csv
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from ebreplicate.catalog import GRAPH_ARMS, GRAPHS
from ebreplicate.experiments.common.experiment import NOT_RUN
from ebreplicate.experiments.gebt.runs import grid_of, planned
from ebreplicate.graphs.costs import training_macs
from ebreplicate.pruning.graph import normalised
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import GraphTickets, key
from ebreplicate.store.store import Store

EMERGENCE = "emergence"
"""Draw of a ticket where the detector fires."""
UNPRUNED, RANDOM = "unpruned", "random-edges"
COLUMNS = [
    "graph",
    "p_graph",
    "p_weight",
    "arm",
    "draw",
    "epoch",
    "seed",
    "status",
    "accuracy",
    "accuracy_at_best_validation",
    "tied",
    "fired",
    "training_flops",
    "seconds",
    "key",
]


def _places(spec: GraphTickets) -> Iterator[tuple[str, str, int]]:
    """(arm, draw, place in the record's list) of every retraining of a run."""
    if not spec.p_graph:
        yield UNPRUNED, "", 0
        return
    for arm in GRAPH_ARMS if spec.p_weight else GRAPH_ARMS[:1]:
        for place, draw in enumerate((*map(str, spec.draws), EMERGENCE)):
            yield arm, draw, place
    for number in range(spec.random_graphs):
        yield RANDOM, str(number), number


def _rows(spec: GraphTickets, store: Store) -> Iterator[dict[str, Any]]:
    record = store.read(spec)
    base = {"graph": spec.dataset, "p_graph": spec.p_graph, "p_weight": spec.p_weight, "seed": spec.seed}
    base |= {"key": key(spec), "status": record["status"] if record else NOT_RUN}
    for arm, draw, place in _places(spec):
        row = {**base, "arm": arm, "draw": draw}
        if record and record["status"] == "ok":
            metrics = record["metrics"]
            row["accuracy"] = metrics["accuracy"][arm][place]
            row["accuracy_at_best_validation"] = metrics["accuracy_at_best_validation"][arm][place]
            if arm in GRAPH_ARMS:
                row |= {"epoch": metrics["draws"][place], "tied": metrics["tied"][place]}
        if record and draw == EMERGENCE:
            row["fired"] = record["metrics"]["epoch"]
            row["training_flops"] = record["cost"]["training_flops"]["authors"]
            row["seconds"] = record["cost"]["seconds"]
        yield row


def retrainings(scale: Scale, store: Store) -> pd.DataFrame:
    """One row a retraining. `draw`: an epoch of the search or "emergence"; of random edges, the number of the graph.
    `epoch`: epochs of the search before the draw; `fired`: the detector's 0-based epoch, blank: never."""
    return pd.DataFrame([row for spec in planned(scale) for row in _rows(spec, store)], columns=COLUMNS)


def joint(scale: Scale, store: Store) -> pd.DataFrame:
    """One row a retraining of a joint ticket, and the unpruned graph (`retrainings`)."""
    table = retrainings(scale, store)
    return table[(table.p_weight > 0) | (table.p_graph == 0)].reset_index(drop=True)


def detection(scale: Scale, store: Store) -> pd.DataFrame:
    """Distances as every rule sees them, averaged over seeds (`kind` "distance"), and where it fired, by seed
    (`kind` "fired"; blank: never)."""
    columns = ["kind", "graph", "p_graph", "p_weight", "rule", "epoch", "seed", "value", "n", "status", "key"]
    rows: list[dict[str, Any]] = []
    series: dict[tuple[str, float, float], list[dict[str, np.ndarray]]] = defaultdict(list)
    for spec in (s for s in planned(scale) if s.p_graph):
        record = store.read(spec)
        where = {"graph": spec.dataset, "p_graph": spec.p_graph, "p_weight": spec.p_weight}
        for rule in ("graph", "weights", "mean", "sum") if spec.p_weight else ("graph",):
            row = {"kind": "fired", **where, "rule": rule, "seed": spec.seed, "key": key(spec)}
            row |= {"status": record["status"] if record else NOT_RUN}
            rows.append({**row, "epoch": record["metrics"]["emergence"][rule] if record else None})
        if record:
            series[spec.dataset, spec.p_graph, spec.p_weight].append(normalised(distances(spec, store)))
    for (graph, p_graph, p_weight), found in series.items():
        for rule in ("graph", "weights", "mean", "sum") if p_weight else ("graph",):
            values = np.array([one[rule] for one in found])
            known = np.isfinite(values).sum(0)
            means = np.nansum(values, 0) / np.maximum(known, 1)
            for epoch, (mean, n) in enumerate(zip(means, known, strict=True), grid_of(scale).epochs - len(means)):
                where = {"graph": graph, "p_graph": p_graph, "p_weight": p_weight, "rule": rule, "epoch": epoch}
                rows += [{"kind": "distance", **where, "value": round(float(mean), 6), "n": int(n)}] * bool(n)
    return pd.DataFrame(rows, columns=columns)


def distances(spec: GraphTickets, store: Store) -> list[tuple[int, ...]]:
    """Distances of a finished run, as its detector counted them."""
    with (store.folder(spec) / "history.csv").open(newline="") as f:
        return [tuple(int(v) for name, v in row.items() if name != "epoch") for row in csv.DictReader(f)]


def costs(scale: Scale, store: Store) -> pd.DataFrame:
    """One row a method, pair of ratios and seed of Figure 6: accuracy, and multiply-accumulates of training and
    inference by the paper's count."""
    table = retrainings(scale, store)
    grid = grid_of(scale)
    table = table[table.graph.isin(grid.cost_graphs) & (table.p_graph > 0)]
    table = table[(table.p_weight == 0) | table.p_weight.isin(grid.cost_weight_ratios)]
    table = table[table.p_graph.isin(grid.cost_ratios)]
    sgcn = table[(table.p_weight == 0) & (table.draw == str(grid.late)) & (table.arm == GRAPH_ARMS[0])]
    found = [(table[table.draw == EMERGENCE], None), (sgcn, "sgcn"), (table[table.arm == RANDOM], "random")]
    out = []
    for part, method in found:
        for row in part.to_dict("records"):
            name = method or ("joint" if row["p_weight"] else "geb")
            info = GRAPHS[row["graph"]]
            epoch = grid.epochs if np.isnan(float(row["fired"] or np.nan)) else row["fired"]
            cost = training_macs(info, name, row["p_graph"], row["p_weight"], epoch, grid.epochs)
            known = row["accuracy"] == row["accuracy"] and row["accuracy"] is not None
            macs = {
                "inference_macs": info.macs(row["p_graph"], row["p_weight"]),
                "training_macs": cost if known else None,
            }
            out.append({"method": name, **row, **macs})
    columns = ["method", "graph", "p_graph", "p_weight", "arm", "seed", "status", "accuracy", "fired"]
    return pd.DataFrame(out, columns=[*columns, "training_macs", "inference_macs", "key"])

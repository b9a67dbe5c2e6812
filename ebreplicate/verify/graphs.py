"""What a run over a graph says of itself, against its distances, its spec and the arithmetic of its costs."""

import math
from collections.abc import Iterator

from ebreplicate.catalog import GRAPH_ARMS, GRAPHS
from ebreplicate.specs.spec import GraphTickets
from ebreplicate.store.store import Store
from ebreplicate.verify.history import Record, differences, read_rows


def graph_problems(spec: GraphTickets, record: Record, store: Store) -> Iterator[str]:
    """Everything about one run: arms and draws, emergence, edges, accuracies, cost."""
    from ebreplicate.graphs.costs import of_run

    metrics = record["metrics"]
    yield from _arm_problems(spec, metrics)
    for name in ("accuracy", "accuracy_at_best_validation"):
        for arm, values in metrics[name].items():
            for value in values:
                count = value * metrics["test_nodes"] / 100
                if abs(count - round(count)) > 1e-6:
                    yield f"{name} of {arm}, {value:g}, is no count of {metrics['test_nodes']} test nodes"
    yield from differences(record["cost"], of_run(spec, metrics["epoch"]), " of its graph and ratios")
    if spec.p_graph:
        yield from _search_problems(spec, metrics, store)


def _arm_problems(spec: GraphTickets, metrics: Record) -> Iterator[str]:
    """Arms that the spec asks for, each with as many accuracies."""
    if spec.p_graph:
        last = spec.epochs if metrics["epoch"] is None else metrics["epoch"] + 1
        draws = [*spec.draws, last]
        lengths = dict.fromkeys(GRAPH_ARMS if spec.p_weight else GRAPH_ARMS[:1], len(draws))
        lengths |= {"random-edges": spec.random_graphs} if spec.random_graphs else {}
        yield from differences(metrics, {"draws": draws}, " of its spec and emergence")
        for name in ("tied", "edges"):
            if len(metrics[name]) != len(draws):
                yield f"{name}: {len(metrics[name])} values for {len(draws)} draws"
    else:
        lengths = {"unpruned": 1}
    for name in ("accuracy", "accuracy_at_best_validation"):
        yield from differences({a: len(v) for a, v in metrics[name].items()}, lengths, f" of its spec ({name})")


def _search_problems(spec: GraphTickets, metrics: Record, store: Store) -> Iterator[str]:
    """Emergence against the distances in history.csv; edges kept against the ratio."""
    from ebreplicate.pruning.graph import emergence, percent_of

    rows = read_rows(store.folder(spec) / "history.csv")
    columns = ["graph", "layer1", "layer2"] if spec.p_weight else ["graph"]
    if [row["epoch"] for row in rows] != list(range(spec.epochs - len(rows), spec.epochs)):
        yield "history.csv: its epochs are not the last of the search"
        return
    again = emergence([[int(row[c]) for c in columns] for row in rows], spec.epochs)
    yield from differences(metrics["emergence"], again, ", which is what the distances give")
    if metrics["epoch"] != again[spec.rule]:
        yield f"epoch {metrics['epoch']} against {again[spec.rule]}, which is what the rule {spec.rule!r} gives"
    edges, percent = GRAPHS[spec.dataset].edges, percent_of(spec.p_graph)
    least, most = int(edges * percent / 100), math.ceil((edges - 1) * percent / 100)
    for kept in metrics["edges"]:
        if not least <= edges - kept <= max(least, most):
            yield f"edges {kept} of {edges}: {edges - kept} are removed, not {least} to {max(least, most)}"
    for row in rows:
        if row["graph"] > 2 * edges * min(spec.p_graph, 1 - spec.p_graph) + 2:
            yield f"history.csv: epoch {row['epoch']:g}: {row['graph']:g} edges differ, more than there can"

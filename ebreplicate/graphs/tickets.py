"""Graph tickets: search, draws and retrainings of one graph at one pair of ratios (GEBT, AAAI 2022, algorithm 1)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ebreplicate import interrupt
from ebreplicate.catalog import GRAPH_ARMS
from ebreplicate.graphs.data import Graph
from ebreplicate.graphs.gcn import Weights, random_stream
from ebreplicate.graphs.search import EdgeSearch, State, graph_search, joint_search
from ebreplicate.graphs.sparse import Structure
from ebreplicate.graphs.training import Dropout, Outcome, Trainer, pretrained, start
from ebreplicate.interrupt import Interrupted
from ebreplicate.pruning.graph import GraphEarlyBird, emergence, random_edges, tied_share
from ebreplicate.specs import spec as specs


@dataclass
class Found:
    """What a run found: its metrics, the distances of every epoch, and whether every loss was finite."""

    metrics: dict[str, Any]
    history: list[dict[str, Any]]
    finite: bool


def run(spec: specs.GraphTickets, graph: Graph) -> Found:
    """The method: search with the detector watching, then retrain every draw in every arm."""
    retrainer = Retrainer(spec, graph)
    if not spec.p_graph:
        (outcome,) = retrainer.train(np.ones(len(graph.edges), bool), torch.ones(len(graph.edges)))
        return retrainer.found({"epoch": None}, {"unpruned": [outcome]}, [])
    states, detector = searched(spec, graph)
    first = emergence(detector.distances, detector.checks, detector.threshold, detector.patience)
    metrics: dict[str, Any] = {
        "epoch": first[spec.rule],
        "emergence": first,
        "draws": [state.epoch for state in states],
    }
    metrics["tied"] = [round(tied_share(state.edges.numpy()), 6) for state in states]
    metrics["edges"] = [int(state.keep.sum()) for state in states]
    names = GRAPH_ARMS if spec.p_weight else GRAPH_ARMS[:1]
    distinct = {state.epoch: state for state in states}
    retrained = {e: retrainer.train(state.keep, state.edges, state, names) for e, state in distinct.items()}
    by_draw = [retrained[state.epoch] for state in states]  # the detector may fire at a draw
    arms = {name: [outcomes[i] for outcomes in by_draw] for i, name in enumerate(names)}
    for number in range(spec.random_graphs):
        keep = random_edges(len(graph.edges), int(states[-1].keep.sum()), stream_seed(spec.seed, f"edges {number}"))
        arms.setdefault("random-edges", []).extend(retrainer.train(keep, torch.ones(len(graph.edges))))
    history = [
        {"epoch": epoch, **dict(zip(("graph", "layer1", "layer2"), distances, strict=False))}
        for epoch, distances in enumerate(detector.distances, detector.checks - len(detector.distances))
    ]
    return retrainer.found(metrics, arms, history)


def stream_seed(seed: int, name: str) -> int:
    """A seed of numpy's generator for the purpose `name` of a run."""
    return random_stream(seed, name).initial_seed()


def searched(spec: specs.GraphTickets, graph: Graph) -> tuple[list[State], GraphEarlyBird]:
    """The states at the draws, in order, then the one where the detector fired (or the last); and the detector."""
    randomness = random_stream(spec.seed, "search")
    view = Structure(graph.edges, graph.nodes).view(graph.train, graph.features)
    labels = torch.from_numpy(graph.labels[graph.train])
    search = EdgeSearch(view, labels, spec.p_graph, stream_seed(spec.seed, "ties"))
    states: Iterator[State]
    if spec.p_weight:
        weights = Weights.fresh(graph.features.shape[1], graph.classes, randomness)
        states = joint_search(search, weights, spec.p_weight, spec.epochs, randomness)
    else:
        weights = pretrained(graph, spec.epochs - 1, randomness)
        states = graph_search(search, weights, spec.epochs, randomness)
    detector, drawn, fired = GraphEarlyBird(spec.rule), [], None
    for state in states:
        if state.epoch in spec.draws:
            drawn.append(state)
        if state.epoch and detector.update(state.keep, matrices(state)) and fired is None:
            fired = state
    return [*drawn, fired or state], detector


def matrices(state: State) -> list[np.ndarray]:
    """The masks of both weight matrices, in their shapes, or none."""
    if state.weights is None or state.mask is None:
        return []
    w1, _, w2, _ = state.weights.parts(state.mask)
    return [w1.numpy(), w2.numpy()]


class Retrainer:
    """Retrains tickets of one seed: from the same fresh weights, with the same dropout, whatever was pruned."""

    def __init__(self, spec: specs.GraphTickets, graph: Graph):
        self.spec, self.graph = spec, graph
        randomness = random_stream(spec.seed, "retrain")
        self.fresh = Weights.fresh(graph.features.shape[1], graph.classes, randomness)
        self.dropout = Dropout(spec.epochs - 1, graph.nodes, randomness)

    def train(
        self, keep: np.ndarray, edge_weights: Tensor, state: State | None = None, arms: tuple[str, ...] = GRAPH_ARMS[:1]
    ) -> list[Outcome]:
        """Train each of `arms` on the kept edges (M,); raises Interrupted where the process was asked to stop."""
        if interrupt.wanted():
            raise Interrupted(f"{specs.key(self.spec)}: stopped; it begins again")
        weights, mask = (state.weights, state.mask) if state else (None, None)
        starts = [start(arm, self.fresh, weights, mask) for arm in arms]
        return Trainer(self.graph, keep, edge_weights).train(starts, self.dropout)

    def found(self, metrics: dict[str, Any], arms: dict[str, list[Outcome]], history: list[dict[str, Any]]) -> Found:
        """Everything of the run; the accuracies of every arm in the order of the draws."""
        every = [outcome for outcomes in arms.values() for outcome in outcomes]
        metrics |= {"epochs": self.spec.epochs, "test_nodes": len(self.graph.test)}
        metrics["accuracy"] = {name: [o.last for o in outcomes] for name, outcomes in arms.items()}
        metrics["accuracy_at_best_validation"] = {n: [o.best for o in outcomes] for n, outcomes in arms.items()}
        return Found(metrics, history, all(outcome.finite for outcome in every))

"""Training of networks on a pruned graph: what the searches start from, and the arms of retraining."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ebreplicate.catalog import GCN_HIDDEN
from ebreplicate.graphs.data import Graph
from ebreplicate.graphs.gcn import Adam, Weights, dropout_factors, fixed, forward, weight_adam, weight_gradient
from ebreplicate.graphs.sparse import Structure


@dataclass(frozen=True)
class Outcome:
    """Test accuracy of the last epoch and of the first epoch with the best validation accuracy, in percent; that epoch;
    and whether every loss was finite."""

    last: float
    best: float
    best_epoch: int
    finite: bool


class Dropout:
    """The dropout of a training of `updates` updates, kept as bits: trainings on different edges share it."""

    def __init__(self, updates: int, nodes: int, generator: torch.Generator):
        self.kept = torch.randint(0, 2, (updates, nodes, GCN_HIDDEN), generator=generator, dtype=torch.uint8)

    def factors(self, update: int, nodes: Tensor) -> Tensor:
        """Factors (B, 16), 0 or 2, of the hidden units of `nodes` (B,) at the 0-based `update`."""
        return self.kept[update, nodes].float() * 2


class Trainer:
    """Trains networks on one pruned graph: edges `keep` (M,) of `graph`, with weights (M,) that stay fixed."""

    def __init__(self, graph: Graph, keep: np.ndarray, edge_weights: Tensor):
        structure = Structure(graph.edges[keep], graph.nodes)
        kept = edge_weights[torch.from_numpy(keep)]
        self.view = structure.view(graph.train, graph.features)
        self.adjacency = fixed(self.view, kept)
        self.hidden = torch.from_numpy(self.view.hidden)
        self.labels = torch.from_numpy(graph.labels[graph.train])
        self.judges = {name: Judge(structure, kept, graph, nodes) for name, nodes in graph.judged.items()}

    def update(self, weights: Weights, adam: Adam, dropout: Tensor | None, mask: Tensor | None = None) -> float:
        """One update of the weights, in place; those that `mask` (P,) drops get no gradient and stay zero. Returns the
        sum of the networks' losses."""
        loss, gradient = weight_gradient(weights, self.view, self.adjacency, self.labels, dropout)
        adam.step(gradient if mask is None else gradient * mask)
        return loss

    def train(self, starts: Sequence[tuple[Weights, Tensor | None]], dropout: Dropout) -> list[Outcome]:
        """Train networks side by side, each from its weights and under its mask (P,) or none, an update for each of
        `dropout`. Side by side or alone, the numbers are the same up to rounding."""
        ones = [torch.ones_like(w.flat, dtype=torch.bool) if mask is None else mask for w, mask in starts]
        weights = Weights.beside([w for w, _ in starts])
        mask = Weights.beside([w.at(one) for (w, _), one in zip(starts, ones, strict=True)]).flat
        masked = None if bool(mask.all()) else mask
        adam, finite = weight_adam(weights), True
        best = [Best() for _ in starts]
        for update in range(len(dropout.kept)):
            finite &= math.isfinite(self.update(weights, adam, dropout.factors(update, self.hidden), masked))
            for i, accuracy in enumerate(self.judges["validation"].accuracies(weights)):
                if accuracy > best[i].accuracy:
                    best[i] = Best(accuracy, update + 1, weights.one(i))
        test = self.judges["test"].accuracies
        last = test(weights)
        return [Outcome(last[i], test(b.weights)[0], b.epoch, finite) for i, b in enumerate(best) if b.weights]


@dataclass(frozen=True)
class Best:
    """The best validation accuracy of a network so far (percent), its epoch and weights."""

    accuracy: float = -1.0
    epoch: int = 0
    weights: Weights | None = None


class Judge:
    """Accuracy at some nodes of a graph."""

    def __init__(self, structure: Structure, edge_weights: Tensor, graph: Graph, nodes: np.ndarray):
        self.view = structure.view(nodes, graph.features)
        self.adjacency = fixed(self.view, edge_weights)
        self.truth = torch.from_numpy(graph.labels[nodes])

    @torch.no_grad()
    def accuracies(self, weights: Weights) -> list[float]:
        """Accuracy in percent of every network."""
        logits = forward(weights.parts(weights.flat), self.view, self.adjacency)
        right = (logits.argmax(2) == self.truth[:, None]).sum(0)
        return [round(100 * int(n) / len(self.truth), 10) for n in right]


def pretrained(graph: Graph, updates: int, generator: torch.Generator) -> Weights:
    """Weights trained on the whole graph, from fresh ones: what a graph search freezes."""
    weights = Weights.fresh(graph.features.shape[1], graph.classes, generator)
    trainer = Trainer(graph, np.ones(len(graph.edges), bool), torch.ones(len(graph.edges)))
    adam, shape = weight_adam(weights), (len(trainer.hidden), GCN_HIDDEN)
    for _ in range(updates):
        trainer.update(weights, adam, dropout_factors(shape, generator))
    return weights


def start(arm: str, fresh: Weights, ticket: Weights | None, mask: Tensor | None) -> tuple[Weights, Tensor | None]:
    """The weights an arm of retraining starts from, and the mask, bool of shape (P,), it trains under (None: dense)."""
    if arm == "dense-fresh" or ticket is None or mask is None:
        return fresh, None
    own = ticket if arm == "inherit-masked" else fresh
    return own.at(own.flat * mask), mask

"""Searches for tickets: edges by ADMM on frozen weights (SGCN), and edges and weights together (GEBT, Algorithm 2)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ebreplicate.catalog import GCN_HIDDEN, GRAPH_SEARCH_ROUNDS
from ebreplicate.graphs.gcn import Adam, Weights, dropout_factors, fixed, forward, weight_adam, weight_gradient
from ebreplicate.graphs.sparse import View
from ebreplicate.pruning.graph import keep_edges, percent_of

RHO = 1e-3
"""Weight of the ADMM term."""
GRAPH_RATE = 0.001
"""Adam's rate for edge weights."""


class EdgeSearch:
    """Edge weights under ADMM: `update` is one step of Adam, `close_round` one update of Z and U.

    One weight stands for both directions and both layers of an edge: the authors average the gradients of the four.
    `detach`: leave out the gradient through U, as ADMM has it; the authors' code does not, so that after r rounds the
    proximal gradient 2 rho (a + U - Z) / N^2 counts 1 + r times. `live`: multiply the gradient by the edge weights, as
    their code does on a CPU, where the 0/1 pattern shares memory with them.
    """

    def __init__(self, view: View, labels: Tensor, ratio: float, seed: int, detach: bool = False, live: bool = False):
        self.view, self.labels, self.ratio, self.seed = view, labels, ratio, seed
        self.detach, self.live = detach, live
        self.edges = torch.ones(view.structure.count)
        self.split, self.dual = torch.zeros_like(self.edges), torch.zeros_like(self.edges)
        self.adam = Adam(self.edges, GRAPH_RATE)
        self.rounds = 0

    def update(self, weights: Weights, dropout: Tensor | None = None, combined: Tensor | None = None) -> None:
        """One update of the edge weights; `weights` stay. `dropout` (B, 16) and `combined` as `forward` takes them."""
        self.edges.requires_grad_(True)
        values = self.view.structure.values(self.edges)
        adjacency = (self.view.inner, values), (self.view.outer, values)
        logits = forward(weights.parts(weights.flat), self.view, adjacency, dropout, combined)
        loss = cross_entropy(logits[:, 0], self.labels)
        (gradient,) = torch.autograd.grad(loss, [self.edges])
        self.edges.requires_grad_(False)
        factor = 1 if self.detach else 1 + self.rounds
        near = (self.edges + self.dual - self.split) * (2 * RHO * factor / self.view.structure.nodes**2)
        gradient = gradient / 4 + near
        self.adam.step(gradient * self.edges if self.live else gradient)

    def keep(self) -> np.ndarray:
        """The mask of the edge weights as they are, bool (M,)."""
        return keep_edges(self.edges.numpy(), self.ratio, self.seed)

    def close_round(self, keep: np.ndarray | None = None) -> np.ndarray:
        """One ADMM round: Z = prune(a + U), U += a - Z. Returns the mask of Z, shape (M,); `keep` replaces it."""
        total = self.edges + self.dual
        kept = keep_edges(total.numpy(), self.ratio, self.seed) if keep is None else keep
        self.split = total * torch.from_numpy(kept)
        self.dual = total - self.split
        self.rounds += 1
        return kept


def keep_weights(weights: Weights, ratio: float) -> Tensor:
    """Mask of one network's parameters, bool (P,): of all weights together, keep |w| above the sorted |w| at index
    int(n p / 100). Biases are not pruned."""
    prunable = weights.constant(1, 0, 1, 0) > 0
    magnitude = weights.flat.abs()
    sizes = magnitude[prunable]
    threshold = sizes.kthvalue(int(len(sizes) * percent_of(ratio) / 100) + 1).values
    return (magnitude > threshold) | ~prunable


@dataclass
class State:
    """A search after some epochs: edge weights (M,), edge mask (M,), weights, and their mask (P,)."""

    epoch: int
    edges: Tensor
    keep: np.ndarray
    weights: Weights | None = None
    mask: Tensor | None = None


def graph_search(search: EdgeSearch, weights: Weights, epochs: int, dropout: torch.Generator | None) -> Iterator[State]:
    """Search edges on frozen weights: four ADMM rounds of a quarter of the epochs. Yields the state after 0, 1, ...
    epochs. `dropout`: its generator, or none."""
    shape = (len(search.view.hidden), GCN_HIDDEN)
    combined = search.view.features @ weights.parts(weights.flat)[0].flatten(1)
    yield State(0, search.edges.clone(), search.keep())
    for epoch in range(1, epochs + 1):
        search.update(weights, dropout_factors(shape, dropout) if dropout else None, combined)
        keep = search.keep()
        yield State(epoch, search.edges.clone(), keep)
        if epoch % (epochs // GRAPH_SEARCH_ROUNDS) == 0:
            search.close_round()


def joint_search(
    search: EdgeSearch, weights: Weights, ratio: float, epochs: int, dropout: torch.Generator | None
) -> Iterator[State]:
    """Search edges and weights together, from untrained `weights`, which change in place: each epoch one update of the
    weights, their global mask applied in place, one update of the edges, one ADMM round. Yields the state after 0, 1,
    ... epochs."""
    shape = (len(search.view.hidden), GCN_HIDDEN)
    adam = weight_adam(weights)

    def factors() -> Tensor | None:
        return dropout_factors(shape, dropout) if dropout else None

    mask = keep_weights(weights, ratio)
    yield State(0, search.edges.clone(), search.keep(), weights.at(weights.flat * mask), mask)
    for epoch in range(1, epochs + 1):
        adjacency = fixed(search.view, search.edges)
        adam.step(weight_gradient(weights, search.view, adjacency, search.labels, factors())[1])
        mask = keep_weights(weights, ratio)
        weights.flat.mul_(mask)
        search.update(weights, factors())
        yield State(epoch, search.edges.clone(), search.keep(), weights.copy(), mask)
        search.close_round()

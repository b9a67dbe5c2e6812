"""Masks over the edges of a graph, their distance, and the graph early-bird detector (GEBT: You et al., AAAI 2022).

An undirected graph of N nodes is an edge list, int (M, 2), each edge once, with one weight per edge. Self-loops are not
listed: every node has one of weight 1, which is never pruned. A mask is bool (M,), True = kept. A ratio is a fraction.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np
import scipy.sparse

from ebreplicate.catalog import GRAPH_RULES
from ebreplicate.errors import UserError, unknown


def percent_of(ratio: float) -> float:
    """A ratio in percent, as the authors' code has it: 0.29 gives 29.0, not 28.999999999999996.

    Raises UserError for a ratio outside [0, 1).
    """
    if not 0 <= ratio < 1:
        raise UserError(f"ratio: must lie in [0, 1), got {ratio}")
    return round(100 * ratio, 9)


def keep_edges(weights: np.ndarray, ratio: float, seed: int = 0) -> np.ndarray:
    """Choose the edges to keep: the largest weights; equal weights are removed in a random order.

    `weights`: float (M,). `ratio`: fraction removed. `seed`: of the order among equal weights, the same order at every
    call. Returns a bool mask (M,).

    The rule is that of the authors' code (prune_adj): remove |w| < percentile(|w|, p), linearly interpolated; if fewer
    than int(M p / 100) went, remove the smallest signed weights until as many have. Their code breaks ties by memory
    order. Raises UserError for weights that are no vector of finite numbers.
    """
    w, percent = np.asarray(weights), percent_of(ratio)
    if w.ndim != 1 or len(w) == 0 or not np.isfinite(w).all():
        raise UserError(f"weights: expected a non-empty vector of finite numbers, got shape {w.shape}")
    magnitude = np.abs(w)
    keep: np.ndarray = magnitude >= np.percentile(magnitude, percent)
    missing = int(len(w) * percent / 100) - int((~keep).sum())
    if missing > 0:
        order = np.random.default_rng(seed).permutation(len(w))
        order = order[keep[order]]
        keep[order[np.argsort(w[order], kind="stable")[:missing]]] = False
    return keep


def random_edges(edges: int, kept: int, seed: int) -> np.ndarray:
    """Choose `kept` of `edges` edges at random, each set equally likely. Returns a bool mask (edges,)."""
    mask = np.zeros(edges, bool)
    mask[np.random.default_rng(seed).permutation(edges)[:kept]] = True
    return mask


def edge_distance(a: np.ndarray, b: np.ndarray) -> int:
    """Count the entries of the symmetric mask matrices on which two edge masks (M,) differ: twice the edges.

    Raises UserError for masks of different shapes.
    """
    a, b = np.asarray(a, bool), np.asarray(b, bool)
    if a.shape != b.shape or a.ndim != 1:
        raise UserError(f"mask: expected two vectors of one length, got shapes {a.shape} and {b.shape}")
    return 2 * int(np.count_nonzero(a != b))


def tied_share(weights: np.ndarray) -> float:
    """Fraction of the edges in the largest group of exactly equal weights, shape (M,); 0 where no two are equal."""
    largest = int(np.unique(np.asarray(weights), return_counts=True)[1].max())
    return largest / len(weights) if largest > 1 else 0.0


def checked_edges(edges: np.ndarray, nodes: int) -> np.ndarray:
    """Return `edges` as int64 (M, 2); raises UserError for an index out of range, a self-loop or a repeated edge."""
    found = np.asarray(edges)
    if found.ndim != 2 or found.shape[1] != 2 or not np.issubdtype(found.dtype, np.integer):
        raise UserError(f"edges: expected integers of shape (M, 2), got {found.dtype} of shape {found.shape}")
    found = found.astype(np.int64)
    bad = np.flatnonzero(((found < 0) | (found >= nodes)).any(1))
    if len(bad):
        pair = tuple(found[bad[0]].tolist())
        raise UserError(f"edges: node index out of range in edge {bad[0]}, {pair}; the graph has {nodes} nodes")
    if (found[:, 0] == found[:, 1]).any():
        raise UserError("edges: a self-loop; every node has one of weight 1, leave it out")
    ordered = np.sort(found, axis=1)
    if len(np.unique(ordered[:, 0] * nodes + ordered[:, 1])) < len(found):
        raise UserError("edges: an edge stands twice; list each undirected edge once")
    return found


def normalised_adjacency(edges: np.ndarray, nodes: int, weights: np.ndarray | None = None) -> scipy.sparse.csr_matrix:
    """Build D^-1/2 (A + I) D^-1/2 of a weighted graph, D the row sums of A + I.

    `edges`: int (M, 2), each undirected edge once, no self-loops. `weights`: float (M,), default 1; one that is not
    positive counts as no edge. Returns a symmetric float32 CSR matrix (nodes, nodes). Raises UserError for a node index
    out of range, a self-loop, a repeated edge, and weights of another length.
    """
    pairs = checked_edges(edges, nodes)
    w = np.ones(len(pairs), np.float32) if weights is None else np.asarray(weights, np.float32)
    if w.shape != (len(pairs),):
        raise UserError(f"weights: expected one per edge, shape ({len(pairs)},), got {w.shape}")
    pairs, w = pairs[w > 0], w[w > 0]
    loops = np.arange(nodes)
    rows, cols = np.concatenate([pairs[:, 0], pairs[:, 1], loops]), np.concatenate([pairs[:, 1], pairs[:, 0], loops])
    values = np.concatenate([w, w, np.ones(nodes, np.float32)])
    scale = 1 / np.sqrt(np.bincount(rows, values, nodes)).astype(np.float32)
    return scipy.sparse.csr_matrix((values * scale[rows] * scale[cols], (rows, cols)), (nodes, nodes), np.float32)


class GraphEarlyBird:
    """Fire when masks have settled: the largest distance to the `queue` masks before, over its own first value.

    Rules: "graph" (edges), "weights" (layers' distances, each the largest of three, summed), their "mean" (the authors'
    code, run_threshold_jointEB.py) or "sum" (the paper's text), below `threshold`. As in the code a 0-based epoch up to
    `patience` never fires, and the first distance, to which all are normalised, is the first that is not zero; while
    all have been zero the value is nan.
    """

    def __init__(self, rule: str = "mean", threshold: float = 0.1, queue: int = 3, patience: int = 5):
        if rule not in GRAPH_RULES:
            raise unknown("rule", rule, GRAPH_RULES)
        if queue < 1:
            raise UserError(f"queue: needs at least 1 mask to compare with, got {queue}")
        self.rule, self.threshold, self.patience = rule, threshold, patience
        self.masks: deque[tuple[np.ndarray, ...]] = deque(maxlen=queue)
        self.checks = 0
        self.distances: list[tuple[int, ...]] = []
        """Of every check from the first full queue on: (graph, layer 1, layer 2, ...), entries that differ."""
        self.first: int | None = None
        """0-based epoch of the first check at which the rule held, or None."""

    def update(self, edges: np.ndarray, weights: Sequence[np.ndarray] = ()) -> bool:
        """Take the masks of one more epoch; True if the rule holds at this epoch.

        `edges`: edge mask, bool (M,). `weights`: weight mask of every layer, bool, any shape; none for rule "graph".
        Raises UserError for masks of other shapes than before.
        """
        masks = (np.array(edges, bool), *(np.array(w, bool).ravel() for w in weights))
        if self.masks and [m.shape for m in masks] != [m.shape for m in self.masks[-1]]:
            raise UserError("mask: shapes differ from those of the epoch before")
        if len(self.masks) == self.masks.maxlen:
            self.distances.append(tuple(largest_distance(new, old) for new, old in self._pairs(masks)))
        self.masks.append(masks)
        self.checks += 1
        holds = self.checks - 1 > self.patience and bool(self.distances) and self.value() < self.threshold
        if holds and self.first is None:
            self.first = self.checks - 1
        return holds

    def _pairs(self, masks: tuple[np.ndarray, ...]) -> list[tuple[np.ndarray, list[np.ndarray]]]:
        return [(mask, [old[i] for old in self.masks]) for i, mask in enumerate(masks)]

    def value(self) -> float:
        """What the rule compares with the threshold at the last check."""
        return float(normalised(self.distances)[self.rule][-1])


def largest_distance(mask: np.ndarray, before: Sequence[np.ndarray]) -> int:
    """The largest of the distances of a mask to those before it, all of one shape: how many entries differ."""
    return max(int(np.count_nonzero(mask != old)) for old in before)


def normalised(distances: Sequence[Sequence[int]]) -> dict[str, np.ndarray]:
    """Distances (checks, 1 + layers) of `GraphEarlyBird` as each rule sees them, (checks,); nan before a change."""
    table = np.asarray(distances, float).reshape(len(distances), -1)
    graph, weights = _over_first(2 * table[:, 0]), _over_first(table[:, 1:].sum(1))
    return {"graph": graph, "weights": weights, "mean": (graph + weights) / 2, "sum": graph + weights}


def emergence(
    distances: Sequence[Sequence[int]], epochs: int, threshold: float = 0.1, patience: int = 5
) -> dict[str, int | None]:
    """The 0-based epoch at which each rule held first, or None, from the distances of the last checks of `epochs`."""
    first: dict[str, int | None] = {}
    offset = epochs - len(distances)
    for rule, values in normalised(distances).items():
        holds = np.flatnonzero((values < threshold) & (np.arange(len(values)) + offset > patience))
        first[rule] = int(holds[0]) + offset if len(holds) else None
    return first


def _over_first(distances: np.ndarray) -> np.ndarray:
    """Every distance over the first that is not zero; nan before it."""
    changed = np.flatnonzero(distances)
    if not len(changed):
        return np.full(len(distances), np.nan)
    out: np.ndarray = distances / distances[changed[0]]
    out[: changed[0]] = np.nan
    return out

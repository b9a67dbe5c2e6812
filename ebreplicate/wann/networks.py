"""Forward passes of many networks at once, layer by layer."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy import sparse

from ebreplicate.wann.activations import FUNCTIONS
from ebreplicate.wann.genome import Genome

Array = np.ndarray


class Networks:
    """Networks with equally many inputs and outputs, each computed for C cases (trials, weights, images).

    `weights`: one array a network, the weight of each of its connections, disabled ones included; default: 1 each, to
    be scaled by a shared weight. Nodes that lead to no output are not computed.
    """

    def __init__(
        self, genomes: Sequence[Genome], cases: int, weights: Sequence[Array] | None = None, dtype: type = np.float64
    ):
        first = genomes[0]
        self.count, self.inputs, self.outputs = len(genomes), first.inputs, first.outputs
        live = [_live(g) for g in genomes]
        self.links = int(sum(mask.sum() for mask in live))
        """Connections that are computed: multiply-accumulates of one pass for one case of every network."""
        offsets = np.cumsum([0, *(g.nodes for g in genomes)])
        sources = np.concatenate([g.sources[m] + at for g, m, at in zip(genomes, live, offsets, strict=False)])
        ends = np.concatenate([g.destinations[m] + at for g, m, at in zip(genomes, live, offsets, strict=False)])
        given = [np.ones(len(g.sources)) for g in genomes] if weights is None else weights
        own: Array = np.concatenate([w[m] for w, m in zip(given, live, strict=True)]).astype(dtype)
        self._lay_out(genomes, sources, ends, own, offsets)
        self.values: Array = np.zeros((self.rows, cases), dtype)
        self.bias_and_inputs = self.values[: self.count * self.inputs].reshape(self.count, self.inputs, cases)
        """To be filled before a pass (networks, bias and inputs, cases); the bias is 1."""
        self.bias_and_inputs[:, 0] = 1

    def _lay_out(self, genomes: Sequence[Genome], sources: Array, ends: Array, values: Array, offsets: Array) -> None:
        """Rows for all nodes: inputs first, then layer by layer the computed hidden nodes by activation, outputs last.

        `rows`: how many; `steps`: of each layer its rows, its matrix, and its rows by activation.
        """
        number, before = int(offsets[-1]), self.count * self.inputs
        kind = np.zeros(number, np.int64)  # activation of hidden nodes
        group = np.full(number, -1, np.int64)  # 0: input, 1: hidden, 2: output
        for genome, at in zip(genomes, offsets[:-1], strict=True):
            hidden = at + genome.inputs + genome.outputs
            group[at : at + genome.inputs], group[at + genome.inputs : hidden] = 0, 2
            group[hidden : at + genome.nodes] = 1
            kind[hidden : at + genome.nodes] = genome.activations
        depth = _depths((group == 1).astype(np.int64), sources, ends)
        last = int(depth.max(initial=0)) + 1
        depth[group == 2] = last
        computed = group != 1
        computed[sources] = computed[ends] = True  # a node without an enabled input computes its activation of 0
        order = np.lexsort((np.arange(number), kind, depth))
        order = order[computed[order]]
        row = np.full(number, -1, np.int64)
        row[order] = np.arange(len(order))
        self.rows, self.steps = len(order), list[tuple[int, int, sparse.csr_array, list[tuple[int, int, int]]]]()
        depths, kinds = depth[order], kind[order]
        assert (depths[:before] == 0).all()
        for layer in range(1, last + 1):
            begin, end = np.searchsorted(depths, [layer, layer + 1])
            if begin == end:
                continue
            mine = (row[ends] >= begin) & (row[ends] < end)
            shape = (end - begin, begin)
            matrix = sparse.csr_array((values[mine], (row[ends[mine]] - begin, row[sources[mine]])), shape=shape)
            edges = [begin, *(begin + 1 + np.flatnonzero(np.diff(kinds[begin:end]))), end]
            parts = [(int(kinds[a]), int(a), int(b)) for a, b in pairwise(edges) if kinds[a]]
            self.steps.append((int(begin), int(end), matrix, parts))

    def forward(self, shared: Array | float = 1.0) -> Array:
        """Outputs (networks, outputs, cases) for what `bias_and_inputs` holds; `shared`: weight of each case (C,).

        The result is overwritten by the next pass.
        """
        values = self.values
        shared = np.asarray(shared, values.dtype)
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):  # of unbounded activations in a chain
            for begin, end, matrix, parts in self.steps:
                np.multiply(matrix @ values[:begin], shared, out=values[begin:end])
                for kind, first, last in parts:
                    FUNCTIONS[kind](values[first:last])
        found: Array = values[self.rows - self.count * self.outputs :].reshape(self.count, self.outputs, -1)
        return found


def _live(genome: Genome) -> Array:
    """Enabled connections from which an output can be reached (E,)."""
    reaches = np.zeros(genome.nodes, bool)
    reaches[genome.inputs : genome.inputs + genome.outputs] = True
    while True:
        live: Array = genome.enabled & reaches[genome.destinations]
        if reaches[genome.sources[live]].all():
            return live
        reaches[genome.sources[live]] = True


def _depths(least: Array, sources: Array, ends: Array) -> Array:
    """Longest path to each node, or its `least` depth if that is more; over connections without a cycle."""
    depth = least
    while True:
        longer = depth.copy()
        np.maximum.at(longer, ends, depth[sources] + 1)
        if np.array_equal(longer, depth):
            return depth
        depth = longer

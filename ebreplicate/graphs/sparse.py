"""Products of sparse and dense matrices, and the part of a graph that the output at some nodes depends on."""

import warnings
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from ebreplicate.pruning.graph import checked_edges

with warnings.catch_warnings():  # torch announces once a process that CSR tensors are in beta
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor(torch.zeros(1 + 1, dtype=torch.int32), torch.zeros(0, dtype=torch.int32), torch.zeros(0))


def _csr(crow: np.ndarray, col: np.ndarray, values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A torch CSR matrix of the same index arrays and `values`."""
    rows, cols = (torch.from_numpy(part.astype(np.int32, copy=False)) for part in (crow, col))
    return torch.sparse_csr_tensor(rows, cols, values, size=shape, check_invariants=False)


class Matrix:
    """A fixed sparse matrix (R, C); `matrix @ dense` passes the gradient of the dense factor."""

    def __init__(self, matrix: scipy.sparse.csr_matrix):
        self.shape = matrix.shape
        self.forward, self.transposed = (
            _csr(m.indptr, m.indices, torch.from_numpy(m.data.astype(np.float32, copy=False)), m.shape)
            for m in (matrix, matrix.T.tocsr())
        )

    def __matmul__(self, dense: Tensor) -> Tensor:
        return _FixedProduct.apply(self, dense)


class _FixedProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrix: Matrix, dense: Tensor) -> Tensor:
        ctx.matrix = matrix
        return matrix.forward @ dense

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        return None, ctx.matrix.transposed @ gradient


class Pattern:
    """Where a sparse matrix (R, C) has entries, and which of a vector of values each entry is.

    `places`: a CSR matrix whose data are 1 + that index.
    """

    def __init__(self, places: scipy.sparse.csr_matrix):
        self.shape = places.shape
        self.crow, self.col = places.indptr, places.indices
        self.index = torch.from_numpy(places.data.astype(np.int64) - 1)
        counts = np.diff(places.indptr)
        self.rows = torch.from_numpy(np.repeat(np.arange(places.shape[0]), counts))
        self.cols = torch.from_numpy(places.indices.astype(np.int64))
        order = scipy.sparse.csr_matrix((np.arange(1, 1 + places.nnz), self.col, self.crow), places.shape).T.tocsr()
        self.transposed_crow, self.transposed_col = order.indptr, order.indices
        self.order = torch.from_numpy(order.data.astype(np.int64) - 1)

    def product(self, values: Tensor, dense: Tensor) -> Tensor:
        """The matrix of `values` times `dense` (C, K); gradients pass to both."""
        return _WeightedProduct.apply(self, values[self.index], dense)

    def fixed(self, values: Tensor) -> Matrix:
        """The matrix of `values`, in the pattern's shape, as one that has no gradient."""
        entries = values.detach()[self.index].numpy()
        return Matrix(scipy.sparse.csr_matrix((entries, self.col, self.crow), self.shape))


class _WeightedProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pattern: Pattern, entries: Tensor, dense: Tensor) -> Tensor:
        ctx.pattern = pattern
        ctx.save_for_backward(entries, dense)
        return _csr(pattern.crow, pattern.col, entries, pattern.shape) @ dense

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, Tensor]:
        p, (entries, dense) = ctx.pattern, ctx.saved_tensors
        to_entries = (gradient[p.rows] * dense[p.cols]).sum(1)
        shape = (p.shape[1], p.shape[0])
        return None, to_entries, _csr(p.transposed_crow, p.transposed_col, entries[p.order], shape) @ gradient


class Structure:
    """The edges of a graph of `nodes` nodes; the values of D^-1/2 (A + I) D^-1/2 as a function of their weights."""

    def __init__(self, edges: np.ndarray, nodes: int):
        pairs = checked_edges(edges, nodes)
        self.nodes, self.count = nodes, len(pairs)
        self.first, self.second = torch.from_numpy(pairs[:, 0].copy()), torch.from_numpy(pairs[:, 1].copy())
        loops, edge = np.arange(nodes), np.arange(self.count)
        rows, cols = (
            np.concatenate([pairs[:, 0], pairs[:, 1], loops]),
            np.concatenate([pairs[:, 1], pairs[:, 0], loops]),
        )
        index = np.concatenate([edge, edge, self.count + loops])
        self.places = scipy.sparse.csr_matrix((1 + index, (rows, cols)), (nodes, nodes))

    def values(self, weights: Tensor) -> Tensor:
        """Values of the edges, then of the self-loops, float (M + N,), of edge weights (M,); gradients pass.

        A weight that is not positive counts as no edge.
        """
        w = weights * (weights > 0)
        degree = torch.ones(self.nodes).index_add(0, self.first, w).index_add(0, self.second, w)
        scale = degree.rsqrt()
        return torch.cat([w * scale[self.first] * scale[self.second], scale * scale])

    def view(self, nodes: np.ndarray, features: scipy.sparse.csr_matrix) -> "View":
        """What a two-layer network's output at `nodes`, int of shape (S,), depends on; `features` of shape (N, F)."""
        return View(self, nodes, features)


class View:
    """The two-hop neighbourhood of some nodes: rows of the features, and the entries of either propagation.

    A two-layer network's output at S nodes needs the hidden units of their B neighbours (themselves included), and
    those the features of the C neighbours of these. Leaving out the rest changes no number.
    """

    def __init__(self, structure: Structure, nodes: np.ndarray, features: scipy.sparse.csr_matrix):
        outer = structure.places[nodes]
        self.hidden = np.unique(outer.indices)
        inner = structure.places[self.hidden]
        seen = np.unique(inner.indices)
        self.outer, self.inner = Pattern(outer[:, self.hidden]), Pattern(inner[:, seen])
        self.features = Matrix(features[seen])
        self.structure = structure

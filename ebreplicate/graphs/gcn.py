"""The two-layer graph convolutional network of GEBT (Kipf & Welling's), several of them side by side, and Adam."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ebreplicate.catalog import GCN_HIDDEN
from ebreplicate.graphs.sparse import Matrix, Pattern, View

RATE, DECAY = 0.01, 5e-4
"""Adam's rate for weights, and weight decay on layer 1, its bias included; layer 2 has none."""


def random_stream(seed: int, name: str) -> torch.Generator:
    """An independent generator of random numbers for each purpose `name` of a run."""
    state = np.random.SeedSequence([seed, *name.encode()]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)


class Weights:
    """Parameters of K networks side by side, in one vector: w1 (F, K, 16), b1 (K, 16), w2 (K, 16, C), b2 (K, C)."""

    def __init__(self, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor):
        self.shapes = [p.shape for p in (w1, b1, w2, b2)]
        self.flat = torch.cat([p.reshape(-1) for p in (w1, b1, w2, b2)])

    @classmethod
    def fresh(cls, features: int, classes: int, generator: torch.Generator) -> "Weights":
        """One network: Glorot uniform weights, biases zero."""

        def glorot(rows: int, cols: int) -> Tensor:
            return (torch.rand(rows, cols, generator=generator) * 2 - 1) * math.sqrt(6 / (rows + cols))

        w1, w2 = glorot(features, GCN_HIDDEN), glorot(GCN_HIDDEN, classes)
        return cls(w1[:, None], torch.zeros(1, GCN_HIDDEN), w2[None], torch.zeros(1, classes))

    @classmethod
    def beside(cls, networks: Sequence["Weights"]) -> "Weights":
        """The same networks side by side."""
        parts = zip(*(n.parts(n.flat) for n in networks), strict=True)
        return cls(*(torch.cat(same, dim=1 if i == 0 else 0) for i, same in enumerate(parts)))

    def parts(self, flat: Tensor) -> list[Tensor]:
        """A vector (P,) of this layout as w1, b1, w2, b2, in their shapes."""
        sizes = [math.prod(shape) for shape in self.shapes]
        return [p.view(shape) for p, shape in zip(flat.split(sizes), self.shapes, strict=True)]

    def at(self, flat: Tensor) -> "Weights":
        """Weights of this layout with the values `flat`."""
        return Weights(*self.parts(flat))

    def one(self, network: int) -> "Weights":
        """A copy of one of the networks."""
        w1, b1, w2, b2 = self.parts(self.flat)
        where = slice(network, network + 1)
        return Weights(w1[:, where], b1[where], w2[where], b2[where])

    def copy(self) -> "Weights":
        """A copy that shares nothing."""
        return self.at(self.flat)

    def constant(self, layer1: float, bias1: float, layer2: float, bias2: float) -> Tensor:
        """A vector of this layout, shape (P,), with one value for each of w1, b1, w2, b2."""
        values = (layer1, bias1, layer2, bias2)
        return torch.cat([torch.full((math.prod(s),), v) for s, v in zip(self.shapes, values, strict=True)])


class Adam:
    """Adam as torch.optim computes it on one thread, whose first step would import torch's compiler for seconds."""

    def __init__(self, parameters: Tensor, rate: float, decay: Tensor | None = None):
        self.parameters, self.rate, self.decay = parameters, rate, decay
        self.first, self.second = torch.zeros_like(parameters), torch.zeros_like(parameters)
        self.steps = 0

    @torch.no_grad()
    def step(self, gradient: Tensor) -> None:
        """One update of the parameters (P,), in place."""
        self.steps += 1
        size, root = self.rate / (1 - 0.9**self.steps), math.sqrt(1 - 0.999**self.steps)
        if self.decay is not None:
            gradient = gradient.addcmul(self.parameters, self.decay)
        self.first.lerp_(gradient, 0.1)
        self.second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        self.parameters.addcdiv_(self.first, (self.second.sqrt() / root).add_(1e-8), value=-size)


def weight_adam(weights: Weights) -> Adam:
    """The optimiser of weights."""
    return Adam(weights.flat, RATE, weights.constant(DECAY, DECAY, 0.0, 0.0))


Propagation = tuple[Matrix | tuple[Pattern, Tensor], Matrix | tuple[Pattern, Tensor]]
"""Of the first layer and of the second: a fixed matrix, or a pattern and the values of its entries."""


def _propagate(matrix: "Matrix | tuple[Pattern, Tensor]", dense: Tensor) -> Tensor:
    return matrix @ dense if isinstance(matrix, Matrix) else matrix[0].product(matrix[1], dense)


def forward(
    parts: Sequence[Tensor],
    view: View,
    adjacency: Propagation,
    dropout: Tensor | None = None,
    combined: Tensor | None = None,
) -> Tensor:
    """Logits (S, K, C) of K networks at the view's S nodes.

    `parts`: w1, b1, w2, b2. `dropout`: factors (B, 16) of the hidden units, 0 or 2, the same in every network.
    `combined`: features times w1, (C', K * 16), where that is known.
    """
    w1, b1, w2, b2 = parts
    networks = b1.shape[0]
    combined = view.features @ w1.flatten(1) if combined is None else combined
    hidden = torch.relu(_propagate(adjacency[0], combined) + b1.flatten())
    if dropout is not None:
        hidden = hidden * dropout.repeat(1, networks)
    return (_propagate(adjacency[1], hidden @ torch.block_diag(*w2)) + b2.flatten()).view(-1, *b2.shape)


def fixed(view: View, edge_weights: Tensor) -> Propagation:
    """Both propagations of a view at edge weights (M,) that are not trained."""
    values = view.structure.values(edge_weights)
    return view.inner.fixed(values), view.outer.fixed(values)


def dropout_factors(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Factors of a dropout of one half: 0 or 2, float, of `shape`."""
    return torch.randint(0, 2, shape, generator=generator, dtype=torch.uint8).float() * 2


def weight_gradient(
    weights: Weights, view: View, adjacency: Propagation, labels: Tensor, dropout: Tensor | None
) -> tuple[float, Tensor]:
    """Sum of the networks' losses on one full batch, the view's nodes with `labels` (S,), and its gradient (P,)."""
    parts = [p.detach().requires_grad_() for p in weights.parts(weights.flat)]
    logits = forward(parts, view, adjacency, dropout)
    networks = logits.shape[1]
    loss = cross_entropy(logits.flatten(0, 1), labels.repeat_interleave(networks)) * networks
    gradients = torch.autograd.grad(loss, parts)
    return loss.item(), torch.cat([g.reshape(-1) for g in gradients])

"""A training step's forward and backward pass as a captured CUDA graph: one launch instead of hundreds.

PreResNet101 is bound by launching kernels on a large GPU. On by default there, off with EBREPLICATE_CUDA_GRAPH=0: it
replays the very kernels that were captured, so it is no part of a run's key. A graph is used only after its first
replay gave the loss and the gradients of the same step without one. No GPU was at hand when this was written:
bookkeeping and check are tested on a CPU with a stand-in for the graph, the capture has not been run (docs/speed.md).
"""

import os
import warnings
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ebreplicate.errors import UserError

TOLERANCE = 1e-2
"""Largest relative difference between a step's gradients (all in one vector), or its loss, with the graph and without.
Kernels are the same, so in practice there is none; a capture that went wrong is off by the gradients' own size."""

Compute = Callable[[Tensor, Tensor], Tensor]
"""Forward and backward of a batch: sets every gradient that is None, returns the detached loss."""


class Graph(Protocol):
    """What is captured."""

    def replay(self) -> None:
        """Run the captured kernels again, on the same memory."""


def wanted(device: torch.device) -> bool:
    """True if the device has graphs that nobody declined; raises UserError for a setting that is neither 0 nor 1."""
    text = os.environ.get("EBREPLICATE_CUDA_GRAPH", "1")
    if text not in ("0", "1"):
        raise UserError(f"EBREPLICATE_CUDA_GRAPH: expected 0 or 1, got {text!r}")
    return text == "1" and device.type == "cuda"


def capture_cuda(compute: Callable[[], Tensor]) -> tuple[Graph, Tensor]:
    """Capture `compute` on the current device; the graph, and the tensor, of any shape, that its result
    appears in."""
    graph = torch.cuda.CUDAGraph()
    # Another thread may pin memory for the next images meanwhile, which is no business of this capture.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        result = compute()
    return graph, result


def warm_up_cuda(compute: Callable[[], Tensor]) -> None:
    """Run `compute`, whose result may have any shape, on a side stream, where libraries choose algorithms and allocate
    before the capture."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            compute()
    torch.cuda.current_stream().wait_stream(side)


class Captured:
    """`compute`, captured for the first batch's shape; batches of another shape (the last of an epoch) run as ever.

    Gradients of the graph live in memory of its own and are put back before every replay, because steps of other
    shapes leave other ones. Warming up runs the forward pass, so batch-norm statistics are put back after it. A capture
    that fails, or replays another step than the one captured, is told once and never tried again.
    """

    def __init__(self, compute: Compute, model: nn.Module, capture: Any = capture_cuda, warm_up: Any = warm_up_cuda):
        self.compute, self.model = compute, model
        self.capture, self.warm_up = capture, warm_up
        self.graph: Graph | None = None
        self.failed = False

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Loss of the batch, gradients set."""
        if self.graph is None and not self.failed:
            self._prepare(x, y)
        if self.graph is None or x.shape != self.x.shape:
            return self._plain(x, y)
        self.x.copy_(x)
        self.y.copy_(y)
        self._replay(self.graph)
        return self.loss.clone()

    def _clear(self) -> None:
        for p in self.model.parameters():
            p.grad = None

    def _replay(self, graph: Graph) -> None:
        for p, gradient in self.gradients.items():
            p.grad = gradient
        graph.replay()

    def _left(self) -> dict[nn.Parameter, Tensor]:
        """The gradients that a step has left."""
        return {p: p.grad for p in self.model.parameters() if p.grad is not None}

    def _plain(self, x: Tensor, y: Tensor) -> Tensor:
        self._clear()
        return self.compute(x, y)

    def _prepare(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x.clone(), y.clone()
        buffers = list(self.model.buffers())
        before = [b.clone() for b in buffers]
        try:
            self.graph = self._checked()
        except RuntimeError as e:
            self.failed = True
            said, why = "the step could not be captured and runs without", str(e).partition("\n")[0]
            warnings.warn(f"EBREPLICATE_CUDA_GRAPH: {said} ({why})", stacklevel=2)
        with torch.no_grad():
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)

    def _checked(self) -> Graph:
        """Capture the step; raises RuntimeError where that fails, or where a replay is not the step."""
        self.warm_up(lambda: self._plain(self.x, self.y))
        loss = self._plain(self.x, self.y).clone()
        expected = {p: gradient.clone() for p, gradient in self._left().items()}
        self._clear()
        graph, self.loss = self.capture(lambda: self.compute(self.x, self.y))
        self.gradients = self._left()
        if expected.keys() != self.gradients.keys():
            raise RuntimeError("other parameters have gradients than without a graph")
        for gradient in self.gradients.values():
            gradient.zero_()  # what is found there after the replay, the replay has left
        self._replay(graph)
        for off in (_off([*self.gradients.values()], [*expected.values()]), _off([self.loss], [loss])):
            if not off <= TOLERANCE:  # nor where it is nan
                raise RuntimeError(f"a replay is off by {off:.2g} of the step without a graph")
        return graph


@torch.no_grad()
def _off(found: list[Tensor], expected: list[Tensor]) -> float:
    """Norm of the difference of two vectors, each given in pieces of any shape, as a fraction of the second's."""

    def norm(pieces: list[Tensor]) -> Tensor:
        return torch.stack([piece.double().norm() for piece in pieces]).norm()

    return (norm([f - e for f, e in zip(found, expected, strict=True)]) / norm(expected)).item()

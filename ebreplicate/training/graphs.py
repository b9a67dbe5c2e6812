"""A training step's forward and backward pass as a captured CUDA graph: one launch instead of hundreds.

PreResNet101 is bound by launching kernels on a large GPU. Asked for by EBREPLICATE_CUDA_GRAPH=1; it replays the very
kernels that were captured, so it is no part of a run's key. No GPU was at hand when this was written: the bookkeeping
is tested on a CPU with a stand-in for the graph, the capture itself has not been run (docs/speed.md).
"""

import os
import warnings
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ebreplicate.errors import UserError

Compute = Callable[[Tensor, Tensor], Tensor]
"""Forward and backward of a batch: sets every gradient that is None, returns the detached loss."""


class Graph(Protocol):
    """What is captured."""

    def replay(self) -> None:
        """Run the captured kernels again, on the same memory."""


def wanted(device: torch.device) -> bool:
    """True if graphs were asked for and the device has them; raises UserError for a setting that is neither 0 nor 1."""
    text = os.environ.get("EBREPLICATE_CUDA_GRAPH", "0")
    if text not in ("0", "1"):
        raise UserError(f"EBREPLICATE_CUDA_GRAPH: expected 0 or 1, got {text!r}")
    return text == "1" and device.type == "cuda"


def capture_cuda(compute: Callable[[], Tensor]) -> tuple[Graph, Tensor]:
    """Capture `compute` on the current device; the graph, and the tensor, of any shape, that its result
    appears in."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
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
    that fails is told once and never tried again.
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
            self._clear()
            return self.compute(x, y)
        self.x.copy_(x)
        self.y.copy_(y)
        for p, gradient in self.gradients:
            p.grad = gradient
        self.graph.replay()
        return self.loss.clone()

    def _clear(self) -> None:
        for p in self.model.parameters():
            p.grad = None

    def _prepare(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x.clone(), y.clone()

        def step() -> Tensor:
            self._clear()
            return self.compute(self.x, self.y)

        buffers = list(self.model.buffers())
        before = [b.clone() for b in buffers]
        try:
            self.warm_up(step)
            self._clear()
            graph, self.loss = self.capture(lambda: self.compute(self.x, self.y))
        except RuntimeError as e:
            self.failed = True
            warnings.warn(
                f"EBREPLICATE_CUDA_GRAPH: the step could not be captured and runs without ({e})", stacklevel=2
            )
        else:
            self.graph = graph
            self.gradients = [(p, p.grad) for p in self.model.parameters() if p.grad is not None]
        with torch.no_grad():
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)

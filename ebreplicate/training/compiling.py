"""A network compiled by torch, for training on a GPU (Recipe.compiled).

Between its convolutions a ResNet reads and writes every feature map a dozen times; a compiler puts batch norm, ReLU and
additions into few passes. That networks trace whole and then train as they do uncompiled is tested on a CPU; what
compiling costs and gains on a GPU the benchmark measures (docs/speed.md).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ebreplicate.errors import UserError
from ebreplicate.specs.spec import LOW_PRECISIONS

OPTIONS = {"deterministic": True}
"""Of torch's compiler: it chooses kernels by rule, not by timing them, so that a continued run ends with the bits of
one that never stopped."""


def wanted(compiled: bool, precision: str, device: torch.device) -> bool:
    """True if a training that asks to be `compiled` is: on a GPU, but not in eight bits, which are emulated."""
    return compiled and device.type == "cuda" and precision not in LOW_PRECISIONS


class Compiled:
    """`network`, its passes over batches of the first one's shape compiled; batches of another shape (the last of an
    epoch) run uncompiled, since each shape would be compiled anew.

    Raises UserError where the network cannot be compiled.
    """

    def __init__(self, network: Callable[[Tensor], Any], **how: Any):
        from torch._dynamo.exc import TorchDynamoException  # takes seconds

        torch.compiler.reset()  # code is kept by class of network, for no more than eight networks of a process
        self.failure = TorchDynamoException
        self.plain = network
        self.compiled = torch.compile(network, fullgraph=True, dynamic=False, **how or {"options": OPTIONS})
        self.shape: torch.Size | None = None

    def __call__(self, x: Tensor) -> Any:
        """What `network` says of x."""
        self.shape = self.shape or x.shape
        if x.shape != self.shape:
            return self.plain(x)
        try:
            return self.compiled(x)
        except self.failure as e:
            cause = getattr(e, "inner_exception", e)
            why = next(line for line in (*str(cause).splitlines(), type(cause).__name__) if line.strip())
            raise UserError(f"Recipe.compiled: torch cannot compile this network here ({why}); leave it out") from e

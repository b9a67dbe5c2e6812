"""What is alive of a sparse fully connected network: input pixels and hidden neurons that take part in its output."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ebreplicate.models.lenet import PixelSelection
from ebreplicate.pruning.sizes import size_bytes


class Compact(NamedTuple):
    """A network without its dead pixels and neurons.

    `pixels`: indexes of the inputs that stay, int64 (k,). `masks`: bool (out, in) of every layer, cut down.
    """

    pixels: Tensor
    masks: list[Tensor]

    @property
    def sizes(self) -> list[int]:
        """Inputs, hidden neurons of every layer, outputs: 408, 100, 69, 10 in RigL's Table 2."""
        return [self.masks[0].shape[1], *(mask.shape[0] for mask in self.masks)]

    @property
    def nonzero(self) -> int:
        """Weights that are not zero."""
        return sum(int(mask.count_nonzero()) for mask in self.masks)

    @property
    def size_bytes(self) -> int:
        """Bytes of the network, as RigL counts them: non-zero weights, biases and a bit-mask."""
        return size_bytes(self.sizes, self.nonzero)


def _once(network: Compact) -> Compact:
    used = network.masks[0].any(0)
    masks = [network.masks[0][:, used], *network.masks[1:]]
    for i in range(len(masks) - 1):
        alive = masks[i].any(1) & masks[i + 1].any(0)
        masks[i], masks[i + 1] = masks[i][alive], masks[i + 1][:, alive]
    return Compact(network.pixels[used], masks)


def compact(masks: Sequence[Tensor], until_stable: bool = False) -> Compact:
    """Remove dead pixels and neurons from a chain of linear layers with `masks`, bool (out, in) each.

    Pixels without a connection go; then, layer by layer, hidden neurons without an incoming or without an outgoing
    connection. One pass forward, as RigL's code (mnist_train_eval.py, get_compressed_fc): a neuron that loses its last
    outgoing connection by a later removal stays, unless the pass is repeated `until_stable`. Outputs all stay.
    """
    network = _once(Compact(torch.arange(masks[0].shape[1], device=masks[0].device), list(masks)))
    while until_stable:
        smaller = _once(network)
        if smaller.sizes == network.sizes:
            break
        network = smaller
    return network


def input_connections(mask: Tensor, trained: nn.Module, inputs: int) -> list[int]:
    """Non-zero weights at each of the `inputs` pixels, from the first layer's mask, bool (out, in).

    A pixel that a compact network does not see has none.
    """
    counts = torch.zeros(inputs, dtype=torch.int64)
    selection = next((m for m in trained.modules() if isinstance(m, PixelSelection)), None)
    pixels = torch.arange(inputs) if selection is None else selection.indexes.cpu()
    counts[pixels] = mask.sum(0)
    return counts.tolist()


def alive_facts(masks: list[Tensor], start: Tensor, trained: nn.Module, inputs: int) -> dict[str, Any]:
    """Sizes of a fully connected network without dead neurons, and its connections at each of `inputs` pixels.

    `masks`: of every layer at the end, bool (out, in), on the CPU; `start`: of the first layer before training.
    """
    once, stable = compact(masks), compact(masks, until_stable=True)
    connections = {when: input_connections(m, trained, inputs) for when, m in (("start", start), ("end", masks[0]))}
    return {
        "input_connections": connections,
        "architecture": once.sizes,
        "compact_nnz": once.nonzero,
        "compact_bytes": once.size_bytes,
        "stable_architecture": stable.sizes,
        "stable_nnz": stable.nonzero,
    }

"""Multiplications and bytes of chains of linear layers, as RigL counts them (Evci et al., 2020, appendix B). No torch.

`sizes` are inputs, hidden neurons of every layer, outputs: 784, 300, 100, 10 for LeNet-300-100 on MNIST.
"""

from collections.abc import Sequence
from itertools import pairwise

WEIGHT_BYTES = 4
"""Bytes of a weight or bias in single precision."""


def products(sizes: Sequence[int]) -> list[int]:
    """Weights of every dense layer, which are its multiplications for one input."""
    return [a * b for a, b in pairwise(sizes)]


def size_bytes(sizes: Sequence[int], nonzero: int) -> int:
    """Bytes of a network with `nonzero` weights and dense biases: four a weight and a bias.

    The positions of a sparse network are a bit-mask of each layer in whole bytes; a dense network needs none.
    """
    layers = products(sizes)
    mask = 0 if nonzero == sum(layers) else sum(-(-n // 8) for n in layers)
    return WEIGHT_BYTES * (nonzero + sum(sizes[1:])) + mask

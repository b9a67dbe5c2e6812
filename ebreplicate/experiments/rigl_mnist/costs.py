"""FLOPs and bytes of multilayer perceptrons as RigL counts them (appendix B, Table 2). No torch.

A layer of n multiplications costs 2 n FLOPs forward, 2 n for the gradient of its weights and 2 n for that of its
inputs, which the first layer does not need: the inputs are pixels.
"""

from collections.abc import Sequence

from ebreplicate.pruning.sizes import WEIGHT_BYTES, size_bytes

IMAGES, EPOCHS = 60_000, 200
UPDATE_EVERY = 100


def inference_kflop(nonzero: float) -> float:
    """Thousand FLOPs of one image through a network with `nonzero` weights."""
    return 2 * nonzero / 1e3


def training_gflop(
    kept: Sequence[float], dense: Sequence[int] | None = None, images: int = IMAGES * EPOCHS, every: int = UPDATE_EVERY
) -> float:
    """10^9 FLOPs of training on `images` images with `kept` multiplications in every layer.

    `dense`: multiplications of the layers when dense, for RigL: one step in every `every` + 1 then computes the dense
    gradient of the weights. The printed numbers charge this to the end of training, whenever updates stop.
    """
    first, *rest = kept
    step = 2 * first + 3 * sum(rest)
    if dense is not None:
        update = first + dense[0] + sum(2 * k + d for k, d in zip(rest, dense[1:], strict=True))
        step = (every * step + update) / (every + 1)
    return 2 * step * images / 1e9


def nonzero_of(sizes: Sequence[int], size: int) -> float:
    """Non-zero weights of a sparse perceptron that takes `size` bytes: the inverse of `size_bytes`."""
    return (size - size_bytes(sizes, 0)) / WEIGHT_BYTES

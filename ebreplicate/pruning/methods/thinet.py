"""ThiNet (Luo et al., ICCV 2017): drop the channels whose absence the next layer's output notices least.

Section 3.2: at sampled locations of training images the next layer's output is a sum of one term per input channel;
the channels removed are those whose summed terms have the least energy, found greedily (Algorithm 1). All layers are
chosen from the dense network at once; the paper goes layer by layer with an epoch or two of fine-tuning in between,
and rescales the kept channels by least squares (equation 7). A draw gives a mask, and the retrain that follows is a
whole training, so neither is done (docs/deviations.md).
"""

import torch
from torch import Tensor, nn

from ebreplicate.errors import UserError
from ebreplicate.models.common import Layer
from ebreplicate.pruning.methods.base import DrawContext
from ebreplicate.pruning.methods.layers import kept, mask_of, neighbours

IMAGES = 1000
"""Training images looked at: ten a class of CIFAR-100, as many as the paper takes a class of ImageNet."""
LOCATIONS = 10
"""Locations (each with one output channel) sampled of every image and layer, as in the paper."""
BATCH = 50


def contributions(layer: Layer, x: Tensor, generator: torch.Generator) -> Tensor:
    """Terms of each input channel in randomly sampled outputs of `layer`: (B * LOCATIONS, C_in), bias left out.

    `layer`: convolution (groups 1) or linear; `x`: its input (B, C_in, H, W) or (B, C_in). A row sums to one output
    value: equation 5 of the paper.
    """
    weight = layer.weight.detach().flatten(2) if layer.weight.ndim == 4 else layer.weight.detach()[:, :, None]
    if x.ndim == 2:
        x = x[:, :, None, None]
    kernel, stride, pad = (1, 1, 0)
    if isinstance(layer, nn.Conv2d):
        kernel, stride, pad = layer.kernel_size[0], layer.stride[0], int(layer.padding[0])
    high, wide = ((side + 2 * pad - kernel) // stride + 1 for side in x.shape[2:])
    padded = nn.functional.pad(x, (pad,) * 4)
    n = len(x) * LOCATIONS
    image = torch.arange(len(x)).repeat_interleave(LOCATIONS)
    row, column, channel = (torch.randint(0, size, (n,), generator=generator) for size in (high, wide, len(weight)))
    window = torch.arange(kernel)
    rows, columns = row[:, None] * stride + window, column[:, None] * stride + window
    patches = padded[image[:, None, None], :, rows[:, :, None], columns[:, None, :]]  # (n, k, k, C)
    return (patches.flatten(1, 2).movedim(2, 1) * weight[channel]).sum(2)


def removed(gram: Tensor, count: int) -> Tensor:
    """Indices of `count` channels whose summed terms have the least energy, chosen greedily (Algorithm 1).

    `gram`: (C, C), products of the channels' terms summed over samples, so that the energy of a set T is the sum of
    gram over T x T, and adding channel j costs gram[j, j] + 2 sum of gram[j, T].
    """
    gone = torch.zeros(len(gram), dtype=torch.bool)
    for _ in range(count):
        added = gram.diagonal() + 2 * gram[gone].sum(0)
        gone[added.masked_fill(gone, torch.inf).argmin()] = True
    return gone.nonzero().flatten()


@torch.no_grad()
def _grams(model: nn.Module, layers: list[Layer], images: Tensor, generator: torch.Generator) -> list[Tensor]:
    """Gram matrix of every layer's contributions over `images`, in one pass of the dense network."""
    grams: dict[nn.Module, Tensor] = {}

    def look(layer: Layer, inputs: tuple[Tensor, ...]) -> None:
        terms = contributions(layer, inputs[0].float(), generator).double()
        grams[layer] = grams.get(layer, 0.0) + terms.T @ terms

    handles = [layer.register_forward_pre_hook(look) for layer in layers]
    training = model.training
    model.eval()
    for batch in images.split(BATCH):
        model(batch)
    model.train(training)
    for handle in handles:
        handle.remove()
    return [grams[layer] for layer in layers]


def thinet(context: DrawContext) -> Tensor:
    """Keep the same fraction of every prunable layer, by reconstruction error of the layer behind it; bool (N,).

    Raises UserError without the network of the draw epoch and training images.
    """
    model = context.dense()
    if context.images is None:
        raise UserError("DrawContext.images: method 'thinet' needs training images")
    pairs = neighbours(model)
    layers = [pair[1] for pair in pairs if pair is not None]
    grams = iter(_grams(model, layers, context.images(IMAGES), context.generator()))
    pieces = []
    for pair, width in zip(pairs, context.widths, strict=True):
        keep = torch.ones(width, dtype=torch.bool)
        if pair is not None:
            keep = ~mask_of(removed(next(grams), width - kept(width, context.ratio)), width)
        pieces.append(keep)
    return torch.cat(pieces)

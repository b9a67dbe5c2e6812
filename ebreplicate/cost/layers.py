"""What each convolution and linear layer of a network computes for one image."""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import nn

from ebreplicate.models.common import Layer, weight_layers


@dataclass(frozen=True)
class LayerCost:
    """One convolution or linear layer for one image: multiply-adds when dense, and output elements."""

    products: int
    outputs: int


@torch.no_grad()
def layer_costs(model: nn.Module, input_shape: Iterable[int]) -> dict[str, LayerCost]:
    """Cost of every convolution and linear layer for one image of `input_shape` (3, H, W), by name.

    One image of zeros goes through a copy on the CPU. A layer that is used several times costs several times, one
    that is not used nothing.
    """
    found: dict[str, LayerCost] = {}

    def record(name: str) -> Callable[[Layer, object, torch.Tensor], None]:
        def hook(layer: Layer, _inputs: object, out: torch.Tensor) -> None:
            outputs = found[name].outputs + out.numel()
            found[name] = LayerCost(outputs * layer.weight[0].numel(), outputs)

        return hook

    traced = copy.deepcopy(model).cpu().float().eval()
    for name, layer in weight_layers(traced).items():
        found[name] = LayerCost(0, 0)
        layer.register_forward_hook(record(name))
    # Not on the device "meta": its first operation imports torch._dynamo, which takes longer than this.
    traced(torch.zeros(1, *input_shape))
    return found

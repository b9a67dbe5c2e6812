"""FLOPs of sparse networks: only multiplications by non-zero weights count (RigL, section 4 and appendix H)."""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from ebreplicate.cost import PER_MULTIPLY_ADD
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


def skipped_products(costs: Mapping[str, LayerCost], density: Mapping[str, float]) -> float:
    """Multiply-adds by zero weights for one image; layers without a density are dense."""
    return sum((1 - density.get(name, 1.0)) * cost.products for name, cost in costs.items())


def sparse_forward(
    dense: Mapping[str, float], costs: Mapping[str, LayerCost], density: Mapping[str, float]
) -> dict[str, float]:
    """Forward FLOPs of the sparse network under every convention, from those of the dense one and layer densities."""
    skipped = skipped_products(costs, density)
    return {name: flops - PER_MULTIPLY_ADD[name] * skipped for name, flops in dense.items()}


def rigl_forward(costs: Mapping[str, LayerCost], density: Mapping[str, float] | None = None) -> float:
    """Forward FLOPs as RigL's code counts them: 2 per non-zero product, and per output one for the activation.

    The count (google-research micronet_challenge/counting.py) has L products and L - 1 additions an output, one
    addition for the bias and one multiplication for the ReLU: 2 L + 1. Pass no densities for the dense network.
    """
    density = density or {}
    products = sum(density.get(name, 1.0) * cost.products for name, cost in costs.items())
    return 2 * products + sum(cost.outputs for cost in costs.values())

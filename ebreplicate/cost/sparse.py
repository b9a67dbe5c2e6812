"""FLOPs of sparse networks: only multiplications by non-zero weights count (RigL, section 4 and appendix H)."""

from collections.abc import Mapping

from ebreplicate.cost import PER_MULTIPLY_ADD
from ebreplicate.cost.layers import LayerCost


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

"""How many weights each layer of a sparse network has: uniform, Erdos-Renyi, Erdos-Renyi-Kernel (RigL, section 3).

Everything is counted in whole weights: the layers' counts add up to the target exactly. No torch.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from ebreplicate.catalog import DISTRIBUTIONS
from ebreplicate.errors import UserError, unknown

Shape = Sequence[int]
"""Shape of a weight: (out, in per group, height, width) or (out, in)."""


def raw_density(shape: Shape, distribution: str) -> float:
    """Density of a layer up to the common factor: 1, (in + out) / (in * out), or the same over all four dimensions."""
    dimensions = {"uniform": (), "erk": shape[:2], "erk-kernel": shape}[distribution]
    return sum(dimensions) / math.prod(dimensions) if dimensions else 1.0


def layer_counts(shapes: Sequence[Shape], sparsity: float, distribution: str, dense: Collection[int] = ()) -> list[int]:
    """Non-zero weights of every layer; layers whose index is in `dense` keep all of theirs and are not counted.

    The other layers get round((1 - sparsity) * their weights) in total, to the weight. Densities are proportional to
    `raw_density`; a layer that would exceed density 1 becomes dense, and the factor is found again for the rest, as in
    RigL's code. Rounding: every layer its floor (at least 1), the rest goes to the largest remainders, earlier
    layers first. Raises UserError for an unknown name, and where fewer weights than layers remain.
    """
    if distribution not in DISTRIBUTIONS:
        raise unknown("distribution", distribution, DISTRIBUTIONS)
    sizes = [math.prod(shape) for shape in shapes]
    free = [i for i in range(len(shapes)) if i not in dense]
    target = round((1 - sparsity) * sum(sizes[i] for i in free))
    if target < len(free):
        raise UserError(f"Sparse.sparsity: {sparsity} leaves {target} weights in {len(free)} layers; lower it")
    counts = apportion({i: (raw_density(shapes[i], distribution), sizes[i]) for i in free}, target, least=1)
    return [counts.get(i, size) for i, size in enumerate(sizes)]


Key = TypeVar("Key")


def apportion(layers: Mapping[Key, tuple[float, int]], target: int, least: int = 0) -> dict[Key, int]:
    """Share `target` whole weights among layers of (raw density, size), in proportion to raw density * size.

    No layer gets more than its size or less than `least`. Rounding as in `layer_counts`.
    """
    return _whole(_capped(layers, target), {i: size for i, (_, size) in layers.items()}, target, least)


def _capped(layers: Mapping[Key, tuple[float, int]], target: int) -> dict[Key, float]:
    """Real-valued counts: factor * raw density * size, none above its size, with sum `target`."""
    full: set[Key] = set()
    while True:
        left = target - sum(layers[i][1] for i in full)
        rest = {i: raw for i, (raw, _) in layers.items() if i not in full}
        factor = left / sum(raw * layers[i][1] for i, raw in rest.items()) if rest else 0.0
        highest = max(rest.values(), default=0.0)
        if factor * highest <= 1:
            return {i: float(size) if i in full else factor * raw * size for i, (raw, size) in layers.items()}
        full |= {i for i, raw in rest.items() if raw == highest}


def _whole(wanted: dict[Key, float], sizes: dict[Key, int], target: int, least: int) -> dict[Key, int]:
    """Whole counts between `least` and the size, with sum `target`, by largest remainder."""
    counts = {i: min(max(least, math.floor(w)), sizes[i]) for i, w in wanted.items()}
    order = sorted(wanted, key=lambda i: counts[i] - wanted[i])  # the layer most below its share first
    missing = target - sum(counts.values())
    while missing:
        step = 1 if missing > 0 else -1
        for i in order if step > 0 else reversed(order):
            if missing and least <= counts[i] + step <= sizes[i]:
                counts[i] += step
                missing -= step
    return counts

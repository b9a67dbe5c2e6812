"""Pruning methods: one small pure function each, `method(DrawContext) -> BoolTensor[N]` (True = kept).

To add one: a file here with the function, one line below, its published numbers. The contract tests then cover it.
"""

from ebreplicate.registry import Registry

METHODS = Registry(
    "method",
    {
        "slimming": "ebreplicate.pruning.methods.slimming:slimming",
        "random": "ebreplicate.pruning.methods.random:random_channels",
        "thinet": "ebreplicate.pruning.methods.thinet:thinet",
        "uniform": "ebreplicate.pruning.methods.uniform:uniform",
        "magnitude": "ebreplicate.pruning.methods.magnitude:magnitude",
        "random-weights": "ebreplicate.pruning.methods.magnitude:random_weights",
        "taylor": "ebreplicate.pruning.methods.taylor:taylor",
        "soft": "ebreplicate.pruning.methods.soft:soft",
    },
)
WEIGHT_METHODS = ("magnitude", "random-weights")
"""Methods whose mask is over single weights (every convolution and linear weight), not channels."""
NEEDS_WEIGHTS = ("thinet", "uniform", "magnitude", "random-weights", "soft")
"""Methods that look at the weights of the draw epoch, which the search must therefore keep."""

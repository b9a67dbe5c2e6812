"""Pruning methods: one small pure function each, `method(DrawContext) -> BoolTensor[N]` (True = kept).

To add one: a file here with the function, one line below, its published numbers. The contract tests then cover it.
"""

from ebreplicate.registry import Registry

METHODS = Registry(
    "method",
    {
        "slimming": "ebreplicate.pruning.methods.slimming:slimming",
        "random": "ebreplicate.pruning.methods.random:random_channels",
    },
)

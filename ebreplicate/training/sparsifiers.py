"""The names of sparse training methods and layer distributions, without torch."""

from ebreplicate.registry import Registry

DISTRIBUTIONS = ("uniform", "erk", "erk-kernel")
"""Sparsity of each layer: equal (first layer dense); Erdos-Renyi over (in, out); the same with kernel sizes (RigL,
section 3)."""

SPARSIFIERS = Registry(
    "sparse method",
    {
        "static": "ebreplicate.training.sparse:Static",
        "small-dense": "ebreplicate.training.sparse:SmallDense",
        "snip": "ebreplicate.training.sparse:SNIP",
        "set": "ebreplicate.training.dynamic:SET",
        "snfs": "ebreplicate.training.dynamic:SNFS",
        "rigl": "ebreplicate.training.dynamic:RigL",
        "gmp": "ebreplicate.training.dynamic:GradualMagnitude",
    },
)

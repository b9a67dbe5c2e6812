"""The names of sparse training methods and layer distributions, without torch."""

from ebreplicate.registry import Registry

DISTRIBUTIONS = ("uniform", "erk", "erk-kernel")
"""Sparsity of each layer: equal (first layer dense); Erdos-Renyi over (in, out); the same with kernel sizes (RigL,
section 3)."""

SPARSIFIERS = Registry("sparse method", {})

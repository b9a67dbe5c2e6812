"""Which trainings the item needs: one of every method a seed. No torch."""

from dataclasses import dataclass
from typing import Any

from ebreplicate.catalog import SPARSIFIERS
from ebreplicate.experiments.common.arms import Planned
from ebreplicate.specs.fields import Spec
from ebreplicate.specs.scale import Scale, need_distinct
from ebreplicate.specs.spec import Recipe, Search, Sparse

ITEM, MODEL, DENSE = "rigl_lm", "gru", "dense"
FACTORS = (1.0, 1.0, 1.0, 1.0, 0.0)
"""Sparsity as a multiple of S: weights of the inputs and of the state, two readout layers, output (dense)."""
ALPHA, TO_THE_END = 0.1, 1.0
"""Fraction that an update replaces at first, and fraction of training with updates (appendix I)."""
PRUNED_FROM, PRUNED_TO = 0.25, 0.75
"""Of gradual pruning: steps 50,000 to 150,000 of 200,000 (appendix I)."""


@dataclass(frozen=True)
class Grid(Spec):
    """What this item runs at a scale (workflow/config/items/rigl_lm.yaml): `methods`, the dense network among them;
    `interval`, `gmp_interval`: steps between mask updates, and between those of gradual pruning."""

    seeds: tuple[int, ...]
    methods: tuple[str, ...]
    dataset: str
    width: float
    train_size: int
    test_size: int
    sequence: int
    sparsity: float
    interval: int
    gmp_interval: int
    recipe: Recipe

    def _validate(self) -> None:
        need_distinct(self.seeds, "Grid.seeds")
        for method in self.methods:
            _ = method == DENSE or SPARSIFIERS.check(method)

    @property
    def steps(self) -> int:
        """Optimiser steps of an epoch."""
        return self.train_size // (self.recipe.batch_size * self.sequence)


def grid_of(scale: Scale) -> Grid:
    """The item's settings at `scale`."""
    return scale.grid(ITEM, Grid)


def _training(scale: Scale, arm: str, seed: int) -> Search | Sparse:
    grid = grid_of(scale)
    sizes = {"width": grid.width, "train_size": grid.train_size, "test_size": grid.test_size}
    names: dict[str, Any] = {"seed": seed, "sequence": grid.sequence, "precision": scale.precision, **sizes}
    if arm == DENSE:
        return Search(MODEL, grid.dataset, grid.recipe, **names)
    masks: dict[str, Any] = {"interval": grid.interval, "alpha": ALPHA, "stop": TO_THE_END}
    if arm == "gmp":
        first = round(PRUNED_FROM * grid.steps * grid.recipe.epochs)
        masks = {"interval": grid.gmp_interval, "begin": first, "stop": PRUNED_TO}
    names |= {"method": arm, "sparsity": grid.sparsity, "factors": FACTORS, **masks}
    return Sparse(MODEL, grid.dataset, grid.recipe, **names)


def planned(scale: Scale) -> list[Planned]:
    """Every training of the item, seed by seed."""
    grid = grid_of(scale)
    return [Planned(arm, seed, _training(scale, arm, seed)) for seed in grid.seeds for arm in grid.methods]


def runs(scale: Scale) -> list[Spec]:
    """A training of every method for each seed."""
    return [run.spec for run in planned(scale)]

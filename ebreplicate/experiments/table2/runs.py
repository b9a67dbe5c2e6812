"""The rows of Table 2: what each method runs, which are the paper's and which are controls. No torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ebreplicate.errors import unknown
from ebreplicate.experiments.detector.runs import eb_train
from ebreplicate.experiments.fig1.runs import RATIOS
from ebreplicate.specs.fields import Spec, need
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Retrain, Ticket

LOW = "bfp8"
"""The format of LF (search) and LL (search and retrain): the authors' 8-bit block floating point."""
AVERAGED = 140 / 160
"""Share of training after which LL's weights are averaged, beside the training (the authors' scripts, after SWALP)."""
Build = Callable[[Scale, str, str, float, int], Spec]
"""(scale, dataset, model, ratio, seed) to the run whose record is the row."""


def _ticket(
    scale: Scale,
    dataset: str,
    model: str,
    ratio: float,
    seed: int,
    *,
    at: str = "eb",
    method: str = "slimming",
    search_precision: str | None = None,
    averaged: bool = False,
    **retrain: Any,
) -> Retrain:
    """A ticket of the scale's search, trained by the scale's whole recipe (every row of the table has equal epochs)."""
    recipe = replace(scale.recipe, swa_start=int(AVERAGED * scale.recipe.epochs)) if averaged else scale.recipe
    searched: dict[str, Any] = {"precision": search_precision} if search_precision else {}
    search = scale.search(model, dataset, seed, **searched)
    ticket = Ticket(search=search, ratio=ratio, at=at, method=method)
    how: dict[str, Any] = {"precision": scale.precision, **retrain}
    return Retrain(ticket=ticket, recipe=recipe, **how)


def _unpruned(scale: Scale, dataset: str, model: str, ratio: float, seed: int) -> Spec:
    return scale.search(model, dataset, seed)


def _snip(scale: Scale, dataset: str, model: str, ratio: float, seed: int) -> Spec:
    return scale.sparse(model, dataset, seed, method="snip", sparsity=ratio)


PAPER: dict[str, Build] = {
    "LT (one-shot)": partial(_ticket, at="final", method="magnitude", init="rewind"),
    "SNIP": _snip,
    "NS": partial(_ticket, at="final"),
    "ThiNet": partial(_ticket, at="final", method="thinet"),
    "EB Train (re-init)": partial(_ticket, init="reinit"),
    "EB Train": eb_train,
    "EB Train (LF)": partial(_ticket, search_precision=LOW, schedule="continue"),
    "EB Train (LL)": partial(_ticket, search_precision=LOW, precision=LOW, schedule="continue", averaged=True),
}
CONTROLS: dict[str, Build] = {
    "Random channels": partial(_ticket, method="random", schedule="continue"),
    "Re-init, short schedule": partial(_ticket, init="reinit", schedule="continue"),
    "Uniform (L1 norm)": partial(_ticket, at="final", method="uniform"),
    "Scratch-E": partial(_ticket, at="final", init="reinit"),
    "Scratch-B": partial(_ticket, at="final", init="reinit", schedule="budget"),
}
DENSE = "Unpruned"
METHODS = {**PAPER, **CONTROLS}
BASELINES = ("LT (one-shot)", "SNIP", "NS", "ThiNet")
EB_TRAIN = ("EB Train (re-init)", "EB Train", "EB Train (LF)", "EB Train (LL)")
IMPROVEMENT = "EB Train Improv."


@dataclass(frozen=True)
class Block(Spec):
    """One network on one dataset: ratios of the paper's table, and methods (none named: all of them)."""

    ratios: tuple[float, ...] = ()
    methods: tuple[str, ...] = ()

    def _validate(self) -> None:
        for name in self.methods:
            if name not in METHODS:
                raise unknown("Block.methods", name, METHODS)


@dataclass(frozen=True)
class Grid(Spec):
    """What Table 2 runs at a scale: how many of its seeds, and the four blocks."""

    seeds: int
    vgg16_cifar10: Block
    vgg16_cifar100: Block
    preresnet101_cifar10: Block
    preresnet101_cifar100: Block

    def _validate(self) -> None:
        need(self.seeds >= 1, "Grid.seeds", f"must be at least 1, got {self.seeds}")
        for (dataset, model), ratios in RATIOS.items():
            for ratio in self.block(dataset, model).ratios:
                need(ratio in ratios, f"Grid.{model}_{dataset}.ratios", f"the paper has {list(ratios)}, got {ratio}")

    def block(self, dataset: str, model: str) -> Block:
        """The block of a network and dataset, by the paper's names."""
        found: Block = getattr(self, f"{model}_{dataset}")
        return found


def grid(scale: Scale) -> Grid:
    """Table 2's grid at `scale`."""
    return scale.grid("table2", Grid)


Place = tuple[str, str]
"""Dataset and model of a block, by the paper's names."""
BLOCKS: list[Place] = [(dataset, model) for model in ("vgg16", "preresnet101") for dataset in ("cifar10", "cifar100")]


def rows(scale: Scale, blocks: Sequence[Place] = BLOCKS) -> list[tuple[str, str, str, float, int, Spec]]:
    """(dataset, model, method, ratio, seed, run) of every row, seed by seed; the unpruned network has ratio 0."""
    settings, out = grid(scale), []
    for seed in scale.seeds[: settings.seeds]:
        for dataset, model in blocks:
            block = settings.block(dataset, model)
            if block.ratios:
                out.append((dataset, model, DENSE, 0.0, seed, _unpruned(scale, dataset, model, 0.0, seed)))
            for ratio in block.ratios:
                for name in block.methods or METHODS:
                    out.append((dataset, model, name, ratio, seed, METHODS[name](scale, dataset, model, ratio, seed)))
    return out


def runs(scale: Scale, blocks: Sequence[Place] = BLOCKS) -> list[Spec]:
    """The grid of workflow/config/items/table2.yaml; its searches, and EB Train, are those of other items."""
    return [spec for *_, spec in rows(scale, blocks)]

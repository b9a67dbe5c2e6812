"""Accuracy against FLOPs beyond Table 2: EarlyCroP, sparse training, lottery tickets, on its networks. No torch."""

from dataclasses import dataclass
from typing import NamedTuple

from ebreplicate.errors import unknown
from ebreplicate.experiments.early_crop import runs as early_crop
from ebreplicate.experiments.lottery.runs import Panel, rounds
from ebreplicate.experiments.rigl import runs as rigl
from ebreplicate.experiments.table2 import runs as table2
from ebreplicate.experiments.table2.runs import BLOCKS
from ebreplicate.specs.fields import Spec, need
from ebreplicate.specs.scale import Scale, Seeds, need_seeds
from ebreplicate.specs.spec import Retrain, Sparse

ITEM = "accuracy_vs_flops"
SPARSE = {
    "Small-Dense": ("small-dense", "uniform", False),
    "Static": ("static", "erk-kernel", False),
    "SET": ("set", "erk-kernel", False),
    "SNFS": ("snfs", "erk-kernel", False),
    "RigL": ("rigl", "erk-kernel", False),
    "RigL, longer": ("rigl", "erk-kernel", True),
    "Gradual pruning": ("gmp", "uniform", False),
}
"""Sparse trainings from scratch, by name, as series of `rigl_family`; their ratio is the sparsity."""
LOTTERY = "LT (iterative)"
CROP = (early_crop.EARLY_CROP, early_crop.AT_INIT)
"""Arms of `early_crop`, by name."""
NAMES = {f"{model}_{dataset}": (dataset, model) for dataset, model in BLOCKS}


@dataclass(frozen=True)
class Grid(Spec):
    """Blocks (such as vgg16_cifar10) with sparse trainings by the recipe of `rigl_family`, beside those of its own; and
    blocks with lottery tickets: rounds of training, each of which removes `lottery_ratio` of the weights left."""

    seeds: Seeds
    sparse: tuple[str, ...]
    lottery: tuple[str, ...]
    lottery_ratio: float
    lottery_rounds: int

    def _validate(self) -> None:
        need_seeds(self.seeds, "Grid.seeds")
        for field in ("sparse", "lottery"):
            for name in getattr(self, field):
                if name not in NAMES:
                    raise unknown(f"Grid.{field}", name, NAMES)
        need(self.lottery_rounds >= 1, "Grid.lottery_rounds", f"must be at least 1, got {self.lottery_rounds}")
        ratio = self.lottery_ratio
        need(0 < ratio < 1, "Grid.lottery_ratio", f"must lie strictly between 0 and 1, got {ratio}")


class Planned(NamedTuple):
    """One run and the row it gives."""

    dataset: str
    model: str
    method: str
    ratio: float
    seed: int
    spec: Retrain | Sparse


def grid_of(scale: Scale) -> Grid:
    """The item's settings at `scale`."""
    return scale.grid(ITEM, Grid)


def sparse_blocks(scale: Scale) -> list[tuple[str, str, int | tuple[int, ...]]]:
    """(dataset, model, seeds) with sparse trainings: those of `rigl_family` first."""
    grid, family = grid_of(scale), rigl.grid_of(scale)
    shared: list[tuple[str, str, int | tuple[int, ...]]]
    shared = [(d, m, family.seeds) for d, m in BLOCKS if d == rigl.DATASET and m in family.models]
    known = {block[:2] for block in shared}
    return shared + [(*NAMES[n], grid.seeds) for n in grid.sparse if NAMES[n] not in known]


def sparse_trainings(scale: Scale) -> list[Planned]:
    """Every sparse training, block by block."""
    family, out = rigl.grid_of(scale), []
    for dataset, model, seeds in sparse_blocks(scale):
        for seed in scale.chosen(seeds):
            for sparsity in family.sparsities:
                found = rigl.sparse_runs(scale, family, model, seed, sparsity, dataset)
                out += [Planned(dataset, model, n, sparsity, seed, found[series]) for n, series in SPARSE.items()]
    return out


def lottery_tickets(scale: Scale) -> list[Planned]:
    """Iterative magnitude pruning by the scale's recipe: every round is rewound to the initialisation and trained in
    full, as Table 2's LT (one-shot) is; `ratio` is what has been removed by then."""
    grid, out = grid_of(scale), []
    panel = Panel(recipe=scale.recipe, rounds=grid.lottery_rounds, ratio=grid.lottery_ratio)
    for dataset, model in (NAMES[name] for name in grid.lottery):
        for seed in scale.chosen(grid.seeds):
            for number, series, spec in rounds(scale.search(model, dataset, seed), panel, 0):
                if series == "ticket":
                    removed = round(1 - panel.left(number), 6)
                    out.append(Planned(dataset, model, LOTTERY, removed, seed, spec))
    return out


def crop_trainings(scale: Scale) -> list[Planned]:
    """Channels pruned by EarlyCroP's score, as `early_crop` has them."""
    block, ratio = (early_crop.DATASET, early_crop.MODEL), early_crop.grid_of(scale).ratio
    found = [run for run in early_crop.planned(scale) if run.arm in CROP]
    return [Planned(*block, run.arm, ratio, run.seed, run.spec) for run in found if isinstance(run.spec, Retrain)]


def runs(scale: Scale) -> list[Spec]:
    """Those of Table 2 first: they are shared."""
    further = (*sparse_trainings(scale), *lottery_tickets(scale), *crop_trainings(scale))
    return table2.runs(scale) + [run.spec for run in further]

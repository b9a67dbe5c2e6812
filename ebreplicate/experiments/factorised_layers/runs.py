"""Which trainings the item needs: eight arms a seed, and how many parameters their networks have. No torch."""

from dataclasses import dataclass

from ebreplicate.catalog import INFO
from ebreplicate.experiments.common.arms import Planned
from ebreplicate.specs.fields import Spec, need_known
from ebreplicate.specs.scale import Scale, need_distinct
from ebreplicate.specs.spec import Factorised, Recipe, Search, Sparse

ITEM, MODEL, DATASET = "factorised_layers", "resnet20", "cifar10"
DENSE, LOW_RANK, SI, FD, BOTH, ONES = "dense", "low rank", "SI", "FD", "SI & FD", "SI-ones & FD"
NARROW, RIGL = "narrow dense", "RigL"
FACTORISED = {
    LOW_RANK: ("kaiming", "factors"),
    SI: ("spectral", "factors"),
    FD: ("kaiming", "frobenius"),
    BOTH: ("spectral", "frobenius"),
    ONES: ("spectral-ones", "frobenius"),
}
"""Initialisation and decay of every factorised arm."""
RIVALS = {NARROW: "small-dense", RIGL: "rigl"}
"""Method of the arms of as many parameters."""
ARMS = (DENSE, *FACTORISED, *RIVALS)


@dataclass(frozen=True)
class Grid(Spec):
    """What this item runs at a scale (workflow/config/items/factorised_layers.yaml).

    `arms`: those that are trained beside the dense network; `interval`: steps between mask updates of RigL.
    """

    seeds: tuple[int, ...]
    rank_scale: float
    arms: tuple[str, ...]
    interval: int
    recipe: Recipe

    def _validate(self) -> None:
        need_distinct(self.seeds, "Grid.seeds")
        need_known(self.arms, ARMS[1:], "Grid.arms")


def grid_of(scale: Scale) -> Grid:
    """The item's settings at `scale`."""
    found: Grid = scale.grid(ITEM, Grid)
    return found


def convolutions(width: float) -> list[tuple[int, int]]:
    """Input and output channels of the 3x3 convolutions of ResNet-20: the stem's, then both of every block's."""
    first, *_ = planes = [max(1, round(c * width)) for c in (16, 32, 64)]
    pairs, cin = [(3, first)], first
    for cout in planes:
        pairs += [(cin, cout)] + 5 * [(cout, cout)]
        cin = cout
    return pairs


def weights(search: Search) -> int:
    """Weights of the convolutions and the classifier of a training's ResNet-20."""
    (cin, first), *blocks = convolutions(search.width)
    f = search.factorised
    inner = sum(9 * a * b if f is None else 3 * (a + b) * f.rank(3 * b) for a, b in blocks)
    return 9 * cin * first + inner + blocks[-1][1] * INFO[search.dataset].classes


def others(search: Search, width: float | None = None) -> int:
    """Its other parameters: of batch norms, and the biases of the classifier."""
    channels = convolutions(search.width if width is None else width)
    return sum(2 * cout for _, cout in channels) + INFO[search.dataset].classes


def planned(scale: Scale) -> list[Planned]:
    """Every training of the item, seed by seed. Sparse ones have as many weights as the factorised network."""
    grid, out = grid_of(scale), list[Planned]()
    for seed in grid.seeds:
        dense = scale.search(MODEL, DATASET, seed, grid.recipe, evaluation="unseen")
        made = {
            arm: scale.search(
                MODEL,
                DATASET,
                seed,
                grid.recipe,
                evaluation="unseen",
                factorised=Factorised(grid.rank_scale, init, decay),
            )
            for arm, (init, decay) in FACTORISED.items()
        }
        sparsity = 1 - weights(made[LOW_RANK]) / weights(dense)
        masks = {"sparsity": sparsity, "distribution": "erk-kernel", "interval": grid.interval, "evaluation": "unseen"}
        rivals = {
            arm: scale.sparse(MODEL, DATASET, seed, grid.recipe, method=method, **masks)
            for arm, method in RIVALS.items()
        }
        found: dict[str, Search | Sparse] = {DENSE: dense, **made, **rivals}
        out += [Planned(arm, seed, found[arm]) for arm in ARMS if arm == DENSE or arm in grid.arms]
    return out


def runs(scale: Scale) -> list[Spec]:
    """A dense training and its arms a seed."""
    return [run.spec for run in planned(scale)]

"""Runs of Table 3: five methods on ImageNet. No torch."""

from dataclasses import dataclass, replace
from typing import Any

from ebreplicate.specs.fields import Spec, need
from ebreplicate.specs.scale import Scale, Seeds, need_seeds
from ebreplicate.specs.spec import Recipe, Retrain, Search, Ticket

DATASET = "imagenet"
RATIOS = {"resnet18": (0.1, 0.3), "resnet50": (0.3, 0.7)}
SFP_RATIO = 0.3
UNPRUNED, SLIMMING, SFP = "Unpruned", "Network Slimming", "SFP"
EB, REINIT = "EB Train", "EB Train (re-init)"
METHODS = (UNPRUNED, SLIMMING, SFP, EB, REINIT)


@dataclass(frozen=True)
class Grid(Spec):
    """Recipe and precision of every training; how many of the scale's seeds; the ratios of each network."""

    recipe: Recipe
    seeds: Seeds
    precision: str = "fp32"
    resnet18: tuple[float, ...] = RATIOS["resnet18"]
    resnet50: tuple[float, ...] = RATIOS["resnet50"]

    def _validate(self) -> None:
        need_seeds(self.seeds, "Grid.seeds")
        for model, printed in RATIOS.items():
            for ratio in self.ratios(model):
                need(ratio in printed, f"Grid.{model}", f"the paper has {list(printed)}, got {ratio}")

    def ratios(self, model: str) -> tuple[float, ...]:
        """Pruning ratios of a network that are run."""
        found: tuple[float, ...] = getattr(self, model)
        return found


def grid_of(scale: Scale) -> Grid:
    """What this item runs at `scale`."""
    return scale.grid("table3_imagenet", Grid)


def runs_of(scale: Scale, model: str, seed: int) -> dict[tuple[str, float], Search | Retrain | Ticket]:
    """The run behind every row of one network and seed, by (method, ratio); SFP's is its draw."""
    grid = grid_of(scale)
    search = scale.search(model, DATASET, seed, grid.recipe, precision=grid.precision)
    plain = replace(grid.recipe, l1=0.0)
    # The authors' ResNet50 scripts retrain without sparsity (paper.md, section 2).
    recipe = plain if model == "resnet50" else grid.recipe
    soft = replace(search, recipe=plain, soft_ratio=SFP_RATIO)
    out: dict[tuple[str, float], Search | Retrain | Ticket] = {(UNPRUNED, 0.0): search}
    for ratio in grid.ratios(model):
        late, early = Ticket(search, ratio, "final"), Ticket(search, ratio, "eb")
        how: dict[str, Any] = {"recipe": recipe, "precision": grid.precision}
        out[SLIMMING, ratio] = Retrain(late, **how)
        out[EB, ratio] = Retrain(early, schedule="continue", **how)
        out[REINIT, ratio] = Retrain(early, init="reinit", **how)
    if grid.ratios(model):
        out[SFP, SFP_RATIO] = Ticket(soft, SFP_RATIO, "final", "soft")
    return out


def runs(scale: Scale) -> list[Any]:
    """One run a row and seed."""
    seeds = scale.chosen(grid_of(scale).seeds)
    return [spec for seed in seeds for model in RATIOS for spec in runs_of(scale, model, seed).values()]

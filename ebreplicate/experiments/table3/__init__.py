"""Table 3, ImageNet: EB Train beside the dense network, network slimming and soft filter pruning; ResNet18 and 50."""

from dataclasses import dataclass, replace
from typing import Any

from ebreplicate.experiments.common.experiment import NOT_RUN, Cell, Claim, Experiment
from ebreplicate.experiments.common.rows import accuracies, ticket
from ebreplicate.experiments.table3.cells import (
    DATASET,
    EB,
    METHODS,
    RATIOS,
    REINIT,
    SFP,
    SFP_RATIO,
    SLIMMING,
    UNPRUNED,
    judged_claims,
    printed_cells,
)
from ebreplicate.specs.fields import Spec, need
from ebreplicate.specs.scale import Scale, Seeds, need_seeds
from ebreplicate.specs.spec import Recipe, Retrain, Search, Ticket, key

COLUMNS = ["model", "dataset", "method", "ratio", "epoch", "seed", "status", "last_accuracy", "best_accuracy"]
COLUMNS += ["last_top5", "best_top5", "best_epoch", "last_delta", "training_flops", "flops_ratio", "forward_flops"]
COLUMNS += ["energy_measured_kj", "energy_source", "seconds", "key"]


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
        late, early = ticket(search, ratio, "final"), ticket(search, ratio, "eb")
        how: dict[str, Any] = {"recipe": recipe, "precision": grid.precision}
        out[SLIMMING, ratio] = Retrain(late, **how)
        out[EB, ratio] = Retrain(early, schedule="continue", **how)
        out[REINIT, ratio] = Retrain(early, init="reinit", **how)
    if grid.ratios(model):
        out[SFP, SFP_RATIO] = Ticket(soft, SFP_RATIO, "final", "soft")
    return out


def _row(spec: Search | Retrain | Ticket, store: Any) -> dict[str, Any]:
    """Accuracies, cost and draw epoch of one row; a softly pruned network was last evaluated by its own search."""
    from ebreplicate.cost import energy

    drawn = store.read(spec.ticket if isinstance(spec, Retrain) else spec) if not isinstance(spec, Search) else None
    trained = store.read(spec.search if isinstance(spec, Ticket) else spec)
    row: dict[str, Any] = {"key": key(spec), "status": NOT_RUN}
    if drawn is not None:
        row |= {"epoch": drawn["metrics"]["epoch"]}
    if trained is None or (drawn is None and not isinstance(spec, Search)):
        return row
    metrics, cost = trained["metrics"], trained["cost"]
    row |= {"status": trained["status"], "seconds": cost.get("seconds")}
    row |= accuracies(trained)
    if trained["status"] != "ok":
        return row
    row |= {name: metrics.get(name) for name in ("last_top5", "best_top5", "best_epoch")}
    joules, source = energy.measured(spec.search if isinstance(spec, Ticket) else spec, store)
    row |= {"energy_measured_kj": None if joules is None else joules / 1e3, "energy_source": source}
    forward = (drawn or trained)["cost"].get("forward_flops", {})
    return row | {"training_flops": cost["training_flops"]["authors"], "forward_flops": forward.get("authors")}


def _beside(row: dict[str, Any], dense: dict[str, Any]) -> dict[str, float]:
    """Accuracy minus, and training FLOPs over, those of the unpruned network; nothing where one has none."""
    if row.get("last_accuracy") is None or dense.get("last_accuracy") is None:
        return {}
    return {
        "last_delta": row["last_accuracy"] - dense["last_accuracy"],
        "flops_ratio": row["training_flops"] / dense["training_flops"],
    }


class Table3(Experiment):
    """2 networks x (unpruned, SFP, and three methods at two ratios)."""

    def runs(self, scale: Scale) -> list[Any]:
        """One run a row and seed."""
        seeds = scale.chosen(grid_of(scale).seeds)
        return [spec for seed in seeds for model in RATIOS for spec in runs_of(scale, model, seed).values()]

    def table(self, scale: Scale, store: Any) -> Any:
        """One row a network, method, ratio and seed; `last_delta` and `flops_ratio` are against the same seed's
        unpruned network."""
        import pandas as pd

        rows = []
        for model in RATIOS:
            for seed in scale.chosen(grid_of(scale).seeds):
                found = {name: _row(spec, store) for name, spec in runs_of(scale, model, seed).items()}
                dense = found[UNPRUNED, 0.0]
                for (method, ratio), row in sorted(found.items(), key=lambda item: METHODS.index(item[0][0])):
                    names = {"model": model, "dataset": DATASET, "method": method, "ratio": ratio, "seed": seed}
                    rows.append({**names, **row, **_beside(row, dense)})
        return pd.DataFrame(rows).reindex(columns=COLUMNS)

    def figure(self, scale: Scale, table: Any) -> Any:
        """Top-1 accuracy against training FLOPs, a panel a network; the paper's points hollow."""
        from ebreplicate.experiments.table3.plot import draw

        return draw(scale, table)

    def cells(self, scale: Scale, table: Any) -> list[Cell]:
        """Every printed number of the ResNet18 block; the ResNet50 block was not found, and its cells stay blank."""
        return printed_cells(table)

    def claims(self, scale: Scale, table: Any) -> list[Claim]:
        """EB Train beside the dense network and beside network slimming."""
        return judged_claims(scale, table)


EXPERIMENT = Table3(
    item="table3_imagenet",
    title="Table 3: ImageNet, ResNet18 and ResNet50",
    category="Paper tables",
    caption=(
        "Accuracy and training FLOPs of EB Train on ImageNet beside the unpruned network, network slimming after full "
        "training, soft filter pruning, and EB Train from fresh weights. The paper's ResNet18 points are hollow; its "
        "ResNet50 block was not found. Training FLOPs count everything: search, detector and retraining."
    ),
)

"""Table 3, ImageNet: EB Train beside the dense network, network slimming and soft filter pruning; ResNet18 and 50."""

import math
from dataclasses import dataclass, replace
from typing import Any

from ebreplicate import published
from ebreplicate.experiments import base
from ebreplicate.experiments.base import Cell, Claim, Experiment, by_seed, interval
from ebreplicate.experiments.table3_cells import (
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
from ebreplicate.plan.fields import Spec, need
from ebreplicate.plan.scale import Scale
from ebreplicate.plan.spec import Recipe, Retrain, Search, Ticket, key

COLUMNS = ["model", "dataset", "method", "ratio", "epoch", "seed", "status", "last_accuracy", "best_accuracy"]
COLUMNS += ["last_top5", "best_top5", "best_epoch", "last_delta", "training_flops", "flops_ratio", "forward_flops"]
COLUMNS += ["seconds", "key"]


@dataclass(frozen=True)
class Grid(Spec):
    """Recipe and precision of every training; how many of the scale's seeds."""

    recipe: Recipe
    seeds: int
    precision: str = "fp32"

    def _validate(self) -> None:
        need(self.seeds >= 1, "Grid.seeds", f"must be at least 1, got {self.seeds}")


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
    for ratio in RATIOS[model]:
        late, early = base.ticket(search, ratio, "final"), base.ticket(search, ratio, "eb")
        how = {"recipe": recipe, "precision": grid.precision}
        out[SLIMMING, ratio] = Retrain(late, **how)
        out[EB, ratio] = Retrain(early, schedule="continue", **how)
        out[REINIT, ratio] = Retrain(early, init="reinit", **how)
    out[SFP, SFP_RATIO] = Ticket(soft, SFP_RATIO, "final", "soft")
    return out


def _row(spec: Search | Retrain | Ticket, store: Any) -> dict[str, Any]:
    """Accuracies, cost and draw epoch of one row; a softly pruned network was last evaluated by its own search."""
    drawn = store.read(spec.ticket if isinstance(spec, Retrain) else spec) if not isinstance(spec, Search) else None
    trained = store.read(spec.search if isinstance(spec, Ticket) else spec)
    row: dict[str, Any] = {"key": key(spec), "status": base.NOT_RUN}
    if drawn is not None:
        row |= {"epoch": drawn["metrics"]["epoch"]}
    if trained is None or (drawn is None and not isinstance(spec, Search)):
        return row
    metrics, cost = trained["metrics"], trained["cost"]
    row |= {"status": trained["status"], "seconds": cost.get("seconds")}
    row |= base.accuracies(trained)
    if trained["status"] != "ok":
        return row
    row |= {name: metrics.get(name) for name in ("last_top5", "best_top5", "best_epoch")}
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
        seeds = scale.seeds[: grid_of(scale).seeds]
        return [spec for seed in seeds for model in RATIOS for spec in runs_of(scale, model, seed).values()]

    def table(self, scale: Scale, store: Any) -> Any:
        """One row a network, method, ratio and seed; `last_delta` and `flops_ratio` are against the same seed's
        unpruned network."""
        import pandas as pd

        rows = []
        for model in RATIOS:
            for seed in scale.seeds[: grid_of(scale).seeds]:
                found = {name: _row(spec, store) for name, spec in runs_of(scale, model, seed).items()}
                dense = found[UNPRUNED, 0.0]
                for (method, ratio), row in sorted(found.items(), key=lambda item: METHODS.index(item[0][0])):
                    names = {"model": model, "dataset": DATASET, "method": method, "ratio": ratio, "seed": seed}
                    rows.append({**names, **row, **_beside(row, dense)})
        return pd.DataFrame(rows).reindex(columns=COLUMNS)

    def figure(self, scale: Scale, table: Any) -> Any:
        """Top-1 accuracy against training FLOPs, a panel a network; the paper's points hollow."""
        from ebreplicate import style

        plt = style.use()
        figure, axes = plt.subplots(1, 2, figsize=(9.5, 4.4))
        for axis, model in zip(axes, RATIOS, strict=True):
            _panel(axis, scale, table, model)
        axes[0].set_ylabel("top-1 accuracy (%)")
        handles = [
            plt.Line2D([], [], ls="", c=colour, marker=marker, label=method) for method, colour, marker in _looks()
        ]
        where = "" if scale.comparable else ", right axis"
        look = {**style.PUBLISHED, "ls": ""}
        handles.append(plt.Line2D([], [], c="0.3", marker="o", label=f"paper, printed{where}", **look))
        figure.legend(handles=handles, loc="outside upper center", ncols=3)
        n = len(set(table.seed))
        more = "" if scale.comparable else "; the paper's points are of ImageNet: compare the pattern, not the numbers"
        style.stamp(
            figure,
            f"scale {scale.name}, {n} seed{'s' * (n > 1)}, last epoch, mean and 95 % t-interval; labels: fraction of "
            f"the channels removed{more}",
        )
        return figure

    def cells(self, scale: Scale, table: Any) -> list[Cell]:
        """Every printed number of the ResNet18 block; the ResNet50 block was not found, and its cells stay blank."""
        return printed_cells(table)

    def claims(self, scale: Scale, table: Any) -> list[Claim]:
        """EB Train beside the dense network and beside network slimming."""
        return judged_claims(scale, table)


def _looks() -> list[tuple[str, str, str]]:
    from ebreplicate import style

    return list(zip(METHODS, ("0.3", *style.COLOURS), ("*", "s", "^", "o", "D"), strict=True))


def _panel(axis: Any, scale: Scale, table: Any, model: str) -> None:
    from ebreplicate import style

    paper = _printed(model)
    other = axis if scale.comparable or not paper else axis.twinx()
    here = table[table.model == model]
    seen: list[float] = []
    for method, colour, marker in _looks():
        for ratio in sorted(set(here.ratio[here.method == method])):
            where = {"method": method, "ratio": float(ratio)}
            flops, accuracy = by_seed(here, "flops_ratio", **where), by_seed(here, **where)
            if flops:
                x, y = interval(flops).mean, interval(accuracy)
                axis.errorbar(x, y.mean, 0 if math.isnan(y.half) else y.half, c=colour, marker=marker, capsize=2)
                _name(axis, ratio, x, y.mean)
                seen += accuracy.values()
            if (method, ratio) in paper:
                x, y = paper[method, ratio]
                other.plot(x, y, c=colour, marker=marker, **{**style.PUBLISHED, "ls": ""})
                _name(other, ratio, x, y)
                seen += [y] if other is axis else []
    style.frame(axis, seen)
    if other is not axis:
        other.grid(visible=False)
        style.frame(other, [y for _, y in paper.values()])
    axis.margins(x=0.15)
    axis.set_xlabel("training FLOPs / unpruned")
    axis.set_title(base.title(scale, model, DATASET), fontsize="small")


def _printed(model: str) -> dict[tuple[str, float], tuple[float, float]]:
    """The paper's points: training FLOPs over the unpruned network's, and top-1, by (method, ratio)."""
    rows = published.read("eb_table3_resnet18_imagenet")
    rows = rows[rows.model == model]
    values = {m: rows[rows.metric == m] for m in ("total_training_flops", "top1")}
    flops, top1 = (dict(zip(zip(v.method, v.prune_ratio, strict=True), v.value, strict=True)) for v in values.values())
    return {k: (f / flops[UNPRUNED, 0.0], top1[k]) for k, f in flops.items()}


def _name(axis: Any, ratio: float, x: float, y: float) -> None:
    """Write the ratio beside a point."""
    if ratio:
        axis.annotate(
            f"{ratio:.0%}", (x, y), xytext=(5, 4), textcoords="offset points", fontsize="x-small", color="0.3"
        )


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

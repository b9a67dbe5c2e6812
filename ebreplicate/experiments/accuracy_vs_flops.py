"""Accuracy against total training FLOPs (ours): every method and ratio one point, and which are worth their cost."""

from typing import Any

from ebreplicate import published
from ebreplicate.experiments import base, rigl_family
from ebreplicate.experiments.base import Cell, Claim, Experiment, by_seed, interval
from ebreplicate.experiments.pareto import SPARSE, dominates, on_front
from ebreplicate.experiments.table2 import EXPERIMENT as TABLE2
from ebreplicate.experiments.table2_methods import BLOCKS, IMPROVEMENT
from ebreplicate.plan.scale import Scale
from ebreplicate.plan.spec import Spec

COLUMNS = ["model", "dataset", "method", "group", "ratio", "seed", "status", "last_accuracy", "best_accuracy"]
COLUMNS += ["training_flops", "flops_ratio", "key"]


class AccuracyVsFlops(Experiment):
    """Four panels over the runs of Table 2: no training of its own."""

    def runs(self, scale: Scale) -> list[Spec]:
        """Those of Table 2, and sparse training of the same networks."""
        grid = rigl_family.grid_of(scale)
        return TABLE2.runs(scale) + [
            rigl_family.sparse_runs(scale, grid, model, seed, sparsity)[series]
            for model in _shared(grid)
            for seed in scale.seeds[: grid.seeds]
            for sparsity in grid.sparsities
            for series in SPARSE.values()
        ]

    def table(self, scale: Scale, store: Any) -> Any:
        """Table 2's rows, accuracy and cost only, and those of sparse training."""
        import pandas as pd

        table = TABLE2.table(scale, store)
        parts = [table[table.method != IMPROVEMENT].reindex(columns=COLUMNS), *_sparse_rows(scale, store)]
        return pd.concat([p for p in parts if len(p)], ignore_index=True)

    def figure(self, scale: Scale, table: Any) -> Any:
        """Accuracy (mean, t-interval) against training FLOPs on a log axis; the Pareto front is drawn."""
        from ebreplicate.experiments.accuracy_vs_flops_figure import draw

        return draw(scale, table)

    def cells(self, scale: Scale, table: Any) -> list[Cell]:
        """The abstract's range of FLOPs savings, beside the cheapest EB Train against SNIP of every block."""
        out = []
        for dataset in ("cifar10", "cifar100"):
            printed = published.read(f"eb_table2_vgg16_{dataset}")
            printed = printed[printed.metric == "flops_improvement"]
            for value, ratio in zip(printed.value, printed.prune_ratio, strict=True):
                where = {"dataset": dataset, "model": "vgg16", "ratio": float(ratio)}
                ours = by_seed(table, "training_flops", method="EB Train", **where)
                dense = by_seed(table, "training_flops", method="SNIP", **where)
                gain = {s: dense[s] / ours[s] for s in set(ours) & set(dense)}
                name = f"VGG16 {base.TITLES[dataset]}: SNIP over EB Train, ratio {ratio:g}, training FLOPs"
                note = "the paper divides by the cheapest of its EB Train variants"
                source = "Table 2, Improv. row"
                out.append(
                    Cell(name, float(value), interval(gain), "x", source, "EB Train", 0.1 * float(value), note=note)
                )
        return out

    def claims(self, scale: Scale, table: Any) -> list[Claim]:
        """EB Train on the Pareto front, and against the points that cost more."""
        return [on_front(table), dominates(scale, table)]


def _shared(grid: rigl_family.Grid) -> list[str]:
    """Networks of this item that sparse training runs at the scale."""
    return [m for m in dict.fromkeys(model for _, model in BLOCKS) if m in grid.models]


def _sparse_rows(scale: Scale, store: Any) -> list[Any]:
    """Rows of `rigl_family` under this item's columns, a frame a method."""
    table = rigl_family.EXPERIMENT.table(scale, store)
    table = table[table.model.isin(_shared(rigl_family.grid_of(scale)))]
    table = table.rename(columns={"sparsity": "ratio", "relative_training": "flops_ratio"})
    out = []
    for name, (method, distribution, longer) in SPARSE.items():
        here = table[(table.method == method) & (table.distribution == distribution) & (table.longer == longer)]
        out.append(here.assign(method=name, group="sparse").reindex(columns=COLUMNS))
    return out


EXPERIMENT = AccuracyVsFlops(
    item="accuracy_vs_flops",
    title="Accuracy against total training FLOPs",
    category="Beyond the paper",
    caption=(
        "What a trained small network costs in all, search included (horizontal, logarithmic), and how accurate it is "
        "(vertical). The line joins the points that nothing else beats at their cost. Hollow points are controls that "
        "the paper does not have; grey ones are sparse from the first step, and their FLOPs count non-zero weights "
        "only, which dense hardware does not."
    ),
)

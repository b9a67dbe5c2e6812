"""Accuracy against total training FLOPs (ours): every method and ratio one point, and which are worth their cost."""

import math
from typing import Any

from ebreplicate import published
from ebreplicate.experiments import base, rigl_family
from ebreplicate.experiments.base import Cell, Claim, Experiment, by_seed, interval
from ebreplicate.experiments.table2 import EXPERIMENT as TABLE2
from ebreplicate.experiments.table2_methods import BLOCKS, CONTROLS, DENSE, IMPROVEMENT, PAPER
from ebreplicate.plan.scale import Scale
from ebreplicate.plan.spec import Spec
from ebreplicate.stats import Interval, accuracy_margin

COLUMNS = ["model", "dataset", "method", "group", "ratio", "seed", "status", "last_accuracy", "best_accuracy"]
COLUMNS += ["training_flops", "flops_ratio", "key"]
EB = ("EB Train", "EB Train (LF)", "EB Train (LL)")
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
Looks = dict[str, dict[str, Any]]
Point = tuple[str, float, float, Interval]
"""(method, ratio, mean training FLOPs, accuracy)."""


def points(table: Any, dataset: str, model: str, controls: bool = True) -> list[Point]:
    """Every method and ratio of a block that has finished runs, cheapest first."""
    here = table[(table.dataset == dataset) & (table.model == model)]
    out = []
    for method in (DENSE, *PAPER, *((*CONTROLS, *SPARSE) if controls else ())):
        for ratio in sorted(set(here[here.method == method].ratio)):
            where = {"method": method, "ratio": float(ratio)}
            accuracy, cost = by_seed(here, **where), by_seed(here, "training_flops", **where)
            seeds = sorted(set(accuracy) & set(cost))
            if seeds:
                mean = sum(cost[s] for s in seeds) / len(seeds)
                out.append((method, float(ratio), mean, interval({s: accuracy[s] for s in seeds})))
    return sorted(out, key=lambda p: (p[2], -p[3].mean))


def front(found: list[Point]) -> list[Point]:
    """The points that no other beats: none is at least as accurate for less, or more accurate for the same."""
    best, out = -math.inf, []
    for point in sorted(found, key=lambda p: (p[2], -p[3].mean)):
        if point[3].mean > best:
            best = point[3].mean
            out.append(point)
    return out


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
        from ebreplicate import style

        plt = style.use()
        figure, axes = plt.subplots(2, 2, figsize=(11, 8.6))
        look = looks()
        for axis, (dataset, model) in zip(axes.flat, BLOCKS, strict=True):
            _panel(axis, scale, points(table, dataset, model), look, dataset, model)
        handles = [
            plt.Line2D([], [], ls="", label=name, **{k: v for k, v in kind.items() if k != "zorder"})
            for name, kind in look.items()
        ]
        handles.append(plt.Line2D([], [], c="0.3", lw=1, drawstyle="steps-post", label="Pareto front"))
        figure.legend(handles=handles, loc="outside right center", fontsize="x-small")
        style.stamp(
            figure,
            f"scale {scale.name}, accuracy of the last epoch, mean and 95 % t-interval (cut at the frame); the number "
            "beside a point is the percentage removed (no number: a control); FLOPs of search and retrain; grey: "
            "sparse from scratch, FLOPs of the masked network",
        )
        return figure

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
        return [_on_front(scale, table), _dominates(scale, table)]


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


def looks() -> Looks:
    """Colour and marker of every method: colours repeat, shapes and fill tell groups apart (controls hollow)."""
    from ebreplicate import style

    out: Looks = {DENSE: {"c": "0.2", "marker": "*", "ms": 9}}
    colours = (*style.COLOURS, "#E69F00", "#56B4E9", "#8C564B")
    for i, name in enumerate(n for n in PAPER if n not in EB):
        out[name] = {"c": colours[i + 1], "marker": "sD^vP"[i], "ms": 5.5}
    for name, marker in zip(EB, "oXp", strict=True):
        out[name] = {"c": style.COLOURS[0], "marker": marker, "ms": 7, "zorder": 4}
    for i, name in enumerate(CONTROLS):
        out[name] = {"c": colours[i + 2], "marker": "osD^v"[i], "ms": 5.5, "mfc": "white"}
    for i, name in enumerate(SPARSE):
        out[name] = {"c": "0.45", "marker": "x+1234|"[i], "ms": 6.5}
    return out


def _panel(
    axis: Any, scale: Scale, found: list[Point], look: dict[str, dict[str, Any]], dataset: str, model: str
) -> None:
    from ebreplicate import style

    axis.set(title=base.title(scale, model, dataset), xlabel="total training FLOPs", ylabel="accuracy (%)")
    if not found:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.text(0.5, 0.5, "not run yet at this scale", ha="center", transform=axis.transAxes, color="0.4")
        return
    for method, ratio, flops, accuracy in found:
        axis.plot(flops, accuracy.mean, ls="", **look[method])
        if math.isfinite(accuracy.half):
            axis.errorbar(flops, accuracy.mean, accuracy.half, c=look[method]["c"], alpha=0.4, lw=0.8, capsize=2)
        if ratio and method not in CONTROLS:
            beside = {"textcoords": "offset points", "fontsize": "xx-small", "color": look[method]["c"]}
            axis.annotate(f"{100 * ratio:.0f}", (flops, accuracy.mean), (4, 3), **beside)
    best = front(found)
    x = [p[2] for p in best] + [max(p[2] for p in found)]
    y = [p[3].mean for p in best] + [best[-1][3].mean]
    axis.plot(x, y, drawstyle="steps-post", c="0.3", lw=1, zorder=1)
    axis.set_xscale("log")
    low, high = found[0][2], found[-1][2]
    ticks = [low * (high / low) ** (i / 4) for i in range(5)]  # powers of ten are too far apart for a table's costs
    axis.set_xticks(ticks, [f"{t:.2e}".replace("e+", "e") for t in ticks], fontsize="x-small")
    axis.set_xticks([], minor=True)
    style.frame(axis, [p[3].mean for p in found])


def _blocks(table: Any) -> dict[tuple[str, str], list[Point]]:
    """Points of the paper's methods (no controls) in the blocks where EB Train and a baseline have run."""
    out = {}
    for dataset, model in BLOCKS:
        found = points(table, dataset, model, controls=False)
        if {"EB Train"} < {p[0] for p in found} - {DENSE}:
            out[dataset, model] = found
    return out


def _on_front(scale: Scale, table: Any) -> Claim:
    blocks = _blocks(table)
    shown = {b: [p for p in front(found) if p[0] in EB] for b, found in blocks.items()}
    n = min((p[3].n for found in blocks.values() for p in found if p[0] == "EB Train"), default=0)
    there = sum(bool(points) for points in shown.values())
    verdict = base.NOT_RUN if not blocks else base.SUPPORTED if there == len(blocks) else base.NOT_SUPPORTED
    if blocks and n < 2:
        verdict = base.INCONCLUSIVE
    names = "; ".join(
        f"{m} {d}: " + (", ".join(f"{p[0]} {p[1]:.0%}" for p in best) or "none") for (d, m), best in shown.items()
    )
    return Claim(
        "pareto-front",
        "EB Train is on the Pareto front of accuracy against total training FLOPs.",
        "ours; the paper's Table 2 and abstract imply it",
        "over the paper's methods, means over seeds: supported if in every block that has run at least one point of EB "
        "Train, LF or LL is on the front; inconclusive with a single seed",
        verdict,
        names,
        n,
    )


def _dominates(scale: Scale, table: Any) -> Claim:
    """Baselines dominated: some EB Train point costs no more and is, within the margin, no worse for certain."""
    beaten, total, n = 0, 0, 0
    lost: list[str] = []
    for (dataset, model), found in _blocks(table).items():
        ours = [p for p in found if p[0] in EB]
        n = max(n, max(p[3].n for p in ours))
        for method, ratio, flops, accuracy in found:
            if method in EB:
                continue
            total += 1
            margin = accuracy_margin(accuracy.mean, base.test_images(scale, dataset))
            if any(p[2] <= flops and p[3].mean >= accuracy.mean - margin for p in ours):
                beaten += 1
            else:
                lost.append(f"{model} {dataset} {method} {ratio:.0%}")
    verdict = base.NOT_RUN if not total else base.SUPPORTED if beaten == total else base.NOT_SUPPORTED
    if total and n < 2:
        verdict = base.INCONCLUSIVE
    evidence = f"{beaten} of {total} points" + (f"; not: {', '.join(lost[:6])}" if lost else "") if total else ""
    return Claim(
        "pareto-dominates",
        "For every baseline there is an EB Train that costs no more in training FLOPs and is as accurate.",
        "ours; the paper's abstract",
        "per block over the unpruned network, the paper's baselines and its re-init row, any ratio: a point is matched "
        "if some EB Train, LF or LL costs at most as much and its mean accuracy is not below by more than the noise "
        "margin (two standard errors of the test accuracy); supported if all are, inconclusive with a single seed",
        verdict,
        evidence,
        n,
    )


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

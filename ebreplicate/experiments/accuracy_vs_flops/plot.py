"""Accuracy against total training FLOPs, drawn: four panels with their Pareto fronts."""

import math
from collections.abc import Sequence
from typing import Any

from ebreplicate.experiments.accuracy_vs_flops.pareto import EB, Point, front, points
from ebreplicate.experiments.accuracy_vs_flops.runs import LOTTERY, SPARSE
from ebreplicate.experiments.common.panels import title
from ebreplicate.experiments.table2.runs import BLOCKS, CONTROLS, DENSE, PAPER
from ebreplicate.specs.scale import Scale

Looks = dict[str, dict[str, Any]]


def draw(scale: Scale, table: Any) -> Any:
    """A panel a network and dataset; the legend names what has run."""
    from ebreplicate.experiments.common import style

    plt = style.use()
    figure, axes = plt.subplots(2, 2, figsize=(11, 8.6))
    look, shown = looks(), set[str]()
    for axis, (dataset, model) in zip(axes.flat, BLOCKS, strict=True):
        found = points(table, dataset, model)
        shown |= {method for method, *_ in found}
        _panel(axis, scale, found, look, dataset, model)
    handles = [
        plt.Line2D([], [], ls="", label=name, **{k: v for k, v in kind.items() if k != "zorder"})
        for name, kind in look.items()
        if name in shown
    ]
    handles.append(plt.Line2D([], [], c="0.3", lw=1, drawstyle="steps-post", label="Pareto front"))
    figure.legend(handles=handles, loc="outside right center", fontsize="x-small")
    style.stamp(
        figure,
        f"scale {scale.name}, accuracy of the last epoch, mean and 95 % t-interval (cut at the frame); the number "
        "beside a point is the percentage removed\n(no number: a control); FLOPs of search and retrain; grey: "
        "sparse from scratch, FLOPs of the masked network",
    )
    return figure


def looks() -> Looks:
    """Colour and marker of every method: colours repeat, shapes and fill tell groups apart (controls hollow)."""
    from ebreplicate.experiments.common import style

    out: Looks = {DENSE: {"c": "0.2", "marker": "*", "ms": 9}}
    colours = (*style.COLOURS, "#E69F00", "#56B4E9", "#8C564B")
    for i, name in enumerate(n for n in PAPER if n not in EB):
        out[name] = {"c": _turn(colours, i + 1), "marker": _turn("sD^vP", i), "ms": 5.5}
    for name, marker in zip(EB, "oXp", strict=True):
        out[name] = {"c": style.COLOURS[0], "marker": marker, "ms": 7, "zorder": 4}
    for i, name in enumerate(CONTROLS):
        out[name] = {"c": _turn(colours, i + 2), "marker": _turn("osD^v<>ph", i), "ms": 5.5, "mfc": "white"}
    for i, name in enumerate(SPARSE):
        out[name] = {"c": "0.45", "marker": "x+1234|"[i], "ms": 6.5}
    out[LOTTERY] = {"c": out["LT (one-shot)"]["c"], "marker": "d", "ms": 5.5}
    return out


def _turn(values: Sequence[str], number: int) -> str:
    """The values in turn, for however many methods there are."""
    return values[number % len(values)]


def _panel(
    axis: Any, scale: Scale, found: list[Point], look: dict[str, dict[str, Any]], dataset: str, model: str
) -> None:
    from ebreplicate.experiments.common import style

    axis.set(title=title(scale, model, dataset), xlabel="total training FLOPs", ylabel="accuracy (%)")
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

"""The figure of sparse training on ImageNet: accuracy against length, and against sparsity for both networks."""

import math
from typing import Any

from ebreplicate.experiments.common.panels import title
from ebreplicate.experiments.common.rows import by_seed, count, interval
from ebreplicate.experiments.rigl.plot import COLOURS, MARKERS, NAMES
from ebreplicate.experiments.rigl_imagenet.cells import best_known, dense, where
from ebreplicate.experiments.rigl_imagenet.runs import METHODS, POINTS, Point, grid_of
from ebreplicate.specs.scale import Scale

LENGTHS = (1.0, 5.0)
"""Multipliers shown against sparsity."""
CURVE = ("uniform", 0.8)


def draw(scale: Scale, table: Any) -> Any:
    """Three panels; what is printed is hollow, and has the right axis at reduced scales."""
    from ebreplicate.experiments.common import style

    plt = style.use()
    figure, axes = plt.subplots(1, 3, figsize=(13.5, 5.0), width_ratios=(4, 5, 4))
    _panel(axes[0], scale, table, "resnet50", _length_series(), "training steps / steps of the recipe")
    axes[0].set_title(axes[0].get_title() + "\n80 % zeros, uniform", fontsize="small")
    axes[0].set_xscale("log")
    ticks = (0.5, 1, 2, 3, 5)
    axes[0].set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes[0].minorticks_off()
    for axis, model in zip(axes[1:], ("resnet50", "mobilenet"), strict=True):
        levels = _levels(model)
        _panel(axis, scale, table, model, _sparsity_series(model), "weights that are zero")
        axis.set_xticks(range(len(levels)), [f"{s:.1%}".replace(".0%", "%") for s in levels])
        axis.set_xlim(-0.5, len(levels) - 0.5)
    axes[0].set_ylabel("top-1 accuracy (%)")
    line = plt.Line2D
    handles = [line([], [], c=COLOURS[m], marker="o", ls="", label=NAMES[m]) for m in METHODS]
    handles += [line([], [], c="0.3", marker=MARKERS[d], ls="", label=n) for d, n in _DISTRIBUTIONS.items()]
    handles.append(line([], [], c="0.3", marker="o", ls="", ms=7.5, label="large: 5x training"))
    handles.append(line([], [], c="0.3", ls="--", lw=1, label="dense"))
    there = "" if scale.comparable else ", right axis (dense: dotted)"
    handles.append(line([], [], c="0.3", marker="o", label=f"printed{there}", **{**style.PUBLISHED, "ls": ""}))
    figure.legend(handles=handles, loc="outside upper center", ncols=6, fontsize="small")
    n = len(scale.chosen(grid_of(scale).seeds))
    text = f"scale {scale.name}, {count(n, 'seed')}, last epoch, mean and 95 % t-interval"
    more = "" if scale.comparable else "; the printed points are of ImageNet: compare the pattern, not the numbers"
    style.stamp(figure, text + more)
    return figure


_DISTRIBUTIONS = {"uniform": "uniform", "erk-kernel": "ERK-Kernel"}
Placed = dict[Point, float]
"""Horizontal position of every point that a panel shows."""


def _length_series() -> Placed:
    return {p: p.multiplier for p in POINTS["resnet50"] if (p.distribution, p.sparsity) == CURVE and p.smoothing}


def _levels(model: str) -> list[float]:
    return sorted({p.sparsity for p in POINTS[model]})


def _sparsity_series(model: str) -> Placed:
    """One column a sparsity, series side by side within it."""
    shown = [p for p in POINTS[model] if p.multiplier in LENGTHS and p.smoothing and p.width == 1]
    series = sorted({(METHODS.index(p.method), p.distribution, p.multiplier) for p in shown})
    place = {name: 0.8 * (i / (len(series) - 1) - 0.5) for i, name in enumerate(series)}
    levels = _levels(model)
    return {p: levels.index(p.sparsity) + place[METHODS.index(p.method), p.distribution, p.multiplier] for p in shown}


def _look(point: Point, plain: bool) -> dict[str, Any]:
    size = 7.5 if point.multiplier > 1 and not plain else 4.5
    return {"color": COLOURS[point.method], "marker": MARKERS[point.distribution], "ms": size, "ls": ""}


def _panel(axis: Any, scale: Scale, table: Any, model: str, placed: Placed, label: str) -> None:
    from ebreplicate.experiments.common import style

    plain = label.startswith("training")
    other = axis if scale.comparable else axis.twinx()
    seen = list(by_seed(table, **where(model, None)).values())
    if seen:
        axis.axhline(interval(dict(enumerate(seen))).mean, c="0.3", ls="--", lw=1)
    paper = best_known(model)
    other.axhline(dense(model), c="0.3", ls="--" if other is axis else ":", lw=1, alpha=0.6)
    shown = [dense(model)]
    for point, x in placed.items():
        values, look = by_seed(table, **where(model, point)), _look(point, plain)
        if values:
            ours = interval(values)
            axis.errorbar(x, ours.mean, 0 if math.isnan(ours.half) else ours.half, capsize=2, **look)
            seen += values.values()
        if point in paper:
            other.plot(x, paper[point], **{**style.PUBLISHED, **look})
            shown.append(paper[point])
    if other is axis:
        style.frame(axis, seen + shown)
    else:
        other.grid(False)
        other.tick_params(labelsize="x-small", colors="0.5")
        style.frame(other, shown)
        style.frame(axis, seen)
        if not seen:
            axis.set_yticks([])
            axis.text(0.5, 0.05, "not run yet at this scale", ha="center", transform=axis.transAxes, color="0.4")
    axis.set_xlabel(label)
    axis.set_title(title(scale, model, "imagenet"), fontsize="small")

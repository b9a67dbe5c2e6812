"""Figure 1 as drawn: retrain accuracy against the draw epoch, the paper beside."""

import math
from typing import Any

from ebreplicate.experiments.common.panels import panels, title
from ebreplicate.experiments.common.rows import by_seed, interval
from ebreplicate.experiments.fig1.runs import draws, printed, ratios_of
from ebreplicate.specs.scale import Scale

STAR_X = 185.0
DODGE = 0.16
"""Shift between series, in square roots of an epoch of 160: their intervals must not hide each other."""


def draw(scale: Scale, table: Any) -> Any:
    """Four panels; published points hollow beside ours."""
    from ebreplicate.experiments.common import style

    plt = style.use()
    shown = panels(scale)
    shape = (1, len(shown)) if len(shown) < 3 else (2, 2)
    figure, axes = plt.subplots(*shape, figsize=(5 * shape[1] + 2 * (len(shown) == 1), 4 * shape[0]), squeeze=False)
    for axis in axes.flat[len(shown) :]:
        axis.set_axis_off()
    for axis, (dataset, model) in zip(axes.flat, shown, strict=False):
        _panel(axis, scale, table, dataset, model)
    where = "" if scale.comparable else " (right axis)"
    label = "ours: mean, 95 % t-interval (cut at the frame), seeds as dots"
    mean = plt.Line2D([], [], c="0.3", marker="o", label=label)
    dense = plt.Line2D([], [], c="0.3", ls="--", label="ours: dense network, no pruning")
    paper = axes[0][0].errorbar([], [], [], c="0.3", marker="o", elinewidth=0.8, capsize=1.5, **style.PUBLISHED)
    paper.set_label(f"paper, digitised, with its error bars where legible{where}")
    flat = plt.Line2D([], [], c="0.5", ls="-.", lw=0.8, label=f"paper: dense network{where}")
    figure.legend(handles=[mean, dense, paper, flat], loc="outside upper center", ncols=2, fontsize="small")
    paper.remove()  # only there to be copied into the legend
    text = f"scale {scale.name}, accuracy of the last retrain epoch on the test set; n: seeds"
    if not scale.comparable:
        text += (
            f"; {scale.retrain_recipe.epochs}-epoch retrains after searches of {scale.recipe.epochs}"
            "\nthe paper's points are of full scale: compare shapes, not heights"
        )
    style.stamp(figure, text)
    return figure


def _panel(axis: Any, scale: Scale, table: Any, dataset: str, model: str) -> None:
    from ebreplicate.experiments.common import style

    here = table[(table.dataset == dataset) & (table.model == model)]
    paper = printed(dataset, model)
    other = style.printed_axis(axis, scale.comparable)
    baseline = by_seed(here, draw="dense")
    seen = list(baseline.values())
    for i, ratio in enumerate(ratios_of(scale, dataset, model)):
        look = {"color": style.COLOURS[i], "marker": style.MARKERS[i]}
        seen += _ours(axis, scale, here, ratio, (i - 1) * DODGE, look)
        theirs = paper[((paper.prune_ratio - ratio).abs() < 1e-9) & (paper.draw != "dense")]
        style.printed_line(other, map(_paper_x, theirs.draw), theirs.value, theirs.half, **look)
    if baseline:
        axis.axhline(interval(baseline).mean, c="0.3", ls="--", lw=1)
    other.axhline(paper[paper.draw == "dense"].value.iloc[0], c="0.5", ls="-.", lw=0.8)
    n = f", n = {len(baseline)}" if baseline else ""
    axis.set(title=title(scale, model, dataset) + n, ylabel="retrain accuracy (%)")
    _epoch_axis(axis, scale)
    if not scale.comparable:
        style.frame(axis, seen)
    if axis.get_legend_handles_labels()[0]:
        style.legend_below(axis)
    elif not scale.comparable:
        style.not_run(axis)


def _ours(axis: Any, scale: Scale, here: Any, ratio: float, shift: float, look: dict[str, Any]) -> list[float]:
    """Draw one series: mean and interval, and every seed; returns the seeds' values."""
    found = {d: by_seed(here, ratio=ratio, draw=d) for d in draws(scale)}
    points = [(_shifted(_x(scale, d), shift), values, interval(values)) for d, values in found.items() if values]
    if not points:
        return []
    x, means = [p[0] for p in points], [p[2].mean for p in points]
    halves = [p[2].half if math.isfinite(p[2].half) else 0 for p in points]
    axis.errorbar(x, means, halves, capsize=2, lw=1.2, elinewidth=0.9, label=f"{ratio:.0%} removed", **look)
    for at, values, _ in points:
        axis.plot([at] * len(values), list(values.values()), ".", c=look["color"], alpha=0.5, ms=4)
    return [v for _, values, _ in points for v in values.values()]


def _epoch_axis(axis: Any, scale: Scale) -> None:
    last = scale.recipe.epochs
    axis.set_xscale("function", functions=(lambda v: abs(v) ** 0.5, lambda v: v**2))
    ticks = [_x(scale, str(e)) for e in scale.draw_epochs] + [STAR_X]
    axis.set_xticks(ticks, [str(scale.epoch(e)) for e in scale.draw_epochs] + ["best"], fontsize="x-small")
    axis.set_xlabel(f"draw epoch, of {last} (square-root axis)")
    axis.set_xlim(0.3, 205)


def _x(scale: Scale, draw: str) -> float:
    """Position of our point on an axis of 160 epochs."""
    return STAR_X if draw == "best" else scale.epoch(int(draw)) / scale.recipe.epochs * 160


def _shifted(x: float, shift: float) -> float:
    return (x**0.5 + shift) ** 2


def _paper_x(draw: str) -> float:
    return STAR_X if draw == "best" else float(draw)

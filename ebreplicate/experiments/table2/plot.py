"""Table 2 as a figure: accuracies by method, one panel a block."""

import math
from collections.abc import Sequence
from typing import Any

from ebreplicate.experiments.common.panels import title
from ebreplicate.experiments.common.rows import by_seed, interval
from ebreplicate.experiments.fig1.runs import RATIOS
from ebreplicate.experiments.table2.cells import printed
from ebreplicate.experiments.table2.runs import BLOCKS, CONTROLS, DENSE, PAPER, Place
from ebreplicate.specs.scale import Scale

ORDER = (DENSE, *PAPER, *CONTROLS)
SHIFT = (-0.22, 0.0, 0.22)
"""Vertical offsets of a row's three ratios."""


def draw(scale: Scale, table: Any, blocks: Sequence[Place] = BLOCKS) -> Any:
    """Dots with t-intervals, a row a method; the paper's numbers hollow, on their own axis at reduced scales."""
    from ebreplicate.experiments.common import style

    plt = style.use()
    across = min(len(blocks), 2)
    down = -(-len(blocks) // across)
    figure, axes = plt.subplots(down, across, figsize=(5.5 * across, 4.7 * down), sharey=True, squeeze=False)
    for axis, (dataset, model) in zip(axes.flat, blocks, strict=True):
        _panel(axis, scale, table, dataset, model)
    handles = [plt.Line2D([], [], c="0.3", marker="o", ls="", label="ours: mean and 95 % t-interval, seeds as dots")]
    where = "" if scale.comparable else ", upper axis"
    handles.append(plt.Line2D([], [], c="0.3", marker="o", ls="", mfc="white", label=f"paper{where}"))
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    compare = "" if scale.comparable else "; the paper's points are of full scale: compare orders, not values"
    style.stamp(figure, f"scale {scale.name}, accuracy of the last epoch; controls below the line{compare}")
    return figure


def _panel(axis: Any, scale: Scale, table: Any, dataset: str, model: str) -> None:
    from ebreplicate.experiments.common import style

    here = table[(table.dataset == dataset) & (table.model == model)]
    ratios, seen = RATIOS[dataset, model], []
    other = axis if scale.comparable else axis.twiny()
    for ratio, colour, marker, shift in zip(ratios, style.COLOURS, style.MARKERS, SHIFT, strict=False):
        axis.plot([], [], marker, c=colour, label=f"{ratio:.0%} removed")
        for y, method in enumerate(ORDER):
            if method == DENSE:
                continue
            values = by_seed(here, method=method, ratio=ratio)
            seen += _dots(axis, values, y + shift, colour, marker)
        _published(other, dataset, model, ratio, shift, colour, marker)
    seen += _dots(axis, by_seed(here, method=DENSE), 0, "0.2", "o")
    if dense := by_seed(here, method=DENSE):
        axis.axvline(interval(dense).mean, c="0.3", ls="--", lw=1)
    axis.axhline(len(PAPER) + 0.5, c="0.4", lw=0.8)
    axis.set_yticks(range(len(ORDER)), ORDER, fontsize="x-small")
    axis.set_ylim(len(ORDER) - 0.5, -0.5)
    axis.set(title=title(scale, model, dataset), xlabel="accuracy (%)")
    if not scale.comparable:
        other.grid(False)
        other.tick_params(labelsize="x-small", colors="0.5")
        if not other.lines:
            other.set_xticks([])
    if seen:
        pad = max(0.08 * (max(seen) - min(seen)), 0.5)
        axis.set_xlim(min(seen) - pad, max(seen) + pad)
        axis.legend(fontsize="x-small", loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3)
    elif not scale.comparable or model != "vgg16":
        axis.set_xticks([])
        axis.text(0.5, 0.5, "not run at this scale", ha="center", transform=axis.transAxes, color="0.4")


def _dots(axis: Any, values: dict[int, float], y: float, colour: str, marker: str) -> list[float]:
    mean = interval(values)
    if mean.n:
        half = mean.half if math.isfinite(mean.half) else 0
        axis.errorbar(mean.mean, y, xerr=half, fmt=marker, c=colour, capsize=2, lw=1.2)
        axis.plot(list(values.values()), [y] * mean.n, ".", c=colour, alpha=0.5, ms=4)
    return list(values.values())


def _published(axis: Any, dataset: str, model: str, ratio: float, shift: float, colour: str, marker: str) -> None:
    numbers = printed(dataset, model)
    points = [(numbers.get((m, ratio, "retrain_top1")), y + shift) for y, m in enumerate(ORDER)]
    known = [(x, y) for x, y in points if x is not None]
    if known:
        axis.plot([x for x, _ in known], [y for _, y in known], marker, c=colour, mfc="white", alpha=0.75)

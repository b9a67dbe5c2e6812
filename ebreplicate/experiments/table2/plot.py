"""Table 2 as a figure: accuracy of every method minus the unpruned network's, one panel a block."""

from collections.abc import Sequence
from typing import Any

from ebreplicate.experiments.common.contrasts import minus
from ebreplicate.experiments.common.panels import title
from ebreplicate.experiments.common.rows import accuracy_column, by_seed, has_run, images_of, interval
from ebreplicate.experiments.fig1 import runs as fig1
from ebreplicate.experiments.table2.cells import differences
from ebreplicate.experiments.table2.runs import BLOCKS, CONTROLS, DENSE, PAPER, Place
from ebreplicate.specs.scale import Scale

SHIFT = (-0.24, 0.0, 0.24)
"""Vertical offsets of a row's three ratios."""
LEAST = 7
"""Rows of text for which a panel has room, however few its methods: title and legends need it."""
BESIDE = 0.09
"""Further offset of a published point, so that it does not hide ours."""


def draw(scale: Scale, table: Any, blocks: Sequence[Place] = BLOCKS) -> Any:
    """A panel a block that has run: a row a method, cheapest above, controls below the line; the paper's hollow."""
    from ebreplicate.experiments.common import style

    plt = style.use()
    found = {(d, m): _methods(table[(table.dataset == d) & (table.model == m)]) for d, m in blocks}
    shown = [place for place in blocks if any(found[place])]
    if not shown:  # of a block, the unpruned network alone may have run
        return style.nothing(scale.name)
    methods = [found[place] for place in shown]
    across, counts = min(len(shown), 2), [max(LEAST, len(paper) + len(controls)) for paper, controls in methods]
    rows = [max(counts[i : i + across]) for i in range(0, len(counts), across)]  # of text, by row of panels
    size = (5.9 * across + 1.5 * (across == 1), sum(0.31 * n + 1.6 for n in rows))
    figure, axes = plt.subplots(len(rows), across, figsize=size, height_ratios=rows, squeeze=False)
    for axis in axes.flat[len(shown) :]:
        axis.set_axis_off()
    for i, (axis, (dataset, model), order) in enumerate(zip(axes.flat, shown, methods, strict=False)):
        _panel(axis, scale, table, dataset, model, *order, rows[i // across])
    handles = [plt.Line2D([], [], c="0.3", marker="o", ls="", label="ours")]
    if not scale.is_smoke:
        handles.append(plt.Line2D([], [], c="0.3", marker="o", ls="", mfc="white", label="paper"))
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    text = f"scale {scale.name}; last epoch, {images_of(table)}, {style.SEEDS}\n"
    text += "right: training FLOPs over the unpruned network's"
    if not scale.is_smoke:
        text += "\nthe paper's points: minus the dense network of its Figure 1 (its Table 2 prints none)"
    style.stamp(figure, text)
    return figure


def _methods(here: Any) -> tuple[list[str], list[str]]:
    """The paper's methods of a block that have run, cheapest first, and the controls likewise."""
    cost = here[here.last_accuracy.notna()].groupby("method").flops_ratio.mean()
    known = sorted(cost.index, key=lambda name: (cost[name] if cost[name] == cost[name] else 0.0, name))
    return [m for m in known if m in PAPER], [m for m in known if m in CONTROLS]


def _panel(
    axis: Any, scale: Scale, table: Any, dataset: str, model: str, paper: list[str], controls: list[str], rows: int
) -> None:
    from ebreplicate.experiments.common import style

    here, order = table[(table.dataset == dataset) & (table.model == model)], [*paper, *controls]
    column = accuracy_column(table)
    dense, seen = by_seed(here, column, method=DENSE), [0.0]
    ratios = [r for r in fig1.RATIOS[dataset, model] if has_run(here[(here.ratio - r).abs() < 1e-9])]
    theirs = {} if scale.is_smoke else differences(dataset, model)
    shifts = SHIFT if len(ratios) > 1 else SHIFT[1:2]
    for ratio, colour, marker, shift in zip(ratios, style.COLOURS, style.MARKERS, shifts, strict=False):
        ours = [minus(by_seed(here, column, method=m, ratio=ratio), dense).values() for m in order]
        places = [(y + shift, values) for y, values in enumerate(ours)]
        look = {"c": colour, "marker": marker, "ls": ""}
        seen += style.series(axis, places, across=True, **look, label=f"{ratio:.0%} removed")
        points = [(theirs[m, ratio], y + shift + BESIDE) for y, m in enumerate(order) if (m, ratio) in theirs]
        axis.plot([x for x, _ in points], [y for _, y in points], **look, mfc="white", alpha=0.75)
        seen += [x for x, _ in points]
    style.zero(axis, across=True)
    if paper and controls:
        axis.axhline(len(paper) - 0.5, c="0.4", lw=0.8)
    axis.set_yticks(range(len(order)), order, fontsize="x-small")
    axis.set_ylim(len(order) - 0.5, -0.5)
    pad = max(0.08 * (max(seen) - min(seen)), 0.5)
    axis.set_xlim(min(seen) - pad, max(seen) + pad)
    axis.set(title=title(scale, model, dataset), xlabel="accuracy minus that of the unpruned network (pp)")
    _costs(axis, here, order, ratios)
    drop = min(-0.16, -1.9 / rows)  # the label of the axis stands in between
    axis.legend(fontsize="x-small", loc="upper center", bbox_to_anchor=(0.5, drop), ncols=3)


def _costs(axis: Any, here: Any, order: list[str], ratios: list[float]) -> None:
    """Beside every row, its training FLOPs over the unpruned network's, ratio by ratio."""
    where: dict[str, Any] = {"va": "center", "fontsize": "x-small", "color": "0.3", "annotation_clip": False}
    axis.annotate("FLOPs", (1.02, -0.45), xycoords=("axes fraction", "data"), **where)
    for y, method in enumerate(order):
        found = [interval(by_seed(here, "flops_ratio", method=method, ratio=ratio)) for ratio in ratios]
        text = " / ".join(f"{i.mean:.2f}" if i.n else "-" for i in found)
        axis.annotate(text, (1.02, y), xycoords=("axes fraction", "data"), **where)

"""Figure 1 as drawn: accuracy of retrained tickets minus the dense network's, against the draw, the paper beside."""

from typing import Any

from ebreplicate.experiments.common.contrasts import minus
from ebreplicate.experiments.common.panels import PAPER_EPOCHS, panels, title
from ebreplicate.experiments.common.rows import accuracy_column, by_seed, has_run, images_of
from ebreplicate.experiments.fig1.runs import draws, printed, ratios_of
from ebreplicate.specs.scale import Scale

STAR_X = 118.0
"""Where the best epoch stands on an axis of percent of training."""
DODGE = 0.13
"""Shift between series, in square roots of a percent: their intervals must not hide each other."""


def draw(scale: Scale, table: Any) -> Any:
    """A panel a network and dataset that has run; published points hollow beside ours."""
    from ebreplicate.experiments.common import style

    plt = style.use()
    shown = [p for p in panels(scale) if has_run(table, dataset=p[0], model=p[1])]
    shape = (1, len(shown)) if len(shown) < 3 else (2, 2)
    figure, axes = plt.subplots(*shape, figsize=(5 * shape[1] + 2 * (len(shown) == 1), 4 * shape[0]), squeeze=False)
    for axis in axes.flat[len(shown) :]:
        axis.set_axis_off()
    for axis, (dataset, model) in zip(axes.flat, shown, strict=False):
        _panel(axis, scale, table, dataset, model)
    handles = [plt.Line2D([], [], c="0.3", marker="o", label="ours")]
    if not scale.is_smoke:
        paper = axes[0][0].errorbar([], [], [], c="0.3", marker="o", elinewidth=0.8, capsize=1.5, **style.PUBLISHED)
        paper.set_label("paper, digitised, with its error bars where legible")
        handles.append(paper)
    figure.legend(handles=handles, loc="outside upper center", ncols=2, fontsize="small")
    if not scale.is_smoke:
        paper.remove()  # only there to be copied into the legend
    style.stamp(figure, f"scale {scale.name}; last epoch of the retrain, {images_of(table)}, {style.SEEDS}; n: seeds")
    return figure


def _panel(axis: Any, scale: Scale, table: Any, dataset: str, model: str) -> None:
    from ebreplicate.experiments.common import style

    here = table[(table.dataset == dataset) & (table.model == model)]
    column = accuracy_column(table)
    dense, paper = by_seed(here, column, draw="dense"), printed(dataset, model)
    paper = paper.assign(value=paper.value - paper[paper.draw == "dense"].value.iloc[0])
    seen = [0.0]
    ratios = ratios_of(scale, dataset, model)
    for i, ratio in enumerate(ratios):
        look: dict[str, Any] = {"color": style.COLOURS[i], "marker": style.MARKERS[i]}
        points = [(d, minus(by_seed(here, column, ratio=ratio, draw=d), dense).values()) for d in draws(scale)]
        shift = (i - (len(ratios) - 1) / 2) * DODGE
        label = f"{ratio:.0%} of the channels removed"
        seen += style.series(axis, [(_shifted(_x(scale, d), shift), v) for d, v in points], label=label, **look)
        theirs = paper[((paper.prune_ratio - ratio).abs() < 1e-9) & (paper.draw != "dense")]
        if not scale.is_smoke:
            style.printed_line(axis, map(_paper_x, theirs.draw), theirs.value, theirs.half, **look)
            seen += list(theirs.value)
    style.zero(axis)
    style.frame(axis, seen)
    axis.set(title=f"{title(scale, model, dataset)}\nn = {len(dense)}", ylabel="retrained minus dense network (pp)")
    _training_axis(axis, scale)
    style.legend_below(axis, columns=2)


def _training_axis(axis: Any, scale: Scale) -> None:
    from ebreplicate.experiments.common.style import percent

    axis.set_xscale("function", functions=(lambda v: abs(v) ** 0.5, lambda v: v**2))
    places = [_x(scale, d) for d in draws(scale)]
    names = ["best" if d == "best" else percent(x) for d, x in zip(draws(scale), places, strict=True)]
    axis.set_xticks(places, names, fontsize="x-small")
    axis.set_xlabel("ticket drawn after this share of the search (%, square-root axis)")
    axis.set_xlim(0.2, 130)


def _x(scale: Scale, draw: str) -> float:
    """Position of our point: percent of the search."""
    return STAR_X if draw == "best" else 100 * scale.epoch(int(draw)) / scale.recipe.epochs


def _shifted(x: float, shift: float) -> float:
    return (x**0.5 + shift) ** 2


def _paper_x(draw: str) -> float:
    return STAR_X if draw == "best" else 100 * float(draw) / PAPER_EPOCHS

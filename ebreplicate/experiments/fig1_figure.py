"""Figure 1 as drawn: retrain accuracy against the draw epoch, the paper beside."""

import math
from typing import Any

from ebreplicate import published
from ebreplicate.experiments import base
from ebreplicate.experiments.base import by_seed, interval
from ebreplicate.experiments.fig1_runs import RATIOS, STAR, draws
from ebreplicate.plan.scale import Scale


def draw(scale: Scale, table: Any) -> Any:
    """Four panels; published points hollow beside ours."""
    from ebreplicate import style

    plt = style.use()
    figure, axes = plt.subplots(2, 2, figsize=(10, 7.4))
    for axis, (dataset, model) in zip(axes.flat, base.panels(), strict=True):
        _panel(axis, scale, table, dataset, model)
    handles = [plt.Line2D([], [], c="0.3", marker="o", label="ours: mean, 95 % t-interval (cut at the frame), seeds")]
    where = "" if scale.comparable else ", right axis"
    handles.append(plt.Line2D([], [], c="0.3", marker="o", label=f"paper, digitised{where}", **style.PUBLISHED))
    handles.append(plt.Line2D([], [], c="0.3", ls="--", label="dense network, no pruning"))
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    n = base.count(len(scale.seeds), "seed")
    if scale.comparable:
        style.stamp(figure, f"scale {scale.name}, {n}, accuracy of the last retrain epoch on the test set")
    else:
        style.stamp(
            figure,
            f"scale {scale.name}, up to {n}, accuracy of the last retrain epoch; the paper's points are of "
            "full scale: compare shapes, not heights.",
        )
    return figure


def _panel(axis: Any, scale: Scale, table: Any, dataset: str, model: str) -> None:
    from ebreplicate import style

    last = scale.recipe.epochs
    here = table[(table.dataset == dataset) & (table.model == model)]
    paper = published.read("eb_fig1_iclr_digitised")
    paper = paper[(paper.dataset == dataset) & (paper.model == model)]
    other = axis if scale.comparable else axis.twinx()
    seen = list(by_seed(here, draw="dense").values())
    for ratio, colour, marker in zip(RATIOS[dataset, model], style.COLOURS, style.MARKERS, strict=False):
        look = {"color": colour, "marker": marker}
        series = [(d, interval(by_seed(here, ratio=ratio, draw=d))) for d in draws(scale)]
        ours = [(_x(scale, d), i) for d, i in series if i.n]
        if ours:
            x, y = [p[0] for p in ours], [p[1].mean for p in ours]
            bars = [p[1].half if math.isfinite(p[1].half) else 0 for p in ours]
            axis.errorbar(x, y, bars, capsize=2, lw=1.2, label=f"{ratio:.0%} removed", **look)
            for draw in draws(scale):
                values = list(by_seed(here, ratio=ratio, draw=draw).values())
                axis.plot([_x(scale, draw)] * len(values), values, ".", c=colour, alpha=0.5, ms=4)
                seen += values
        theirs = paper[(paper.prune_ratio - ratio).abs() < 1e-9]
        points = [(_paper_x(e), v) for e, v in zip(theirs.draw_epoch, theirs.value, strict=True) if _paper_x(e)]
        other.plot([p[0] for p in points], [p[1] for p in points], **look, **style.PUBLISHED)
    dense = interval(by_seed(here, draw="dense"))
    if dense.n:
        axis.axhline(dense.mean, c="0.3", ls="--", lw=1)
    if not scale.comparable:
        other.grid(False)
        other.tick_params(labelsize="x-small", colors="0.5")
    axis.set(title=base.title(scale, model, dataset), ylabel="retrain accuracy (%)")
    axis.set_xscale("function", functions=(lambda v: abs(v) ** 0.5, lambda v: v**2))
    ticks = [scale.epoch(e) / last * 160 for e in scale.draw_epochs] + [STAR_X]
    axis.set_xticks(ticks, [str(scale.epoch(e)) for e in scale.draw_epochs] + ["best"], fontsize="x-small")
    axis.set_xlabel(f"draw epoch, of {last} (square-root axis)")
    axis.set_xlim(0.3, 200)
    if not scale.comparable:
        style.frame(axis, seen)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize="small", loc="lower right")
    elif not scale.comparable:
        axis.set_yticks([])
        axis.text(0.5, 0.08, "not run yet at this scale", ha="center", transform=axis.transAxes, color="0.4")


STAR_X = 185.0


def _x(scale: Scale, draw: str) -> float:
    """Position of our point on an axis of 160 epochs."""
    return STAR_X if draw == "best" else scale.epoch(int(draw)) / scale.recipe.epochs * 160


def _paper_x(draw: Any) -> float | None:
    if draw == STAR:
        return STAR_X
    return float(draw) if isinstance(draw, str) else None

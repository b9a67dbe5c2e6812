"""Figure 2 as drawn: retrain accuracy against the draw epoch, a line a precision; below, distances between masks."""

import math
from typing import Any

from ebreplicate.experiments.common.panels import title
from ebreplicate.experiments.common.rows import by_seed, interval
from ebreplicate.experiments.fig2.runs import NAMES, grid_of
from ebreplicate.specs.scale import Scale


def draw(scale: Scale, table: Any) -> Any:
    """A column a panel: a row a ratio, and the distances."""
    from ebreplicate.experiments.common import style

    plt, grid = style.use(), grid_of(scale)
    panels = grid.panels()
    deep = max(len(ratios) for *_, ratios in panels)
    size = (max(7.5, 3.1 * len(panels)), 2.7 * (deep + 1) + 0.6)
    figure, axes = plt.subplots(deep + 1, len(panels), figsize=size, squeeze=False)
    for column, (dataset, model, ratios) in enumerate(panels):
        here = table[(table.dataset == dataset) & (table.model == model)]
        for row in range(deep):
            _accuracy_panel(axes[row][column], scale, here, ratios[row] if row < len(ratios) else None)
        _distance_panel(axes[deep][column], scale, here)
        top = axes[0][column]
        top.set_title(f"{title(scale, model, dataset)}\n{top.get_title()}", fontsize="small")
    axes[0][0].set_ylabel("retrain accuracy (%)")
    axes[deep][0].set_ylabel("mask distance")
    handles, labels = axes[0][0].get_legend_handles_labels()
    more = axes[deep][0].get_legend_handles_labels()
    fresh = [i for i, label in enumerate(more[1]) if label not in labels]
    handles, labels = handles + [more[0][i] for i in fresh], labels + [more[1][i] for i in fresh]
    figure.legend(handles, labels, loc="outside upper center", ncols=2, fontsize="small")
    style.stamp(
        figure,
        f"scale {scale.name}; seeds: {len(scale.seeds[: grid.seeds])}; mean, 95 % t-interval (cut at the frame), "
        "last retrain epoch;\ndistances: mean over seeds and ratios. The paper's Figure 2 was not found.",
    )
    return figure


def _axis(axis: Any, scale: Scale, draws: tuple[int, ...]) -> None:
    axis.set_xticks(range(len(draws)), [str(scale.epoch(d)) for d in draws], fontsize="x-small")
    axis.set_xlabel(f"draw epoch, of {scale.recipe.epochs}")


def _looks(scale: Scale) -> list[tuple[str, str, str, str]]:
    """(precision, label, colour, marker), full precision first."""
    from ebreplicate.experiments.common import style

    labels = {scale.precision: f"{scale.precision} search"} | {
        p: f"{NAMES[p]} search" for p in grid_of(scale).precisions
    }
    return [(p, label, style.COLOURS[i], style.MARKERS[i]) for i, (p, label) in enumerate(labels.items())]


def _accuracy_panel(axis: Any, scale: Scale, here: Any, ratio: float | None) -> None:
    from ebreplicate.experiments.common import style

    draws, seen = grid_of(scale).draws, []
    if ratio is None:
        axis.set_axis_off()
        return
    for i, (precision, label, colour, marker) in enumerate(_looks(scale)):
        values = [list(by_seed(here, precision=precision, ratio=ratio, draw=str(d)).values()) for d in draws]
        points = [(x + 0.08 * (i - 1), interval(dict(enumerate(v)))) for x, v in enumerate(values) if v]
        halves = [0 if math.isnan(p.half) else p.half for _, p in points]
        ys = [p.mean for _, p in points]
        axis.errorbar([x for x, _ in points], ys, halves, c=colour, marker=marker, capsize=2, lw=1.2, label=label)
        for x, v in enumerate(values):
            axis.plot([x + 0.08 * (i - 1)] * len(v), v, ".", c=colour, alpha=0.5, ms=4)
            seen += v
    style.frame(axis, seen)
    axis.set_title(f"{ratio:.0%} removed", fontsize="small")
    _axis(axis, scale, draws)


def _distance_panel(axis: Any, scale: Scale, here: Any) -> None:
    draws = grid_of(scale).draws

    top = [0.5]

    def line(column: str, precision: str, **look: Any) -> None:
        rows = here[(here.precision == precision) & here[column].notna()]
        means = [(x, rows[rows.draw == str(d)][column].mean()) for x, d in enumerate(draws)]
        means = [(x, y) for x, y in means if math.isfinite(y)]
        axis.plot([x for x, _ in means], [y for _, y in means], **look)
        top.extend(y for _, y in means)

    full, *low = _looks(scale)
    for precision, label, colour, marker in low:
        line("mask_distance", precision, c=colour, marker=marker, label=label)
    line("seed_distance", full[0], c="0.3", ls="--", label=f"between {full[0]} masks of two seeds")
    line("chance", full[0], c="0.6", ls=":", label="between random masks, 2p(1-p)")
    axis.set_ylim(0, 1.08 * max(top))
    axis.set_title(f"to the {full[0]} mask of the same seed", fontsize="small")
    _axis(axis, scale, draws)

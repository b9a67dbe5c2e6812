"""Figure 2 as drawn: retrain accuracy minus the dense network's against the draw, a line a precision; below, distances
between masks."""

import math
from typing import Any

from ebreplicate.experiments.common.contrasts import minus
from ebreplicate.experiments.common.panels import title
from ebreplicate.experiments.common.rows import accuracy_column, by_seed, has_run, images_of
from ebreplicate.experiments.fig2.runs import NAMES, grid_of
from ebreplicate.specs.scale import Scale

DODGE = 0.08


def draw(scale: Scale, table: Any) -> Any:
    """A column a panel of which a search in eight bits has run: a row a ratio, and the distances."""
    from ebreplicate.experiments.common import style

    plt, grid = style.use(), grid_of(scale)
    low = table[table.precision.isin(grid.precisions)]
    panels = [p for p in grid.panels() if has_run(low, dataset=p[0], model=p[1])]
    if not panels:  # what Figure 1 shares with this one may have run alone
        return style.nothing(scale.name)
    accuracy = accuracy_column(table)
    deep = max(len(ratios) for *_, ratios in panels)
    size = (max(7.5, 3.1 * len(panels)), 2.7 * (deep + 1) + 0.6)
    figure, axes = plt.subplots(deep + 1, len(panels), figsize=size, squeeze=False)
    for column, (dataset, model, ratios) in enumerate(panels):
        here = table[(table.dataset == dataset) & (table.model == model)]
        for row in range(deep):
            _accuracy_panel(axes[row][column], scale, here, ratios[row] if row < len(ratios) else None, accuracy)
        _distance_panel(axes[deep][column], scale, here)
        top = axes[0][column]
        top.set_title(f"{title(scale, model, dataset)}\n{top.get_title()}", fontsize="small")
    axes[0][0].set_ylabel("retrained minus dense network (pp)")
    axes[deep][0].set_ylabel("mask distance")
    found = {n: h for axis in axes.flat for h, n in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(found.values(), found.keys(), loc="outside upper center", ncols=2, fontsize="small")
    paper = "" if scale.is_smoke else " The paper's Figure 2 was not found."
    style.stamp(
        figure,
        f"scale {scale.name}; dense: in full precision, the same seed; last epoch, {images_of(table)}, {style.SEEDS};\n"
        f"distances: mean over seeds and ratios.{paper}",
    )
    return figure


def _axis(axis: Any, scale: Scale, draws: tuple[int, ...]) -> None:
    from ebreplicate.experiments.common.style import percent

    shares = [100 * scale.epoch(d) / scale.recipe.epochs for d in draws]
    axis.set_xticks(range(len(draws)), map(percent, shares), fontsize="x-small")
    axis.set_xlim(-0.5, len(draws) - 0.5)
    axis.set_xlabel("ticket drawn after this share of the search (%)", fontsize="small")


def _looks(scale: Scale) -> list[tuple[str, str, str, str]]:
    """(precision, label, colour, marker), full precision first."""
    from ebreplicate.experiments.common import style

    labels = {scale.precision: f"{scale.precision} search"} | {
        p: f"{NAMES[p]} search" for p in grid_of(scale).precisions
    }
    return [(p, label, style.COLOURS[i], style.MARKERS[i]) for i, (p, label) in enumerate(labels.items())]


def _accuracy_panel(axis: Any, scale: Scale, here: Any, ratio: float | None, accuracy: str) -> None:
    from ebreplicate.experiments.common import style

    draws, seen = grid_of(scale).draws, [0.0]
    if ratio is None:
        axis.set_axis_off()
        return
    dense = by_seed(here, accuracy, precision=scale.precision, draw="dense")
    ran = [look for look in _looks(scale) if has_run(here, precision=look[0])]
    for i, (precision, label, colour, marker) in enumerate(ran):
        found = [minus(by_seed(here, accuracy, precision=precision, ratio=ratio, draw=str(d)), dense) for d in draws]
        shift = DODGE * (i - (len(ran) - 1) / 2)
        points = [(x + shift, values.values()) for x, values in enumerate(found)]
        seen += style.series(axis, points, c=colour, marker=marker, label=label)
    style.zero(axis)
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
        if means:
            axis.plot([x for x, _ in means], [y for _, y in means], **look)
        top.extend(y for _, y in means)

    full, *low = _looks(scale)
    for precision, label, colour, marker in low:
        if not has_run(here, precision=precision):
            continue
        line("mask_distance", precision, c=colour, marker=marker, label=label)
    line("seed_distance", full[0], c="0.3", ls="--", label=f"between {full[0]} masks of two seeds")
    line("chance", full[0], c="0.6", ls=":", label="between random masks, 2p(1-p)")
    axis.set_ylim(0, 1.08 * max(top))
    axis.set_title(f"to the {full[0]} mask of the same seed", fontsize="small")
    _axis(axis, scale, draws)

"""The lottery-ticket figure: accuracy, early stopping and the worth of the initialisation against weights left."""

import math
from typing import Any, NamedTuple

from ebreplicate.experiments.common.contrasts import paired
from ebreplicate.experiments.common.experiment import NOT_RUN
from ebreplicate.experiments.common.panels import title
from ebreplicate.experiments.common.rows import by_seed, count, interval
from ebreplicate.experiments.common.stats import Interval
from ebreplicate.experiments.lottery.cells import ACCURACY, ITERATION, curve
from ebreplicate.experiments.lottery.runs import DATASET, DEEP, grid_of
from ebreplicate.specs.scale import Scale

SERIES = {"ticket": "winning ticket", "reinit": "its mask, fresh weights", "random": "random sparsity"}
SETTINGS = {
    "high": "high rate",
    "low": "low rate",
    "warmup": "warmup",
    "rewind": "high rate, rewound to an early epoch",
}


class Point(NamedTuple):
    """A round that has been run: percent of weights left; interval over seeds; their values."""

    left: float
    interval: Interval
    seeds: list[float]


def _point(left: dict[int, float], values: dict[int, float]) -> Point:
    return Point(100 * interval(left).mean, interval(values), [*values.values()])


def _points(table: Any, column: str, **where: Any) -> list[Point]:
    """A point for every round that has been run."""
    out = []
    for number in sorted(set(table["round"])):
        values = by_seed(table, column, round=int(number), **where)
        left = by_seed(table, "remaining", round=int(number), **where)
        if values and left:
            out.append(_point(left, values))
    return out


def _line(axis: Any, points: list[Point], color: str, **look: Any) -> None:
    """Means as a line, seeds as dots, and faint intervals: those of two seeds are longer than the axis."""
    left, means = [p.left for p in points], [p.interval.mean for p in points]
    bars = [p.interval.half if math.isfinite(p.interval.half) else 0.0 for p in points]
    _, caps, lines = axis.errorbar(left, means, bars, capsize=2, lw=1.2, elinewidth=0.8, color=color, **look)
    for part in (*caps, *lines):
        part.set_alpha(0.35)
    for p in points:
        if len(p.seeds) > 1:
            axis.plot([p.left] * len(p.seeds), p.seeds, ls="", marker=".", ms=3, color=color)


def _seen(points: list[Point]) -> list[float]:
    """What the frame must hold."""
    return [value for p in points for value in (p.interval.mean, *p.seeds)]


def _published(axis: Any, rows: dict[int, Any], factor: float, lowest: float, **look: Any) -> None:
    """Published points within the frame."""
    from ebreplicate.experiments.common import style

    rows = {k: r for k, r in rows.items() if k and r.percent_weights_remaining >= lowest / 1.15}
    shown = [(r.percent_weights_remaining, factor * r.value) for _, r in sorted(rows.items())]
    axis.plot([x for x, _ in shown], [y for _, y in shown], **{**look, **style.PUBLISHED})


def _frame(axis: Any, scale: Scale, values: list[float], lowest: float) -> None:
    from ebreplicate.experiments.common import style

    axis.set_xscale("log")
    axis.set_xlim(115, lowest / 1.15)
    ticks = [t for t in (100, 60, 30, 15, 8, 4, 2, 1) if t >= lowest / 1.15]
    axis.set_xticks(ticks, [str(t) for t in ticks])
    axis.minorticks_off()
    if not scale.comparable:
        style.frame(axis, values)
        if not values:
            axis.set_yticks([])
            axis.text(0.5, 0.08, "not run yet at this scale", ha="center", transform=axis.transAxes, color="0.4")


def _other(axis: Any, scale: Scale) -> Any:
    """Where published points go: the same axis, or at a scale that is not comparable one of their own."""
    if scale.comparable:
        return axis
    other = axis.twinx()
    other.grid(False)
    other.tick_params(labelsize="x-small", colors="0.5")
    return other


def _lowest(here: Any) -> float:
    """Smallest percentage of weights left in a panel."""
    left = here[here["round"] > 0].remaining.dropna()
    return 100 * float(left.min()) if len(left) else 10.0


def _small(axis: Any, scale: Scale, table: Any, model: str, iteration: bool) -> None:
    """One small network: three series, dense as a line, published beside."""
    from ebreplicate.experiments.common import style

    column = "early_stop_iteration" if iteration else "early_stop_accuracy"
    metric, factor = (ITERATION, 1.0) if iteration else (ACCURACY, 100.0)
    here = table[table.model == model]
    other, seen, lowest = _other(axis, scale), [], _lowest(here)
    for series, colour, marker in zip(SERIES, style.COLOURS, style.MARKERS, strict=False):
        points = _points(here, column, series=series)
        look = {"color": colour, "marker": marker}
        _line(axis, points, label=SERIES[series], **look)
        _published(other, curve(model, "plain", series, metric), factor, lowest, **look)
        seen += _seen(points)
    dense = interval(by_seed(here, column, series="dense"))
    if dense.n:
        axis.axhline(dense.mean, c="0.3", ls="--", lw=1)
        seen.append(dense.mean)
    _frame(axis, scale, seen, lowest)


def _deep(axis: Any, scale: Scale, table: Any, model: str) -> None:
    """One deep network: a colour a setting from its dense network on, re-initialised tickets dashed."""
    from ebreplicate.experiments.common import style

    here = table[table.model == model]
    other, seen, lowest = _other(axis, scale), [], _lowest(here)
    for setting, colour, marker in zip(SETTINGS, style.COLOURS, style.MARKERS, strict=True):
        dense = _points(here, "last_accuracy", setting="high" if setting == "rewind" else setting, series="dense")
        for series, line in (("ticket", "-"), ("reinit", "--")):
            points = _points(here, "last_accuracy", setting=setting, series=series)
            look = {"color": colour, "marker": marker}
            if points:
                name = SETTINGS[setting] + (", fresh weights" if series == "reinit" else "")
                _line(axis, dense + points, label=name, ls=line, **look)
            if series == "ticket":
                _published(other, curve(model, setting, series), 100.0, lowest, **look)
            seen += _seen(dense + points)
    _frame(axis, scale, seen, lowest)


def _gain(axis: Any, scale: Scale, table: Any, model: str) -> None:
    """Rewound minus re-initialised at equal masks' sparsity, a setting a line."""
    from ebreplicate.experiments.common import style

    here, seen = table[table.model == model], [0.0]
    for setting, colour, marker in zip(SETTINGS, style.COLOURS, style.MARKERS, strict=True):
        points = []
        for number in sorted(set(here["round"]) - {0}):
            at = {"round": int(number)}
            ticket = {"setting": setting, "series": "ticket", **at}
            control = {"setting": "high" if setting == "rewind" else setting, "series": "reinit", **at}
            gain, left = paired(here, "last_accuracy", ticket, control), by_seed(here, "remaining", **ticket)
            if gain:
                points.append(_point(left, gain))
        if points:
            _line(axis, points, color=colour, marker=marker)
        seen += _seen(points)
    axis.axhline(0, c="0.3", lw=0.8)
    _frame(axis, scale, seen, _lowest(here))
    style.frame(axis, seen)


def _axes(plt: Any, models: list[str], alone: bool) -> tuple[Any, Any]:
    """Figure, and its axes (2, number of networks); the two of a small network that is `alone` stand side by side."""
    if alone:
        figure, axes = plt.subplots(1, 2, figsize=(8.4, 4.2))
        return figure, axes.reshape(2, 1)
    return plt.subplots(2, len(models), figsize=(3.3 * len(models), 5.8), squeeze=False)


def _legend_of_one(figure: Any, axis: Any) -> None:
    """One row above the axes: the series, the dense network, and what the hollow points are."""
    from matplotlib.lines import Line2D

    from ebreplicate.experiments.common import style

    handles, names = axis.get_legend_handles_labels()
    handles += [Line2D([], [], color="0.3", ls="--", lw=1), Line2D([], [], color="0.3", marker="o", **style.PUBLISHED)]
    figure.legend(handles, [*names, "dense", "Frankle & Carbin"], loc="outside upper center", ncols=5, fontsize="small")


def draw(scale: Scale, table: Any) -> Any:
    """Two rows: accuracy above; below, early stopping of small networks and the gain over re-init of deep ones. A
    small network that is alone has them side by side."""
    from ebreplicate.experiments.common import style

    plt = style.use()
    finished = set(table[table.status != NOT_RUN].model) or set(table.model)
    models = [model for model in grid_of(scale).panels if model in finished]
    alone = len(models) == 1 and models[0] not in DEEP
    figure, axes = _axes(plt, models, alone)
    for (top, bottom), model in zip(axes.T, models, strict=True):
        if model in DEEP:
            _deep(top, scale, table, model)
            _gain(bottom, scale, table, model)
            top.set_ylabel("accuracy, last epoch (%)")
            bottom.set_ylabel("gain over fresh weights (pp)")
        else:
            _small(top, scale, table, model, iteration=False)
            _small(bottom, scale, table, model, iteration=True)
            top.set_ylabel("accuracy at early stopping (%)")
            bottom.set_ylabel("iteration of early stopping")
        top.set_title(title(scale, model, DATASET[model]), fontsize="small")
        bottom.set_xlabel("weights left (%)")
    if alone:
        axes[0, 0].set_xlabel("weights left (%)")
        _legend_of_one(figure, axes[0, 0])
    for side, deep in () if alone else (("left", False), ("right", True)):
        top = [axis for axis, model in zip(axes[0], models, strict=True) if (model in DEEP) == deep]
        shown = {name: h for axis in top for h, name in zip(*axis.get_legend_handles_labels(), strict=True)}
        if shown:
            look = {"ncols": 2 if deep else 1, "fontsize": "small"}
            figure.legend(shown.values(), shown.keys(), loc=f"outside upper {side}", **look)
    grid = grid_of(scale)
    few, many = (len(scale.chosen(n)) for n in (grid.seeds, grid.deep_seeds))
    seeds = count(few, "seed") + (f" (deep: {many})" if set(models) & set(DEEP) else "")
    note = f"scale {scale.name}, {seeds}, "
    note += "mean, seeds as dots, 95 % t-interval (faint, cut off); grey dashes: dense; hollow: Frankle & Carbin"
    style.stamp(figure, note + ("" if scale.comparable else ", on the grey axis"))
    return figure

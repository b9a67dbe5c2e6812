"""The lottery-ticket figure: accuracy, early stopping and the worth of the initialisation against weights left.

Accuracies are points above the dense network's, iterations of early stopping are over the dense network's: so the paper
and a smaller scale share an axis.
"""

from typing import Any

from ebreplicate.experiments.common.contrasts import minus, paired
from ebreplicate.experiments.common.panels import title
from ebreplicate.experiments.common.rows import by_seed, count, has_run, interval
from ebreplicate.experiments.lottery.curves import ACCURACY, ITERATION, curve
from ebreplicate.experiments.lottery.runs import DATASET, DEEP, grid_of
from ebreplicate.specs.scale import Scale

SERIES = {"ticket": "winning ticket", "reinit": "its mask, random weights", "random": "random mask"}
SETTINGS = {
    "high": "high learning rate",
    "low": "low learning rate",
    "warmup": "warmup",
    "rewind": "high learning rate, rewound to an early epoch",
}
Points = list[tuple[float, list[float]]]
"""Percent of weights left, and the values of the seeds."""


def _beside(table: Any, column: str, dense: dict[int, float], over: bool, **where: Any) -> Points:
    """`column` of every round that has been run, in points minus (or `over`) the dense network's of the same seed."""
    out = []
    for number in sorted(set(table["round"]) - {0}):
        values = by_seed(table, column, round=int(number), **where)
        left = by_seed(table, "remaining", round=int(number), **where)
        ratios = {s: values[s] / dense[s] for s in values if dense.get(s)}
        found = ratios if over else minus(values, dense)
        if found and left:
            out.append((100 * interval(left).mean, [*found.values()]))
    return out


def _published(axis: Any, rows: dict[int, Any], whole: float, over: bool, lowest: float, **look: Any) -> list[float]:
    """Published points within the frame, beside the paper's own dense network; returns their heights."""
    from ebreplicate.experiments.common import style

    rows = {k: r for k, r in rows.items() if k and r.percent_weights_remaining >= lowest / 1.15}
    heights = [r.value / whole if over else 100 * (r.value - whole) for _, r in sorted(rows.items())]
    places = [r.percent_weights_remaining for _, r in sorted(rows.items())]
    axis.plot(places, heights, **{**look, **style.PUBLISHED})
    return heights


def _frame(axis: Any, values: list[float], lowest: float) -> None:
    from ebreplicate.experiments.common import style

    axis.set_xscale("log")
    axis.set_xlim(115, lowest / 1.15)
    ticks = [t for t in (100, 60, 30, 15, 8, 4, 2, 1) if t >= lowest / 1.15]
    axis.set_xticks(ticks, [str(t) for t in ticks])
    axis.minorticks_off()
    style.frame(axis, values)


def _lowest(here: Any) -> float:
    """Smallest percentage of weights left in a panel."""
    left = here[here["round"] > 0].remaining.dropna()
    return 100 * float(left.min()) if len(left) else 10.0


def _small(axis: Any, scale: Scale, table: Any, model: str, iteration: bool) -> None:
    """One small network: three series beside the dense network, the published ones hollow."""
    from ebreplicate.experiments.common import style

    column = "early_stop_iteration" if iteration else "early_stop_accuracy"
    metric = ITERATION if iteration else ACCURACY
    here = table[table.model == model]
    dense, paper = by_seed(here, column, series="dense"), curve(model, "plain", "ticket", metric)
    seen, lowest = [1.0 if iteration else 0.0], _lowest(here)
    for series, colour, marker in zip(SERIES, style.COLOURS, style.MARKERS, strict=False):
        look: dict[str, Any] = {"color": colour, "marker": marker}
        points = _beside(here, column, dense, iteration, series=series)
        seen += style.series(axis, points, label=SERIES[series], **look)
        rows = curve(model, "plain", series, metric)
        if 0 in paper and not scale.is_smoke:
            seen += _published(axis, rows, paper[0].value, iteration, lowest, **look)
    axis.axhline(seen[0], c="0.3", ls="--", lw=1)
    _frame(axis, seen, lowest)
    if iteration:
        low, high = min(seen), max(seen)
        pad = 0.12 * (high - low) or 0.1 * high
        axis.set_ylim(max(0, low - pad), high + pad)


def _deep(axis: Any, scale: Scale, table: Any, model: str) -> None:
    """One deep network: a colour a setting, beside its dense network; tickets with random weights dashed."""
    from ebreplicate.experiments.common import style

    here = table[table.model == model]
    seen, lowest = [0.0], _lowest(here)
    for setting, colour, marker in zip(SETTINGS, style.COLOURS, style.MARKERS, strict=True):
        of_dense = "high" if setting == "rewind" else setting
        dense = by_seed(here, setting=of_dense, series="dense")
        paper = curve(model, of_dense, "ticket")
        for series, line in (("ticket", "-"), ("reinit", "--")):
            look: dict[str, Any] = {"color": colour, "marker": marker}
            name = SETTINGS[setting] + (", random weights" if series == "reinit" else "")
            points = _beside(here, "last_accuracy", dense, False, setting=setting, series=series)
            seen += style.series(axis, points, label=name, ls=line, **look)
            if series == "ticket" and 0 in paper and not scale.is_smoke:
                rows = curve(model, setting, series)
                seen += _published(axis, rows, paper[0].value, False, lowest, **look)
    style.zero(axis)
    _frame(axis, seen, lowest)


def _gain(axis: Any, table: Any, model: str) -> None:
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
                points.append((100 * interval(left).mean, [*gain.values()]))
        seen += style.series(axis, points, color=colour, marker=marker)
    style.zero(axis)
    _frame(axis, seen, _lowest(here))


def _axes(plt: Any, models: list[str], alone: bool) -> tuple[Any, Any]:
    """Figure, and its axes (2, number of networks); the two of a small network that is `alone` stand side by side."""
    if alone:
        figure, axes = plt.subplots(1, 2, figsize=(8.4, 4.2))
        return figure, axes.reshape(2, 1)
    return plt.subplots(2, len(models), figsize=(3.5 * len(models), 6.2), squeeze=False)


def _legends(figure: Any, axes: Any, models: list[str], scale: Scale) -> None:
    """A legend for small networks at the left, one for deep ones at the right: they share colours, not meanings."""
    from matplotlib.lines import Line2D

    from ebreplicate.experiments.common import style

    both = {"dense network": Line2D([], [], color="0.3", ls="--", lw=1)}
    if not scale.is_smoke:
        hollow: dict[str, Any] = {"color": "0.3", "marker": "o", **style.PUBLISHED}
        both["paper (Frankle & Carbin)"] = Line2D([], [], **hollow)
    kinds = [deep for deep in (False, True) if any((model in DEEP) == deep for model in models)]
    for deep in kinds:
        mine = [axis for axis, model in zip(axes, models, strict=True) if (model in DEEP) == deep]
        found = {name: h for axis in mine for h, name in zip(*axis.get_legend_handles_labels(), strict=True)}
        found |= both if deep == kinds[0] else {}
        where = "center" if len(kinds) == 1 else "right" if deep else "left"
        look = {"ncols": (5 if len(models) == 1 else 2) if not deep else 3, "fontsize": "small"}
        heading = None if len(kinds) == 1 else f"{'deep' if deep else 'small'} networks"
        figure.legend(found.values(), found.keys(), loc=f"outside upper {where}", title=heading, **look)


def draw(scale: Scale, table: Any) -> Any:
    """Two rows: accuracy above; below, early stopping of small networks and the gain over re-init of deep ones. A
    small network that is alone has them side by side."""
    from ebreplicate.experiments.common import style

    plt = style.use()
    models = [model for model in grid_of(scale).panels if has_run(table, model=model)]
    alone = len(models) == 1 and models[0] not in DEEP
    figure, axes = _axes(plt, models, alone)
    for (top, bottom), model in zip(axes.T, models, strict=True):
        if model in DEEP:
            _deep(top, scale, table, model)
            _gain(bottom, table, model)
            top.set_ylabel("accuracy minus dense (pp)")
            bottom.set_ylabel("gain over random weights (pp)")
        else:
            _small(top, scale, table, model, iteration=False)
            _small(bottom, scale, table, model, iteration=True)
            top.set_ylabel("accuracy minus dense (pp)")
            bottom.set_ylabel("iteration of early stopping / dense")
        seeds = table[(table.model == model) & table.last_accuracy.notna()].seed.nunique()
        top.set_title(f"{title(scale, model, DATASET[model])}\n{count(seeds, 'seed')}", fontsize="small")
        bottom.set_xlabel("weights left (%)")
    if alone:
        axes[0, 0].set_xlabel("weights left (%)")
        axes[1, 0].set_title(axes[0, 0].get_title(), fontsize="small")
    when = {False: "at the epoch of early stopping", True: "after the last epoch"}
    sizes = {False: "of small networks ", True: "of deep ones "}
    kinds = sorted({model in DEEP for model in models})
    of = ", ".join((sizes[deep] if len(kinds) > 1 else "") + when[deep] for deep in kinds)
    _legends(figure, axes[0], models, scale)
    style.stamp(
        figure,
        f"scale {scale.name}; accuracy on the test set, {of}; {style.SEEDS}",
    )
    return figure

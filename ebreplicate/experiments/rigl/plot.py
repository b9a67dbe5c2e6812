"""The figure of the RigL family: accuracy against sparsity and against training FLOPs."""

from typing import Any

from ebreplicate import published
from ebreplicate.experiments.common.panels import title
from ebreplicate.experiments.common.rows import by_seed, has_run, interval
from ebreplicate.experiments.rigl.runs import PRINTED, SERIES, grid_of
from ebreplicate.specs.scale import Scale

METHODS = ("small-dense", "static", "snip", "set", "snfs", "rigl", "gmp")
NAMES = {"small-dense": "Small-Dense", "static": "Static", "snip": "SNIP", "set": "SET", "snfs": "SNFS"}
NAMES |= {"rigl": "RigL", "gmp": "Gradual pruning"}
COLOURS = dict(zip(METHODS, ("0.45", "#56B4E9", "#CC79A7", "#009E73", "#E69F00", "#D55E00", "#0072B2"), strict=True))
"""Okabe-Ito and a grey."""
MARKERS = {"uniform": "o", "erk": "s", "erk-kernel": "^"}
DENSE = {"c": "0.3", "ls": "--", "lw": 1}


def _look(series: tuple[str, str, bool]) -> dict[str, Any]:
    method, distribution, longer = series
    return {"color": COLOURS[method], "marker": MARKERS[distribution], "ms": 7.5 if longer else 4.5}


def draw(scale: Scale, table: Any) -> Any:
    """A row a network: accuracy against sparsity, accuracy against relative training FLOPs."""
    from ebreplicate.experiments.common import style

    plt, grid = style.use(), grid_of(scale)
    models = [model for model in grid.models if has_run(table, model=model)]
    rows = len(models)
    figure, axes = plt.subplots(rows, 2, figsize=(10.5, 1.1 + 3.4 * rows), squeeze=False, width_ratios=(5, 4))
    for (left, right), model in zip(axes, models, strict=True):
        _sparsity_panel(left, scale, grid, table, model)
        _flops_panel(right, scale, grid, table, model)
    line = plt.Line2D
    handles = [line([], [], c=COLOURS[m], marker="o", ls="", label=NAMES[m]) for m in METHODS]
    names = {"uniform": "uniform", "erk": "ERK", "erk-kernel": "ERK-Kernel"}
    handles += [line([], [], c="0.3", marker=MARKERS[d], ls="", label=names[d]) for d in MARKERS]
    handles.append(line([], [], c="0.3", marker="o", ls="", ms=7.5, label=f"large: {grid.longer:g}x training"))
    handles.append(line([], [], label="dense", **DENSE))
    if scale.comparable:
        handles.append(line([], [], c="0.3", marker="o", label="reproducibility report", **style.PUBLISHED))
    figure.legend(handles=handles, loc="outside upper center", ncols=5, fontsize="small")
    text = f"scale {scale.name}; last epoch on the test set, {style.SEEDS};\n"
    style.stamp(figure, text + "FLOPs of the masked network, 3 x forward by RigL's formulas")
    return figure


def _values(table: Any, model: str, sparsity: float, series: tuple[str, str, bool], column: str) -> dict[int, float]:
    method, distribution, longer = series
    where = {"model": model, "sparsity": float(sparsity), "method": method, "distribution": distribution}
    return by_seed(table, column, longer=longer, **where)


def _dense_line(axis: Any, table: Any, model: str) -> list[float]:
    values = by_seed(table, model=model, method="dense")
    if values:
        axis.axhline(interval(values).mean, **DENSE)
    return list(values.values())


def _sparsity_panel(axis: Any, scale: Scale, grid: Any, table: Any, model: str) -> None:
    """Accuracy against sparsity: one column a sparsity, series side by side within it."""
    from ebreplicate.experiments.common import style

    seen = _dense_line(axis, table, model)
    shown = published.read("rigl_repro_and_quotes")
    shown = shown[shown.item == "RigL reproducibility report"].set_index("method")
    for i, series in enumerate(SERIES):
        shift = 0.8 * (i / (len(SERIES) - 1) - 0.5)
        for x, sparsity in enumerate(grid.sparsities):
            values = _values(table, model, sparsity, series, "last_accuracy")
            look = _look(series)
            seen += style.series(axis, [(x + shift, values.values())], ls="", **look)
            if scale.comparable and model == "wideresnet22x2" and abs(sparsity - 0.8) < 1e-9 and series in PRINTED:
                printed = style.PUBLISHED | {"ls": ""}
                seen.append(float(shown.loc[PRINTED[series]].value))
                axis.plot(x + shift + 0.02, seen[-1], **look, **printed)
    style.frame(axis, seen)
    axis.set_xticks(range(len(grid.sparsities)), [f"{s:.1%}".replace(".0%", "%") for s in grid.sparsities])
    axis.set(xlabel="weights that are zero", ylabel="test accuracy (%)", xlim=(-0.5, len(grid.sparsities) - 0.5))
    axis.set_title(title(scale, model, "cifar10"), fontsize="small")


def _flops_panel(axis: Any, scale: Scale, grid: Any, table: Any, model: str) -> None:
    """Accuracy against training FLOPs relative to the dense network."""
    from ebreplicate.experiments.common import style

    seen = _dense_line(axis, table, model)
    for series in SERIES:
        for sparsity in grid.sparsities:
            accuracy = interval(_values(table, model, sparsity, series, "last_accuracy"))
            flops = interval(_values(table, model, sparsity, series, "relative_training"))
            if accuracy.n and flops.n:
                axis.plot(flops.mean, accuracy.mean, ls="", alpha=0.85, **_look(series))
                seen.append(accuracy.mean)
    axis.set_xscale("log")
    ticks = [0.05, 0.1, 0.2, 0.5, 1, 2]
    axis.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axis.minorticks_off()
    axis.set_xlim(0.04, 2.5)
    style.frame(axis, seen)
    axis.set(xlabel="training FLOPs / dense training FLOPs", ylabel="test accuracy (%)")

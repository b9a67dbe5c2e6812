"""The figure of sparse training on ImageNet: accuracy minus dense, against length and against sparsity."""

from typing import Any

from ebreplicate.experiments.common.contrasts import minus
from ebreplicate.experiments.common.panels import title
from ebreplicate.experiments.common.rows import by_seed, has_run
from ebreplicate.experiments.rigl.plot import COLOURS, MARKERS, NAMES
from ebreplicate.experiments.rigl_imagenet.cells import best_known, dense, where
from ebreplicate.experiments.rigl_imagenet.runs import METHODS, POINTS, Point
from ebreplicate.specs.scale import Scale

LENGTHS = (1.0, 5.0)
"""Multipliers shown against sparsity."""
CURVE = ("uniform", 0.8)


def draw(scale: Scale, table: Any) -> Any:
    """Length and sparsity for ResNet-50, sparsity for MobileNet, of what has run; the paper's points hollow."""
    from ebreplicate.experiments.common import style

    plt = style.use()
    panels = [(of, model) for of, model in PANELS if has_run(table, model=model)]
    widths = [{"length": 4, "resnet50": 5, "mobilenet": 4}[model if of == SPARSITY else of] for of, model in panels]
    size = (max(7.5, 4.5 * len(panels)), 5.0)
    figure, axes = plt.subplots(1, len(panels), figsize=size, width_ratios=widths, squeeze=False)
    for axis, (of, model) in zip(axes[0], panels, strict=True):
        if of == SPARSITY:
            _against_sparsity(axis, scale, table, model)
        else:
            _against_length(axis, scale, table, model)
    axes[0][0].set_ylabel("top-1 accuracy minus dense (pp)")
    line = plt.Line2D
    handles = [line([], [], c=COLOURS[m], marker="o", ls="", label=NAMES[m]) for m in METHODS]
    handles += [line([], [], c="0.3", marker=MARKERS[d], ls="", label=n) for d, n in _DISTRIBUTIONS.items()]
    handles.append(line([], [], c="0.3", marker="o", ls="", ms=7.5, label="large: 5x training"))
    if not scale.is_smoke:
        handles.append(line([], [], c="0.3", marker="o", label="paper", **{**style.PUBLISHED, "ls": ""}))
    figure.legend(handles=handles, loc="outside upper center", ncols=6, fontsize="small")
    text = f"scale {scale.name}; last epoch, {style.SEEDS}; methods stand beside each other within a sparsity"
    more = "" if scale.comparable or scale.is_smoke else "; the paper's points are of ImageNet"
    style.stamp(figure, text + more)
    return figure


LENGTH, SPARSITY = "length", "sparsity"
PANELS = ((LENGTH, "resnet50"), (SPARSITY, "resnet50"), (SPARSITY, "mobilenet"))


def _against_length(axis: Any, scale: Scale, table: Any, model: str) -> None:
    _panel(axis, scale, table, model, _length_series(), "training steps / steps of the recipe")
    axis.set_title(axis.get_title() + "\n80 % of the weights zero, uniform", fontsize="small")
    axis.set_xscale("log")
    ticks = (0.5, 1, 2, 3, 5)
    axis.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axis.minorticks_off()


def _against_sparsity(axis: Any, scale: Scale, table: Any, model: str) -> None:
    levels = _levels(model)
    _panel(axis, scale, table, model, _sparsity_series(model), "weights that are zero")
    axis.set_xticks(range(len(levels)), [f"{s:.1%}".replace(".0%", "%") for s in levels])
    axis.set_xlim(-0.5, len(levels) - 0.5)


_DISTRIBUTIONS = {"uniform": "uniform", "erk-kernel": "ERK-Kernel"}
Placed = dict[Point, float]
"""Horizontal position of every point that a panel shows."""


def _length_series() -> Placed:
    return {p: p.multiplier for p in POINTS["resnet50"] if (p.distribution, p.sparsity) == CURVE and p.smoothing}


def _levels(model: str) -> list[float]:
    return sorted({p.sparsity for p in POINTS[model]})


def _sparsity_series(model: str) -> Placed:
    """One column a sparsity, series side by side within it."""
    shown = [p for p in POINTS[model] if p.multiplier in LENGTHS and p.smoothing and p.width == 1]
    series = sorted({(METHODS.index(p.method), p.distribution, p.multiplier) for p in shown})
    place = {name: 0.8 * (i / (len(series) - 1) - 0.5) for i, name in enumerate(series)}
    levels = _levels(model)
    return {p: levels.index(p.sparsity) + place[METHODS.index(p.method), p.distribution, p.multiplier] for p in shown}


def _look(point: Point, plain: bool) -> dict[str, Any]:
    size = 7.5 if point.multiplier > 1 and not plain else 4.5
    return {"color": COLOURS[point.method], "marker": MARKERS[point.distribution], "ms": size, "ls": ""}


def _panel(axis: Any, scale: Scale, table: Any, model: str, placed: Placed, label: str) -> None:
    from ebreplicate.experiments.common import style

    plain = label.startswith("training")
    whole, paper, seen = by_seed(table, **where(model, None)), best_known(model), [0.0]
    for point, x in placed.items():
        look = _look(point, plain)
        seen += style.series(axis, [(x, minus(by_seed(table, **where(model, point)), whole).values())], **look)
        if point in paper and not scale.is_smoke:
            seen.append(paper[point] - dense(model))
            axis.plot(x, seen[-1], **{**style.PUBLISHED, **look})
    style.zero(axis)
    style.frame(axis, seen)
    axis.set_xlabel(label)
    axis.set_title(title(scale, model, "imagenet"), fontsize="small")

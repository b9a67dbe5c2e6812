"""Accuracy against total training FLOPs, both beside the unpruned network's: a panel a block, with its Pareto front."""

from typing import Any, NamedTuple

from ebreplicate.experiments.accuracy_vs_flops.pareto import front
from ebreplicate.experiments.accuracy_vs_flops.runs import CROP, LOTTERY, SPARSE
from ebreplicate.experiments.common.contrasts import minus
from ebreplicate.experiments.common.panels import title
from ebreplicate.experiments.common.rows import accuracy_column, by_seed, images_of, interval
from ebreplicate.experiments.table2.cells import differences, printed
from ebreplicate.experiments.table2.runs import BLOCKS, CONTROLS, DENSE, EB_TRAIN, PAPER
from ebreplicate.specs.scale import Scale

GREY = "0.55"
FAMILIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "early-bird tickets": ("#0072B2", EB_TRAIN),
    "channels pruned after training": ("#D55E00", ("NS", "ThiNet")),
    "channels pruned by gradient flow": ("#56B4E9", CROP),
    "single weights pruned": ("#009E73", ("LT (one-shot)", LOTTERY, "SNIP")),
    "sparse from scratch": ("#CC79A7", (*SPARSE,)),
    "controls": (GREY, (*CONTROLS,)),
}
"""Colour and methods of every family; a method is named beside its points."""
SHAPES = (("o", 0.3), ("s", 0.5), ("^", 0.7), ("D", 1.0))
"""Markers, and the largest share removed that each stands for."""
TICKS = (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5)
LINE = 9.0
"""Height of a label, in points."""


class Place(NamedTuple):
    """A method at a ratio: cost over, and accuracy of the seeds in points minus, the unpruned network's."""

    method: str
    ratio: float
    cost: float
    values: list[float]


def draw(scale: Scale, table: Any) -> Any:
    """A panel a network and dataset that has run; the paper's points hollow."""
    from ebreplicate.experiments.common import style

    plt = style.use()
    shown = [(d, m, found) for d, m in BLOCKS if (found := places(table, d, m))]
    across = min(len(shown), 2)
    down = max(1, -(-len(shown) // max(across, 1)))
    size = (6.4 * max(across, 1) + (across == 1), 4.4 * down + 0.6)
    figure, axes = plt.subplots(down, max(across, 1), figsize=size, squeeze=False)
    for axis in axes.flat[len(shown) :]:
        axis.set_axis_off()
    for axis, (dataset, model, found) in zip(axes.flat, shown, strict=False):
        _panel(axis, scale, found, dataset, model)
    pairs = {(place.method, place.ratio) for *_, found in shown for place in found}
    if not scale.is_smoke:
        pairs |= {pair for dataset, model, _ in shown for pair in published(dataset, model)}
    methods_shown, shapes = {method for method, _ in pairs}, {_shape(ratio) for _, ratio in pairs}
    handles = [
        plt.Line2D([], [], c=colour, marker="o", ls="", label=family)
        for family, (colour, methods) in FAMILIES.items()
        if methods_shown & {*methods}
    ]
    handles += [
        plt.Line2D([], [], c="0.3", marker=marker, ls="", label=f"up to {most:.0%} removed")
        for marker, most in SHAPES
        if marker in shapes
    ]
    handles.append(plt.Line2D([], [], c="0.2", marker="*", ms=9, ls="", label="unpruned"))
    handles.append(plt.Line2D([], [], c="0.3", lw=1, drawstyle="steps-post", label="Pareto front (ours)"))
    if not scale.is_smoke:
        handles.append(plt.Line2D([], [], c="0.3", marker="o", label="paper, Table 2", **DOTTED))
    figure.legend(handles=handles, loc="outside upper center", ncols=4, fontsize="small")
    text = f"scale {scale.name}; last epoch, {images_of(table)}, {style.SEEDS};\n"
    text += "cost of search and retrain; sparse from scratch: FLOPs of the masked network"
    if not scale.is_smoke:
        text += ";\nthe paper: minus the dense network of its Figure 1, over the cost of its SNIP (a dense training)"
    style.stamp(figure, text)
    return figure


def places(table: Any, dataset: str, model: str) -> list[Place]:
    """Every method and ratio of a block with finished runs beside the unpruned network's, family by family."""
    here = table[(table.dataset == dataset) & (table.model == model)]
    column, out = accuracy_column(table), list[Place]()
    dense = by_seed(here, column, method=DENSE)
    for _, methods in FAMILIES.values():
        for method in methods:
            for ratio in sorted(set(here.ratio[here.method == method])):
                where = {"method": method, "ratio": float(ratio)}
                cost = interval(by_seed(here, "flops_ratio", **where))
                values = [*minus(by_seed(here, column, **where), dense).values()]
                if cost.n and values:
                    out.append(Place(method, float(ratio), cost.mean, values))
    return out


def _panel(axis: Any, scale: Scale, found: list[Place], dataset: str, model: str) -> None:
    from ebreplicate.experiments.common import style

    colours = {method: colour for colour, methods in FAMILIES.values() for method in methods}
    axis.set_xscale("log")
    axis.plot(1, 0, c="0.2", marker="*", ms=9, ls="", zorder=4)
    style.zero(axis)
    seen, costs, names = [0.0], [1.0], []
    for method in dict.fromkeys(place.method for place in found):
        mine = [p for p in found if p.method == method]
        look: dict[str, Any] = {"c": colours[method], "ls": ""}
        means = [interval(dict(enumerate(p.values))).mean for p in mine]
        axis.plot([p.cost for p in mine], means, c=colours[method], lw=0.8, alpha=0.6, zorder=2)
        for place in mine:
            seen += style.series(axis, [(place.cost, place.values)], marker=_shape(place.ratio), **look)
            costs.append(place.cost)
        cost, mean = max((p.cost, m) for p, m in zip(mine, means, strict=True))
        names.append((cost, mean, method, colours[method]))
    theirs = {} if scale.is_smoke else published(dataset, model)
    for method in dict.fromkeys(method for method, _ in theirs):
        points = [at for (name, _), at in theirs.items() if name == method]
        axis.plot(*zip(*points, strict=True), c=colours[method], **DOTTED)
    for (method, ratio), (cost, value) in theirs.items():
        axis.plot(cost, value, c=colours[method], marker=_shape(ratio), **DOTTED)
        seen.append(value)
        costs.append(cost)
    _front(axis, found, max(costs))
    style.frame(axis, seen)
    axis.set_xlim(min(costs) / 1.15, max(costs) * 1.15)
    ticks = [t for t in TICKS if min(costs) / 1.15 <= t <= max(costs) * 1.15]
    axis.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axis.set_xticks([], minor=True)
    axis.set_xlabel("training FLOPs over those of the unpruned network")
    axis.set(title=title(scale, model, dataset), ylabel="accuracy minus unpruned (pp)")
    _names(axis, names)


def published(dataset: str, model: str) -> dict[tuple[str, float], tuple[float, float]]:
    """The paper's points by (method, ratio): cost over that of SNIP, which masks single weights and costs as much as
    the dense network, and accuracy in points minus that of the dense network in Figure 1."""
    cells = printed(dataset, model)
    return {
        (method, ratio): (cells[method, ratio, FLOPS] / cells["SNIP", ratio, FLOPS], value)
        for (method, ratio), value in (differences(dataset, model) if cells else {}).items()
        if (method, ratio, FLOPS) in cells and method in PAPER
    }


FLOPS = "total_training_flops"


DOTTED: dict[str, Any] = {"mfc": "white", "alpha": 0.75, "ls": ":", "lw": 0.8}


def _shape(ratio: float) -> str:
    """Marker of a share removed."""
    return next(marker for marker, most in SHAPES if ratio <= most + 1e-9)


def _front(axis: Any, found: list[Place], end: float) -> None:
    """Stairs through the points that no other of ours beats, the unpruned network among them."""
    points = [(p.method, p.ratio, p.cost, interval(dict(enumerate(p.values)))) for p in found]
    best = front([(DENSE, 0.0, 1.0, interval({0: 0.0})), *points])
    x, y = [p[2] for p in best] + [end], [p[3].mean for p in best] + [best[-1][3].mean]
    axis.plot(x, y, drawstyle="steps-post", c="0.3", lw=1, zorder=1)


def _names(axis: Any, names: list[tuple[float, float, str, str]]) -> None:
    """Name every method at the right, from above in the order of its points, with a line to its dearest point."""
    low, high = axis.get_ylim()
    height = 72 * axis.figure.get_figheight() / axis.get_subplotspec().get_gridspec().nrows * 0.68
    step = LINE / height
    wanted = [(max(0.0, min(1.0, (y - low) / (high - low))), x, y, name, c) for x, y, name, c in names]
    at = 1.0 + step
    for share, x, y, name, colour in sorted(wanted, reverse=True):
        at = min(at - step, share)
        axis.annotate(
            name,
            (x, y),
            (1.03, at),
            textcoords="axes fraction",
            va="center",
            fontsize="x-small",
            color=colour,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "lw": 0.4, "color": colour, "alpha": 0.5, "relpos": (0, 0.5)},
        )

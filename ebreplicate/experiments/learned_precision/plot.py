"""The table to the figure: learned bits of every layer, bits over epochs, and accuracy against bit operations."""

from typing import Any

from matplotlib.figure import Figure

from ebreplicate.experiments.common import style
from ebreplicate.experiments.common.panels import title
from ebreplicate.experiments.common.rows import accuracy_column, by_seed, count, images_of, interval
from ebreplicate.experiments.common.stats import ENOUGH
from ebreplicate.experiments.learned_precision.runs import ARMS, DATASET, HIGH, LDP, LDP_COST, LOW, PLAIN, grid_of
from ebreplicate.experiments.learned_precision.table import BITS, TRAINING
from ebreplicate.specs.scale import Scale

COLOURS = dict(zip(ARMS, ("0.3", "#0072B2", "#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00"), strict=True))
MARKERS = dict(zip(ARMS, "*osv^D<", strict=True))


def draw(scale: Scale, table: Any) -> Figure:
    """Left: bits of every layer and epoch; middle: their mean in every arm; right: accuracy of every arm."""
    plt = style.use()
    figure, axes = plt.subplots(1, 3, figsize=(12, 4), width_ratios=(1.1, 1, 1.1))
    _layers(figure, axes[0], table)
    _epochs(axes[1], table)
    _accuracy(axes[2], table)
    handles, labels = axes[2].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(ARMS), fontsize="small")
    grid = grid_of(scale)
    axes[2].set_title(title(scale, grid.model, DATASET, grid.width), fontsize="small")
    style.stamp(
        figure,
        f"scale {scale.name}, {count(len(grid.seeds), 'seed')}; left and middle: seed {grid.seeds[0]}; right: last "
        f"epoch, {images_of(table)}, bits of the last step, {style.SEEDS}; LDP: a reconstruction",
    )
    return figure


def _layers(figure: Any, axis: Any, table: Any) -> None:
    arm = LDP if (table[table.kind == BITS].arm == LDP).any() else LDP_COST
    rows = table[(table.kind == BITS) & (table.arm == arm)]
    axis.set(xlabel="epoch", ylabel="convolution", title=f"{arm}: forward bits of every layer")
    if not len(rows):
        style.not_run(axis)
        return
    bits = rows.pivot(index="layer", columns="epoch", values="bits").to_numpy(float)
    layers, epochs = bits.shape
    axis.grid(False)
    image = axis.imshow(
        bits,
        aspect="auto",
        cmap="viridis",
        interpolation="nearest",
        vmin=LOW,
        vmax=HIGH,
        extent=(0.5, epochs + 0.5, layers + 0.5, 0.5),
    )
    for ticks in (axis.xaxis, axis.yaxis):
        ticks.get_major_locator().set_params(integer=True)
    figure.colorbar(image, ax=axis, label="mean bits in the epoch")


def _epochs(axis: Any, table: Any) -> None:
    rows = table[table.kind == BITS]
    for arm, own in rows.groupby("arm"):
        mean = own.groupby("epoch").bits.mean()
        axis.plot(mean.index, mean, c=COLOURS[arm], marker=MARKERS[arm], ms=3, lw=1.2, label=arm)
    axis.set(xlabel="epoch", ylabel="forward bits, mean over layers", title="bits in every method")
    axis.xaxis.get_major_locator().set_params(integer=True)
    if not len(rows):
        style.not_run(axis)


def _accuracy(axis: Any, table: Any) -> None:
    column = accuracy_column(table)
    seen = list[float]()
    for arm in ARMS:
        where = {"kind": TRAINING, "arm": arm}
        accuracy, share = by_seed(table, column, **where), by_seed(table, "share", **where)
        if not accuracy:
            continue
        seen += accuracy.values()
        i = interval(accuracy)
        bar = i.half if i.n >= ENOUGH else None
        if arm == PLAIN:  # sixteen times the cost: a line
            axis.axhline(i.mean, c=COLOURS[arm], lw=1, ls="--", label=arm)
            continue
        look = {"c": COLOURS[arm], "marker": MARKERS[arm]}
        axis.errorbar(interval(share).mean, i.mean, bar, ls="", capsize=2, label=arm, **look)
        axis.plot(list(share.values()), list(accuracy.values()), ls="", ms=3, alpha=0.4, **look)
    axis.set(xlabel="bit operations of training (static 8/8 = 1)", ylabel="accuracy (%)")
    style.frame(axis, seen)
    if not seen:
        style.not_run(axis)

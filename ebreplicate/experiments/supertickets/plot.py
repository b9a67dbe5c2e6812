"""The table to the figure: accuracy of every arm, weights over epochs, and weights that came back at every round."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ebreplicate.experiments.common import style
from ebreplicate.experiments.common.panels import title
from ebreplicate.experiments.common.rows import accuracy_column, by_seed, count, images_of
from ebreplicate.experiments.supertickets.runs import ARMS, DATASET, MODEL, grid_of
from ebreplicate.experiments.supertickets.table import EPOCH, ROUND, TRAINING
from ebreplicate.specs.scale import Scale

COLOURS = dict(zip(ARMS, ("0.3", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "k", "#56B4E9"), strict=True))


def draw(scale: Scale, table: pd.DataFrame) -> Figure:
    """Left: accuracy; middle: weights that are left; right: share of pruned weights that came back."""
    plt, grid = style.use(), grid_of(scale)
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4), width_ratios=(1.2, 1, 1))
    trained = table[table.kind == TRAINING]
    column = accuracy_column(trained)
    for y, arm in enumerate(grid.arms):
        style.series(left, [(y, by_seed(trained, column, arm=arm).values())], across=True, marker="o", c=COLOURS[arm])
    left.set_yticks(range(len(grid.arms)), grid.arms, fontsize="small")
    left.set(ylim=(len(grid.arms) - 0.5, -0.5), xlabel="accuracy (%)")
    left.set_title(title(scale, MODEL, DATASET), fontsize="small")
    _lines(middle, table[table.kind == EPOCH], "unmasked_weights")
    middle.set(xlabel="epoch", ylabel="weights", title="Weights that are neither masked nor removed")
    _lines(right, table[table.kind == ROUND], "returned")
    right.set(xlabel="epoch of the round", ylabel="share of pruned weights (%)", title="Pruned weights that came back")
    said = f"left: last epoch, {images_of(trained)}, {style.SEEDS}; middle and right: mean of seeds"
    style.stamp(figure, f"scale {scale.name}, {count(len(grid.seeds), 'seed')}; {said}")
    return figure


def _lines(axis: Any, rows: pd.DataFrame, column: str) -> None:
    """A line an arm: the mean of its seeds by epoch."""
    for arm, found in rows.groupby("arm", sort=False):
        means = found.groupby("epoch")[column].mean()
        axis.plot(means.index, means, c=COLOURS[str(arm)], lw=1.3, marker=".", label=arm)
    if not len(rows):
        style.not_run(axis)
        return
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.legend(fontsize="small")

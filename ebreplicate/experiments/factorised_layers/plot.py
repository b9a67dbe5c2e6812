"""The table to the figure: accuracy of every arm, and the nuclear norm against its bound over epochs."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ebreplicate.experiments.common import style
from ebreplicate.experiments.common.panels import title
from ebreplicate.experiments.common.rows import by_seed, count
from ebreplicate.experiments.factorised_layers.runs import DATASET, DENSE, FACTORISED, MODEL, grid_of
from ebreplicate.specs.scale import Scale

COLOURS = dict(zip(FACTORISED, (*style.COLOURS, "0.4"), strict=True))


def draw(scale: Scale, table: pd.DataFrame) -> Figure:
    """Left: accuracy; right: norms of the first seed."""
    plt, grid = style.use(), grid_of(scale)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), width_ratios=(1.2, 1))
    _accuracies(left, table, [DENSE, *grid.arms])
    left.set_title(title(scale, MODEL, DATASET), fontsize="small")
    _norms(right, table)
    style.stamp(
        figure,
        f"scale {scale.name}, {count(len(grid.seeds), 'seed')}; left: last epoch on unseen images, {style.SEEDS}; "
        "right: one seed, mean over layers\nSI: spectral initialisation; FD: Frobenius decay",
    )
    return figure


def _accuracies(axis: Any, table: pd.DataFrame, arms: list[str]) -> None:
    for y, arm in enumerate(arms):
        values = by_seed(table, "unseen_accuracy", arm=arm).values()
        style.series(axis, [(y, values)], across=True, marker="o", ls="", c=COLOURS.get(arm, "k"))
    axis.set_yticks(range(len(arms)), arms, fontsize="small")
    axis.set(ylim=(len(arms) - 0.5, -0.5), xlabel="accuracy (%)")


def _norms(axis: Any, table: pd.DataFrame) -> None:
    """A line an arm: solid, the nuclear norm; dotted, its bound."""
    rows = table[table.epoch.notna()]
    for arm, line in rows.groupby("arm", sort=False):
        axis.plot(line.epoch, line.nuclear_norm, c=COLOURS[arm], lw=1.3, label=arm)
        axis.plot(line.epoch, line.nuclear_bound, c=COLOURS[arm], lw=1, ls=":")
    axis.set(xlabel="epoch", ylabel="nuclear norm (dotted: its bound)", title="Products of the factors")
    if not len(rows):
        style.not_run(axis)
        return
    axis.set_yscale("log")
    style.plain_log(axis.yaxis)
    style.legend_below(axis)

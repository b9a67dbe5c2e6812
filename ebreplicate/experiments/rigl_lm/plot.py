"""The two panels of the figure: bits per character by method, and by step."""

from typing import Any

from matplotlib.figure import Figure

from ebreplicate.experiments.common import style
from ebreplicate.experiments.common.rows import by_seed, count
from ebreplicate.experiments.rigl_lm.runs import DENSE, grid_of
from ebreplicate.experiments.rigl_lm.table import EPOCH, RUN
from ebreplicate.specs.scale import Scale

NAMES = {
    DENSE: "dense",
    "small-dense": "small\ndense",
    "static": "static",
    "set": "SET",
    "snfs": "SNFS",
    "rigl": "RigL",
    "gmp": "gradual\npruning",
}
COLOURS = dict(zip(NAMES, ("0.3", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#D55E00", "#0072B2"), strict=True))
"""Okabe-Ito; RigL, SET and static as in the other figures of sparse training."""


def draw(scale: Scale, table: Any) -> Figure:
    """Bits after the last step, seeds as dots, and mean bits over seeds by step."""
    plt = style.use()
    figure, (ends, curves) = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    arms = [arm for arm in NAMES if arm in set(table.arm)]
    for place, arm in enumerate(arms):
        values = by_seed(table, "bits", kind=RUN, arm=arm).values()
        style.series(ends, [(place, values)], c=COLOURS[arm], marker="o", ls="")
        means = table[(table.kind == EPOCH) & (table.arm == arm)].groupby("step").bits.mean()
        curves.plot(means.index, means, c=COLOURS[arm], marker=".", lw=1.2, label=NAMES[arm].replace("\n", " "))
    ends.set_xticks(range(len(arms)), [NAMES[arm] for arm in arms], fontsize="small")
    ends.set(ylabel="validation bits per character", title="After the last step")
    curves.set(xlabel="optimiser step", title="During training")
    curves.legend(fontsize="small")
    grid = grid_of(scale)
    text = "a text that the user provides" if grid.dataset == "text" else "made-up sentences"
    sizes = f"GRU of {round(512 * grid.width)}, {grid.sparsity:.0%} zeros in four layers, {text}"
    style.stamp(figure, f"scale {scale.name}, {count(len(grid.seeds), 'seed')}; {sizes}; left: {style.SEEDS}")
    return figure

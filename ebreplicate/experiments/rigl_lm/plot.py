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
    plt, grid = style.use(), grid_of(scale)
    units, text = round(512 * grid.width), "the user's text" if grid.dataset == "text" else "made-up sentences"
    figure, (ends, curves) = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    arms = [arm for arm in NAMES if arm in set(table.arm)]
    for place, arm in enumerate(arms):
        values = by_seed(table, "bits", kind=RUN, arm=arm).values()
        style.series(ends, [(place, values)], c=COLOURS[arm], marker="o", ls="")
        means = table[(table.kind == EPOCH) & (table.arm == arm)].groupby("step").bits.mean()
        curves.plot(means.index, means, c=COLOURS[arm], marker=".", lw=1.2, label=NAMES[arm].replace("\n", " "))
    ends.set_xticks(range(len(arms)), [NAMES[arm] for arm in arms], fontsize="small")
    ends.set(ylabel="validation bits per character", title=f"GRU, {units} units: next character of {text}")
    curves.set(xlabel="optimiser step", title="During training, mean over seeds")
    curves.legend(fontsize="small")
    sizes = f"{grid.sparsity:.0%} zeros in four layers, but for the dense networks"
    style.stamp(
        figure,
        f"scale {scale.name}, {count(len(grid.seeds), 'seed')}; {sizes}; left: after the last step, {style.SEEDS}",
    )
    return figure

"""The figure: accuracy against training FLOPs."""

from typing import Any

from matplotlib.figure import Figure

from ebreplicate.catalog import TITLES
from ebreplicate.experiments.big_sparse.runs import grid_of
from ebreplicate.experiments.common import style
from ebreplicate.experiments.common.rows import by_seed, count, interval
from ebreplicate.specs.scale import Scale

LOOKS = {
    "dense": ("dense, 784-300-100-10", "0.3"),
    "big-sparse": ("Big-Sparse (RigL), 784-955-318-10, as many weights", "#D55E00"),
}
"""Name and colour of each network; RigL's as in the other figures of sparse training."""


def draw(scale: Scale, table: Any) -> Figure:
    """Accuracy after the last epoch against training FLOPs, a point for each length of training."""
    plt = style.use()
    figure, axis = plt.subplots(figsize=(6, 3.8))
    seen = list[float]()
    for network, (name, colour) in LOOKS.items():
        arms = (network, f"{network}-longer")
        costs = [interval(by_seed(table, "training_flops", arm=arm)).mean for arm in arms]
        values = [by_seed(table, "last_accuracy", arm=arm).values() for arm in arms]
        if style.series(axis, zip(costs, values, strict=True), c=colour, marker="o", ls=":"):
            axis.plot([], [], marker="o", c=colour, ls=":", label=name)
            seen += [cost for cost, of in zip(costs, values, strict=True) if of]
    grid = grid_of(scale)
    axis.set_xscale("log")
    if seen:  # costs that are nearly equal must look so
        axis.set_xlim(min(seen) / 1.5, 1.5 * max(seen))
    images = TITLES.get(grid.dataset, grid.dataset)
    axis.set(
        xlabel="training FLOPs, products by zero left out",
        ylabel="test accuracy (%)",
        title=f"LeNet-300-100 and a wider sparse one, {images}",
    )
    style.legend_below(axis, 1, -0.2)
    both = table[table.status == "ok"].arm.str.endswith("-longer").nunique() == 2
    lengths = "left: once, right: five times as long; " if both else ""
    style.stamp(figure, f"scale {scale.name}, {count(len(grid.seeds), 'seed')}; {lengths}{style.SEEDS}")
    return figure

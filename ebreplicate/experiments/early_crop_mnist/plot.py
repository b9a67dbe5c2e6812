"""The table to the figure: EarlyCroP's rules over the epochs of one training, and accuracy beside the dense one."""

import pandas as pd
from matplotlib.figure import Figure

from ebreplicate.experiments.common import style
from ebreplicate.experiments.common.panels import title
from ebreplicate.experiments.common.rows import count
from ebreplicate.experiments.early_crop.plot import accuracy_panel, indicator_panel, thresholds
from ebreplicate.experiments.early_crop_mnist.runs import DATASET, DRAWN, MODEL, SPARSE, grid_of
from ebreplicate.specs.scale import Scale


def draw(scale: Scale, table: pd.DataFrame) -> Figure:
    """Left: the two rules; right: accuracy of every arm."""
    plt, grid = style.use(), grid_of(scale)
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), width_ratios=(1, 1.25))
    indicator_panel(axes[0], table, thresholds(grid.ratio, over_weights=True), ("crop-code", "crop"))
    if axes[0].get_legend_handles_labels()[0]:
        axes[0].legend(fontsize="small")
    accuracy_panel(axes[1], table, grid.arms or (*DRAWN, *SPARSE))
    axes[0].set_title(f"{title(scale, MODEL, DATASET)}: one search", fontsize="small")
    axes[1].set_title("accuracy of pruned networks beside the dense one", fontsize="small")
    seeds = count(len(grid.seeds), "seed") if grid.seeds else "not run"
    style.stamp(
        figure,
        f"scale {scale.name}, {seeds}; {grid.ratio:.0%} of the weights removed; last epoch, equal total epochs, "
        f"{style.SEEDS}",
    )
    return figure

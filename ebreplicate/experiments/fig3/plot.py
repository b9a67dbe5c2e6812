"""Figure 3 as drawn: heat-maps of mask distances, and distances to the final mask beside the published ones."""

import math
from typing import Any

from ebreplicate import published
from ebreplicate.catalog import TITLES
from ebreplicate.experiments.common.panels import title
from ebreplicate.experiments.fig3.claims import annotations, select
from ebreplicate.experiments.fig3.runs import MODELS, RATIOS, dataset_of
from ebreplicate.specs.scale import Scale

LARGEST = 0.4
"""Where the colours end: few pairs of epochs are farther apart."""
PAPER_EPOCHS = 160


def draw(scale: Scale, table: Any) -> Any:
    """Heat-maps, a row a network; below, the curves."""
    from ebreplicate.experiments.common import style

    plt = style.use()
    figure, axes = plt.subplots(3, 4, figsize=(11.5, 9))
    image = None
    for row, model in zip(axes, MODELS, strict=False):
        row[0].set_ylabel(f"{title(scale, model, dataset_of(scale))}\nepoch", fontsize="small")
        for axis, ratio in zip(row, RATIOS, strict=True):
            image = _heat_map(axis, scale, select(table, model, ratio), model, ratio) or image
    if image is not None:
        figure.colorbar(image, ax=axes[:2], label="mask distance", shrink=0.7, extend="max")
    for axis, ratio in zip(axes[2], RATIOS, strict=True):
        if axis is not axes[2][0]:
            axis.sharey(axes[2][0])
        _curve_panel(axis, scale, table, ratio)
    axes[2][0].set_ylabel("distance to final mask")
    axes[2][0].legend(fontsize="x-small")
    ran = table[table.status == "ok"].groupby("model").seed.nunique() if len(table) else {}
    seeds = ", ".join(f"{TITLES[m]} {ran.get(m, 0)}" for m in MODELS)
    style.stamp(
        figure,
        f"scale {scale.name}; heat-maps: seed {scale.seeds[0]}, dashed: emergence under the authors' rule, in brackets "
        f"the epoch that the paper's cross-hair marks, of {PAPER_EPOCHS};\ncurves: mean over seeds ({seeds}), thin: "
        "each seed; grey line: first decay of our learning rate; the published curve is of unknown network (one set of "
        "heat-maps is printed twice)",
    )
    return figure


def _heat_map(axis: Any, scale: Scale, here: Any, model: str, ratio: float) -> Any:
    """One network and ratio: the matrix of the first seed, its emergence epoch cross-haired; None without a run."""
    last = scale.recipe.epochs
    here = here[here["d1"].notna()] if len(here) else here
    paper = f"(paper: {annotations()[model, ratio]:g})"
    axis.set_title(f"{ratio:.0%} removed: not run {paper}", fontsize="small")
    axis.set_xlabel("epoch")
    if not len(here):
        axis.set(xticks=[], yticks=[])
        return None
    matrix = here[[f"d{e}" for e in range(1, last + 1)]].to_numpy()
    extent = (0.5, last + 0.5, last + 0.5, 0.5)
    image = axis.imshow(matrix, cmap="viridis_r", vmin=0, vmax=LARGEST, extent=extent, interpolation="none")
    axis.grid(False)
    emergence = here.emergence.iloc[0]
    emerged = math.isfinite(emergence)
    for line in (axis.axhline, axis.axvline) if emerged else ():
        line(emergence, c="#D55E00", ls="--", lw=1)
    epoch = f"emerges at {emergence:g}" if emerged else "never emerges"
    axis.set_title(f"{ratio:.0%} removed: {epoch} {paper}", fontsize="small")
    return image


def _curve_panel(axis: Any, scale: Scale, table: Any, ratio: float) -> None:
    from ebreplicate.experiments.common import style

    paper_epochs = PAPER_EPOCHS / scale.recipe.epochs
    for model, colour in zip(MODELS, style.COLOURS, strict=False):
        here = select(table, model, ratio)
        if not len(here):
            continue
        mean = here.groupby("epoch").to_final.mean()
        axis.plot(mean.index * paper_epochs, mean.values, c=colour, lw=1.3, label=TITLES[model])
        for _, one in here.groupby("seed") if here.seed.nunique() > 1 else ():
            axis.plot(one.epoch * paper_epochs, one.to_final, c=colour, lw=0.5, alpha=0.6)
    paper = published.read("eb_fig3_mask_distance_curves")
    paper = paper[((paper.prune_ratio - ratio).abs() < 1e-9) & (paper.epoch % 10 == 0)]
    look = {"color": "0.35", "marker": "o", "ms": 3.5}
    style.printed_line(axis, paper.epoch, paper.distance_to_epoch160, **look, label="paper")
    axis.axvline(scale.recipe.milestones[0] * paper_epochs, c="0.6", lw=0.8, ls="-")
    axis.set(xlabel=f"epoch, on a scale of {PAPER_EPOCHS}")
    axis.set_title(f"{ratio:.0%} removed", fontsize="small")

"""Figure 3 as drawn: heat-maps of mask distances, and distances to the final mask beside the published ones."""

import math
from typing import Any

from ebreplicate import published
from ebreplicate.experiments.common.panels import PAPER_EPOCHS, images, network, title
from ebreplicate.experiments.fig3.claims import annotations, select
from ebreplicate.experiments.fig3.runs import MODELS, RATIOS, dataset_of
from ebreplicate.specs.scale import Scale

LARGEST = 0.4
"""Where the colours end: few pairs of epochs are farther apart."""


def draw(scale: Scale, table: Any) -> Any:
    """Heat-maps, a row a network; below, the curves."""
    from ebreplicate.experiments.common import style

    plt = style.use()
    ran = table[table.status == "ok"].groupby("model").seed.nunique()
    models = [model for model in MODELS if ran.get(model)]
    rows = len(models) + 1
    figure, axes = plt.subplots(rows, 4, figsize=(11.5, 3 * rows), squeeze=False)
    image = None
    for row, model in zip(axes, models, strict=False):
        row[0].set_ylabel(f"{title(scale, model, dataset_of(scale))}\n% of training", fontsize="small")
        for axis, ratio in zip(row, RATIOS, strict=True):
            image = _heat_map(axis, scale, select(table, model, ratio), model, ratio) or image
    if image is not None:
        figure.colorbar(image, ax=axes[:-1], label="mask distance", shrink=0.7, extend="max")
    for axis, ratio in zip(axes[-1], RATIOS, strict=True):
        if axis is not axes[-1][0]:
            axis.sharey(axes[-1][0])
        _curve_panel(axis, scale, table, models, ratio)
    axes[-1][0].set_ylabel("distance to final mask")
    axes[-1][0].legend(fontsize="x-small")
    seeds = ", ".join(f"{network(scale, m)}: {ran[m]}" for m in models)
    text = (
        f"scale {scale.name}, {images(scale, dataset_of(scale))}; heat-maps: seed {scale.seeds[0]}, dashed: emergence "
    )
    text += (
        f"under the authors' rule; grey: first decay of the learning rate; curves: mean over seeds ({seeds}), thin: "
    )
    text += "each seed"
    if not scale.is_smoke:
        text += (
            "\npaper: the epoch that its cross-hair marks, as a share of its training; its curve is of unknown network "
            "(one set of heat-maps is printed twice)"
        )
    style.stamp(figure, text)
    return figure


def _heat_map(axis: Any, scale: Scale, here: Any, model: str, ratio: float) -> Any:
    """One network and ratio: the matrix of the first seed, its emergence epoch and the first decay
    of the learning rate marked; None without a run."""
    last = scale.recipe.epochs
    here = here[here["d1"].notna()] if len(here) else here
    if not len(here):
        axis.set_axis_off()
        return None
    matrix = here[[f"d{e}" for e in range(1, last + 1)]].to_numpy()
    first, end = 50 / last, 100 + 50 / last
    extent = (first, end, end, first)
    image = axis.imshow(matrix, cmap="viridis_r", vmin=0, vmax=LARGEST, extent=extent, interpolation="none")
    axis.grid(False)
    emergence = here.emergence.iloc[0]
    emerged = math.isfinite(emergence)
    decay = 100 * scale.recipe.milestones[0] / last
    for line in (axis.axhline, axis.axvline):
        line(decay, c="0.45", lw=0.8)
        if emerged:
            line(100 * emergence / last, c="#D55E00", ls="--", lw=1)
    when = f"emerges at {100 * emergence / last:.0f} %" if emerged else "never emerges"
    paper = "" if scale.is_smoke else f" (paper: {100 * annotations()[model, ratio] / PAPER_EPOCHS:.0f} %)"
    axis.set_title(f"{ratio:.0%} removed\n{when}{paper}", fontsize="small")
    axis.set_xlabel("% of training")
    return image


def _curve_panel(axis: Any, scale: Scale, table: Any, models: list[str], ratio: float) -> None:
    from ebreplicate.experiments.common import style

    percent = 100 / scale.recipe.epochs
    for model, colour in zip(models, style.COLOURS, strict=False):
        here = select(table, model, ratio)
        mean = here.groupby("epoch").to_final.mean()
        axis.plot(mean.index * percent, mean.values, c=colour, lw=1.3, label=network(scale, model))
        for _, one in here.groupby("seed") if here.seed.nunique() > 1 else ():
            axis.plot(one.epoch * percent, one.to_final, c=colour, lw=0.5, alpha=0.6)
    axis.axvline(scale.recipe.milestones[0] * percent, c="0.6", lw=0.8, ls="-")
    axis.set(xlabel="% of training")
    axis.set_title(f"{ratio:.0%} removed", fontsize="small")
    if scale.is_smoke:
        return
    paper = published.read("eb_fig3_mask_distance_curves")
    paper = paper[((paper.prune_ratio - ratio).abs() < 1e-9) & (paper.epoch % 10 == 0)]
    look = {"color": "0.35", "marker": "o", "ms": 3.5}
    share = 100 * paper.epoch / PAPER_EPOCHS
    style.printed_line(axis, share, paper.distance_to_epoch160, **look, label="paper")

"""Figure 3 as drawn: heat-maps of mask distances, and distances to the final mask beside the published ones."""

import math
from typing import Any

from ebreplicate import published
from ebreplicate.experiments import base
from ebreplicate.experiments.fig3_mask_distance import DATASET, MODELS, RATIOS, select
from ebreplicate.plan.scale import Scale


def draw(scale: Scale, table: Any) -> Any:
    """Heat-maps, a row a network; below, the curves."""
    from ebreplicate import style

    plt = style.use()
    figure, axes = plt.subplots(3, 4, figsize=(11.5, 8.6))
    last = scale.recipe.epochs
    image = None
    for row, model in enumerate(MODELS):
        for axis, ratio in zip(axes[row], RATIOS, strict=True):
            axis.set_title(f"{base.title(scale, model, DATASET)}\n{ratio:.0%} removed", fontsize="x-small")
            here = select(table, model, ratio)
            here = here[here["d1"].notna()] if len(here) else here
            axis.set(xlabel="epoch", ylabel="epoch")
            if not len(here):
                axis.text(0.5, 0.5, "not run", ha="center", transform=axis.transAxes)
                continue
            matrix = here[[f"d{e}" for e in range(1, last + 1)]].to_numpy()
            extent = (0.5, last + 0.5, last + 0.5, 0.5)
            image = axis.imshow(matrix, cmap="viridis_r", vmin=0, vmax=0.4, extent=extent, interpolation="none")
            axis.grid(False)
            emergence = here.emergence.iloc[0]
            if math.isfinite(emergence):
                axis.axhline(emergence, c="#D55E00", ls="--", lw=1)
                axis.axvline(emergence, c="#D55E00", ls="--", lw=1)
                axis.text(emergence + 0.02 * last, 0.1 * last, f"{emergence:g}", color="#D55E00", fontsize="small")
    if image is not None:
        figure.colorbar(image, ax=axes[:2], label="mask distance", shrink=0.7)
    for axis, ratio in zip(axes[2], RATIOS, strict=True):
        _curve_panel(axis, scale, table, ratio)
    axes[2][0].set_ylabel("distance to final mask")
    axes[2][0].legend(fontsize="x-small")
    ran = table[table.status == "ok"].groupby("model").seed.nunique() if len(table) else {}
    seeds = ", ".join(f"{base.TITLES[m]} {ran.get(m, 0)}" for m in MODELS)
    style.stamp(
        figure,
        f"scale {scale.name}; heat-maps: seed {scale.seeds[0]}, dashed: emergence under the authors' rule; curves: "
        f"mean over seeds ({seeds});\nthe published curve is of unknown network (the paper prints one set "
        "of heat-maps twice)",
    )
    return figure


def _curve_panel(axis: Any, scale: Scale, table: Any, ratio: float) -> None:
    from ebreplicate import style

    last = scale.recipe.epochs
    for model, colour in zip(MODELS, style.COLOURS, strict=False):
        here = select(table, model, ratio)
        if len(here):
            mean = here.groupby("epoch").to_final.mean()
            axis.plot(mean.index / last * 160, mean.values, c=colour, lw=1.3, label=base.TITLES[model])
    paper = published.read("eb_fig3_mask_distance_curves")
    paper = paper[((paper.prune_ratio - ratio).abs() < 1e-9) & (paper.epoch % 10 == 0)]
    look = {"color": "0.35", "marker": "o", "ms": 3.5, **style.PUBLISHED}
    axis.plot(paper.epoch, paper.distance_to_epoch160, label="paper", **look)
    axis.axvline(scale.recipe.milestones[0] / last * 160, c="0.6", lw=0.8, ls="-")
    axis.set(xlabel="epoch, on a scale of 160", title=f"{ratio:.0%} removed (line: first rate decay)")
    axis.title.set_fontsize("x-small")

"""The table to the figure: indicators over epochs, where rules fire, and accuracy of every arm beside the dense one."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ebreplicate.experiments.common import style
from ebreplicate.experiments.common.contrasts import minus
from ebreplicate.experiments.common.panels import title
from ebreplicate.experiments.common.rows import accuracy_column, by_seed, count, images_of
from ebreplicate.experiments.early_crop.runs import DATASET, DENSE, MODEL, RULES, grid_of, seeds_of
from ebreplicate.experiments.early_crop.table import CURVE, FIRES
from ebreplicate.specs.scale import Scale

COLOURS = dict(zip(RULES, style.COLOURS, strict=True))
FLOOR = 1e-2


def thresholds(ratio: float, over_weights: bool = False) -> dict[str, float]:
    """What each indicator must fall to, at a pruning ratio."""
    from ebreplicate.pruning.displacement import EarlyCroP
    from ebreplicate.pruning.indicator import MAGNITUDE

    moved = {rule: EarlyCroP(rule, ratio, over_weights).share for rule in ("crop-code", "crop")}
    return {"eb": 0.1, "epi": 1 - MAGNITUDE, **moved}


def indicator_panel(axis: Any, table: pd.DataFrame, limits: dict[str, float], rules: Sequence[str]) -> None:
    """Each indicator over its threshold, by epoch of the first seed's search: a rule fires at or below 1."""
    curve = table[table.arm == CURVE].sort_values("epoch")
    if not len(curve):
        style.not_run(axis)
        return
    values = {"eb": curve.distance, "epi": 1 - curve.epi, "crop-code": curve.growth_code, "crop": curve.growth_paper}
    for rule in rules:
        if limits[rule] > 0:
            over = (values[rule].astype(float) / limits[rule]).clip(lower=FLOOR)
            axis.plot(curve.epoch, over, c=COLOURS[rule], lw=1.2, label=RULES[rule])
    axis.axhline(1, c="0.3", lw=0.8, ls="--")
    axis.set(yscale="log", xlabel="epoch", ylabel="indicator over its threshold", title="one search")


def _firing_panel(axis: Any, scale: Scale, table: pd.DataFrame) -> None:
    """Epoch at which every rule fires, by ratio: a dot a seed; a rule that never fires is at the end."""
    here = table[(table.arm == FIRES) & (table.status == "ok")]
    ratios, end = grid_of(scale).ratios, scale.recipe.epochs
    if not len(here):
        style.not_run(axis)
    for i, rule in enumerate(RULES):
        rows = here[here.rule == rule]
        x = [ratios.index(r) + 0.16 * (i - 1.5) for r in rows.ratio]
        never = rows.fires.isna().to_numpy()
        axis.plot(x, rows.fires.fillna(end), "o", c=COLOURS[rule], alpha=0.7, label=RULES[rule])
        axis.plot([v for v, n in zip(x, never, strict=True) if n], [end] * int(never.sum()), "x", c="k", ms=4)
    axis.set_xticks(range(len(ratios)), [f"{r:.0%}" for r in ratios])
    axis.set(xlabel="channels removed", ylabel="epoch at which the rule fires", ylim=(0, 1.05 * end))


def accuracy_panel(axis: Any, table: pd.DataFrame, arms: Sequence[str]) -> None:
    """Accuracy of every arm that has run minus that of the dense network of its seed, in points, with its interval."""
    column = accuracy_column(table)
    dense = by_seed(table, column, arm=DENSE)
    beside = {arm: values for arm in arms if (values := minus(by_seed(table, column, arm=arm), dense).values())}
    axis.set_xlabel("accuracy minus dense (percentage points)")
    style.zero(axis, across=True)
    if not beside:
        style.not_run(axis)
        return
    style.series(axis, list(enumerate(beside.values())), across=True, marker="o", ls="", c=style.COLOURS[0])
    axis.set_yticks(range(len(beside)), beside, fontsize="x-small")
    axis.set_ylim(len(beside) - 0.5, -0.5)


def draw(scale: Scale, table: pd.DataFrame) -> Figure:
    """Left: indicators of one search; middle: where rules fire; right: accuracy of every arm."""
    plt, grid = style.use(), grid_of(scale)
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.3), width_ratios=(1, 1, 1.25))
    indicator_panel(axes[0], table, thresholds(grid.ratio), tuple(RULES))
    _firing_panel(axes[1], scale, table)
    accuracy_panel(axes[2], table, grid.arms)
    handles = [plt.Line2D([], [], c=COLOURS[rule], marker="o", label=name) for rule, name in RULES.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=4, fontsize="small")
    axes[0].set_title(
        f"{title(scale, MODEL, DATASET)}\none search (values below {FLOOR} are drawn there)", fontsize="small"
    )
    axes[1].set_title("where each rule fires, all seeds (cross: never)", fontsize="small")
    axes[2].set_title("accuracy of pruned networks beside the dense one", fontsize="small")
    seeds = count(len(seeds_of(scale)), "seed")
    style.stamp(
        figure,
        f"scale {scale.name}, {seeds}; left and right: {grid.ratio:.0%} of the channels removed; right: last epoch, "
        f"{images_of(table)}, equal total epochs, {style.SEEDS}",
    )
    return figure

"""The three panels of the figure."""

from typing import Any

from matplotlib.figure import Figure

from ebreplicate import published
from ebreplicate.experiments.common import style
from ebreplicate.experiments.common.rows import count
from ebreplicate.experiments.wann.claims import CHANCE, scores
from ebreplicate.experiments.wann.runs import DIGITS, SWING_UP, grid_of
from ebreplicate.experiments.wann.table import GENERATION, WEIGHT
from ebreplicate.specs.scale import Scale

KINDS = {
    "individual": "random\neach",
    "shared": "random\nshared",
    "six": "mean of\nsix",
    "vote": "vote of\nsix",
    "tuned": "tuned\nshared",
}
SEARCHED = (-2, -1, -0.5, 0.5, 1, 2)
"""Weights of the search."""


def draw(scale: Scale, table: Any) -> Figure:
    """Fitness by generation, the champion's reward by weight, accuracy on digits."""
    plt = style.use()
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.6))
    _fitness(axes[0], scale, table)
    _by_weight(axes[1], table)
    _digits(axes[2], table)
    seeds = count(len(grid_of(scale).seeds), "seed")
    style.stamp(
        figure,
        f"scale {scale.name}, {seeds}; left: a line a seed; middle: mean of seeds, dotted: weights of the search; "
        f"right: {style.SEEDS}, dashed: chance",
    )
    return figure


def _fitness(axis: Any, scale: Scale, table: Any) -> None:
    rows = table[(table.kind == GENERATION) & (table.arm == SWING_UP)]
    for seed, line in rows.groupby("seed"):
        first = seed == rows.seed.min()
        axis.plot(line.generation, line.fitness, c=style.COLOURS[0], lw=1, alpha=0.7, label="ours" if first else None)
    if not scale.is_smoke:
        run = published.read("wann_sample_run")
        run = run[(run.metric == "elite_fitness") & (run.draw_epoch <= max(rows.generation.max(), 8))]
        values = run.value.astype(float)
        style.printed_line(axis, run.draw_epoch, values, marker="o", c="0.3", label="authors' sample run")
    axis.set_xscale("log", base=2)
    axis.set(xlabel="generation", ylabel="mean reward over six weights", title="Swing-up: best of each generation")
    axis.legend(fontsize="small") if len(rows) else style.not_run(axis)


def _by_weight(axis: Any, table: Any) -> None:
    rows = table[table.kind == WEIGHT]
    axis.set(xlabel="shared weight", ylabel="mean reward", title="The authors' released network")
    if not len(rows):
        style.not_run(axis)
        return
    means = rows.groupby("weight").reward.mean()
    axis.plot(means.index, means, c=style.COLOURS[1], lw=1.3)
    for weight in SEARCHED:
        axis.axvline(weight, c="0.4", lw=0.9, ls=":")


def _digits(axis: Any, table: Any) -> None:
    axis.set(ylabel="test accuracy (%)", title="8x8 digits: network found")
    places = [(i, scores(table, DIGITS, name).values()) for i, name in enumerate(KINDS)]
    seen = style.series(axis, places, c=style.COLOURS[2], marker="o", ls="")
    axis.set_xticks(range(len(KINDS)), KINDS.values(), fontsize="x-small")
    if not seen:
        style.not_run(axis)
        return
    axis.axhline(CHANCE, c="0.3", ls="--", lw=1)
    axis.set_ylim(bottom=0)

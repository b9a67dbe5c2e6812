"""The table to the figure: accuracy by task and arm, and its mean against the bits that a task stores."""

from textwrap import wrap
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ebreplicate.catalog import ADAPTIONS, TITLES
from ebreplicate.experiments.common import style
from ebreplicate.experiments.common.panels import network
from ebreplicate.experiments.common.rows import by_seed, count, interval
from ebreplicate.experiments.kernel_masks.claims import over_tasks
from ebreplicate.experiments.kernel_masks.runs import MODEL, grid_of, seeds_of
from ebreplicate.specs.scale import Scale

LOOKS = dict(
    zip(ADAPTIONS, zip("os^Dvx", ("#0072B2", "#CC79A7", "#D55E00", "#E69F00", "0.5", "k"), strict=True), strict=True)
)
"""Marker and colour of every arm."""


def draw(scale: Scale, table: pd.DataFrame) -> Figure:
    """Left: accuracy by task; right: mean over tasks against bits."""
    plt, tasks = style.use(), grid_of(scale).tasks
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(6 + 0.7 * len(tasks), 4.4), width_ratios=(0.6 + len(tasks) / 4, 1)
    )
    for i, (arm, (marker, colour)) in enumerate(LOOKS.items()):
        look: dict[str, Any] = {"marker": marker, "c": colour, "ls": ""}
        values = [by_seed(table, "last_accuracy", arm=arm, task=task).values() for task in tasks]
        places = [place + 0.12 * (i - 2.5) for place in range(len(tasks))]
        if style.series(left, zip(places, values, strict=True), **look):
            left.plot([], [], label=arm, **look)
        bits = interval(over_tasks(scale, table, "task_bits", arm)).mean
        style.series(right, [(bits, over_tasks(scale, table, "last_accuracy", arm).values())], **look)
    of = tasks[0].partition("-")[0]
    names = ["\n".join(wrap(task.partition("-")[2].replace("-", " "), 12)) for task in tasks]
    left.set_xticks(range(len(tasks)), names, fontsize="small")
    left.set(ylabel="test accuracy (%)", title=f"{network(scale, MODEL)}, tasks of {TITLES.get(of, of)}")
    figure.legend(fontsize="small", ncols=len(LOOKS), loc="outside upper center")
    right.set_xscale("log")
    right.set(xlabel="bits that a task stores", ylabel="test accuracy (%)", title="Mean over tasks")
    seeds = count(len(seeds_of(scale)), "seed")
    style.stamp(figure, f"scale {scale.name}, {seeds}; last epoch; {style.SEEDS}; kernel-*: KSM, a reconstruction")
    return figure

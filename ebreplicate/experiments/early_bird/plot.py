"""The runs behind the claims as drawn: accuracy of every arm minus that of the dense network of its seed."""

from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib import pyplot as plt

from ebreplicate.experiments.common import style
from ebreplicate.experiments.common.experiment import NOT_RUN
from ebreplicate.experiments.common.panels import title
from ebreplicate.experiments.early_bird.runs import DATASET, DENSE, MAIN, SECOND
from ebreplicate.specs.scale import Scale

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def accuracy_column(table: pd.DataFrame) -> str:
    """Accuracy on unseen images where the scale has it, else on the test images."""
    return "unseen_accuracy" if table.unseen_accuracy.notna().any() else "last_accuracy"


def differences(table: pd.DataFrame, model: str, ratio: float, arm: str) -> list[float]:
    """Accuracy of an arm minus that of the dense network, in points, a value a seed that has both."""
    column = accuracy_column(table)
    here = table[(table.model == model) & table[column].notna()].set_index("seed")
    ours = here[(here.arm == arm) & ((here.ratio - ratio).abs() < 1e-9)][column]
    return list((ours - here[here.arm == DENSE][column]).dropna())


def draw(scale: Scale, table: pd.DataFrame) -> "Figure":
    """One panel a network: a row an arm and ratio, seeds as dots, mean and 95 % interval from three seeds on."""
    style.use()
    table = table[table.arm.notna()]
    ran = table[table.status != NOT_RUN]
    models = [m for m in (MAIN, SECOND) if (ran.model == m).any()]
    rows = {m: ran[(ran.model == m) & (ran.arm != DENSE)][["arm", "ratio"]].drop_duplicates() for m in models}
    heights = [max(2, len(rows[m])) for m in models]
    size = (8.5, 1.8 + 0.32 * sum(heights))
    drawn, axes = plt.subplots(len(models), 1, figsize=size, height_ratios=heights, sharex=True, squeeze=False)
    for axis, model in zip(axes[:, 0], models, strict=True):
        _panel(axis, scale, table, model, [(r.arm, float(r.ratio)) for r in rows[model].itertuples()])
    axes[-1, 0].set_xlabel("accuracy minus that of the dense network of the same seed (percentage points)")
    images = "unseen images" if accuracy_column(table) == "unseen_accuracy" else "test images"
    style.stamp(drawn, f"scale {scale.name}; last epoch, {images}; {style.SEEDS}")
    return drawn


def _panel(axis: Any, scale: Scale, table: pd.DataFrame, model: str, rows: list[tuple[str, float]]) -> None:
    ratios = sorted({ratio for _, ratio in rows})
    colours = dict(zip(ratios, style.COLOURS, strict=False))
    for y, (arm, ratio) in enumerate(rows):
        found = differences(table, model, ratio, arm)
        style.series(axis, [(y, found)], across=True, marker="o", c=colours[ratio])
    style.zero(axis, across=True)
    axis.set_yticks(range(len(rows)), [f"{arm}, {ratio:.0%} removed" for arm, ratio in rows], fontsize="x-small")
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_title(title(scale, model, DATASET), fontsize="small")

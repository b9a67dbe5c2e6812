"""The runs behind the claims as drawn: accuracy of every arm minus that of the dense network of its seed."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from ebreplicate.experiments.common import style
from ebreplicate.experiments.common.experiment import NOT_RUN
from ebreplicate.experiments.common.panels import title
from ebreplicate.experiments.common.rows import accuracy_column, images_of
from ebreplicate.experiments.early_bird import printed
from ebreplicate.experiments.early_bird.runs import DATASET, DENSE, DRAW, MAIN, SECOND
from ebreplicate.specs.scale import Scale

if TYPE_CHECKING:
    from matplotlib.figure import Figure


HOLLOW: dict[str, Any] = {"mfc": "white", "alpha": 0.75, "ls": ""}


def differences(table: pd.DataFrame, model: str, ratio: float, arm: str) -> list[float]:
    """Accuracy of an arm minus that of the dense network, in points, a value a seed that has both."""
    column = accuracy_column(table)
    here = table[(table.model == model) & table[column].notna()].set_index("seed")
    ours = here[(here.arm == arm) & ((here.ratio - ratio).abs() < 1e-9)][column]
    return list((ours - here[here.arm == DENSE][column]).dropna())


def label(scale: Scale, arm: str) -> str:
    """An arm in words: a draw by its share of the search, not by the paper's epoch."""
    found = DRAW.fullmatch(arm)
    if not found:
        return arm
    share = 100 * scale.epoch(int(found["epoch"])) / scale.recipe.epochs
    return f"drawn at {style.percent(share)} % of the search{found['rate'] or ''}"


def _order(row: tuple[str, float]) -> tuple[float, str, int]:
    """By ratio, and within it draws by epoch, before the other arms."""
    found = DRAW.fullmatch(row[0])
    return (row[1], "draw" + (found["rate"] or "") if found else "other", int(found["epoch"]) if found else 0)


def draw(scale: Scale, table: pd.DataFrame) -> "Figure":
    """One panel a network: a row an arm and ratio, seeds as dots, mean and 95 % interval from three seeds on; the
    paper's hollow."""
    plt = style.use()
    table = table[table.arm.notna()]
    ran = table[(table.status != NOT_RUN) & (table.arm != DENSE)]
    models = [m for m in (MAIN, SECOND) if (ran.model == m).any()]
    if not models:  # the dense networks alone may have run
        return style.nothing(scale.name)
    rows = {m: ran[ran.model == m][["arm", "ratio"]].drop_duplicates() for m in models}
    heights = [max(2, len(rows[m])) for m in models]
    size = (8.5, 2.2 + 0.32 * sum(heights))
    drawn, axes = plt.subplots(len(models), 1, figsize=size, height_ratios=heights, sharex=True, squeeze=False)
    ratios = sorted({float(ratio) for of in rows.values() for ratio in of.ratio})
    colours = dict(zip(ratios, style.COLOURS, strict=False))
    for axis, model in zip(axes[:, 0], models, strict=True):
        arms = sorted(((r.arm, float(r.ratio)) for r in rows[model].itertuples()), key=_order)
        _panel(axis, scale, table, model, arms, colours)
    axes[-1, 0].set_xlabel("accuracy minus that of the dense network of the same seed (percentage points)")
    look = {"c": "0.3", "ls": "", "marker": "o"}
    handles = [plt.Line2D([], [], label="ours", **look)]
    if not scale.is_smoke:
        handles.append(plt.Line2D([], [], label="paper, Figure 1 and Table 2", **{**look, **HOLLOW}))
    drawn.legend(handles=handles, loc="outside upper center", ncols=2, fontsize="small")
    style.stamp(drawn, f"scale {scale.name}; last epoch, {images_of(table)}; {style.SEEDS}")
    return drawn


def _panel(
    axis: Any,
    scale: Scale,
    table: pd.DataFrame,
    model: str,
    rows: list[tuple[str, float]],
    colours: dict[float, str],
) -> None:
    for y, (arm, ratio) in enumerate(rows):
        found = differences(table, model, ratio, arm)
        style.series(axis, [(y, found)], across=True, marker="o", c=colours[ratio])
        theirs = None if scale.is_smoke else printed.accuracy(model, ratio, arm)
        if theirs is not None:
            axis.plot(theirs, y + 0.2, c=colours[ratio], marker="o", **HOLLOW)
    style.zero(axis, across=True)
    names = [f"{label(scale, arm)}, {ratio:.0%} removed" for arm, ratio in rows]
    axis.set_yticks(range(len(rows)), names, fontsize="x-small")
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_title(title(scale, model, DATASET), fontsize="small")

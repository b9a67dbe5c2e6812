"""Derived training FLOPs over printed ones, as a figure."""

import math
from typing import Any

from ebreplicate.specs.scale import Scale


def draw(scale: Scale, table: Any) -> Any:
    """Derived over printed, one dot a cell; what could not be derived is named."""
    from ebreplicate.experiments.common import style

    plt = style.use()
    groups = list(dict.fromkeys(table.table))
    sizes = [int((table.table == g).sum()) for g in groups]
    figure, axes = plt.subplots(len(groups), 1, figsize=(8.5, 10.5), sharex=True, height_ratios=sizes)
    for axis, group in zip(axes, groups, strict=True):
        rows = table[table.table == group].reset_index(drop=True)
        for y, row in rows.iterrows():
            if math.isfinite(row.derived):
                free = row.fitted.startswith("nothing")
                fill = style.COLOURS[0] if free else "white"
                axis.plot(100 * (row.derived / row.published - 1), y, "o", c=style.COLOURS[0], mfc=fill)
            else:
                box = {"fc": "white", "ec": "none", "pad": 1}  # the grid line must not strike the words out
                look = {"va": "center", "fontsize": "x-small", "color": style.COLOURS[1], "bbox": box}
                axis.text(0.1, y, "cannot be derived", **look)
        ratio = [f"{r:.0%}" if r else "" for r in rows.ratio]
        axis.set_yticks(range(len(rows)), [f"{m} {r}" for m, r in zip(rows.method, ratio, strict=True)])
        axis.tick_params(axis="y", labelsize="x-small")
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.set_title(group, fontsize="small")
        axis.axvline(0, c="0.4", lw=1)
    axes[-1].set_xlabel("derived training FLOPs against the printed cell (%)")
    style.stamp(
        figure,
        "arithmetic, the same at every scale; filled: nothing fitted to the cell; hollow: draw epoch and pruned "
        "FLOPs solved from the cells",
    )
    return figure

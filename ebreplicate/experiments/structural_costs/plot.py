"""Derived training FLOPs over printed ones, as a figure."""

import math
from typing import Any

from ebreplicate.specs.scale import Scale

CLOSE = 0.08
"""Percent: points nearer to each other share a label."""


def draw(scale: Scale, table: Any) -> Any:
    """Derived over printed: a row a method, a marker a ratio; what could not be derived is said at the right."""
    from ebreplicate.experiments.common import style

    plt = style.use()
    groups = list(dict.fromkeys(table.table))
    methods = {group: list(dict.fromkeys(table[table.table == group].method)) for group in groups}
    sizes = [len(of) for of in methods.values()]
    size = (8.5, 2.0 + 0.3 * sum(sizes))
    figure, axes = plt.subplots(len(groups), 1, figsize=size, sharex=True, height_ratios=sizes, squeeze=False)
    for axis, group in zip(axes[:, 0], groups, strict=True):
        _panel(axis, table[table.table == group], methods[group])
        axis.set_title(group, fontsize="small")
    look = {"c": "0.3", "ls": ""}
    handles = [plt.Line2D([], [], marker="o", label="nothing fitted to the cell", **look)]
    fitted = "draw epoch and pruned FLOPs solved from the cells"
    handles.append(plt.Line2D([], [], marker="o", mfc="white", label=fitted, **look))
    figure.legend(handles=handles, loc="outside upper center", ncols=2, fontsize="small")
    axes[-1, 0].set_xlabel("derived training FLOPs against the printed cell (%)")
    style.stamp(figure, "arithmetic, the same at every scale; the number at a point: percent of the channels removed")
    return figure


def _panel(axis: Any, rows: Any, methods: list[str]) -> None:
    from ebreplicate.experiments.common import style

    colour = style.COLOURS[0]
    for y, method in enumerate(methods):
        missing, named = [], dict[float, list[str]]()
        for row in rows[rows.method == method].itertuples():
            if not math.isfinite(row.derived):
                missing.append(f"{row.ratio:.0%}")
                continue
            fill = colour if row.fitted.startswith("nothing") else "white"
            x = 100 * (row.derived / row.published - 1)
            axis.plot(x, y, "o", c=colour, mfc=fill)
            if row.ratio:
                near = next((at for at in named if abs(at - x) < CLOSE), x)
                named.setdefault(near, []).append(f"{100 * row.ratio:.0f}")
        for i, (x, ratios) in enumerate(sorted(named.items())):  # above and below in turn: neighbours must not touch
            beside = {"textcoords": "offset points", "fontsize": "x-small", "color": "0.3"}
            axis.annotate(", ".join(ratios), (x, y), (3, -8 if i % 2 else 3), **beside)
        if missing:
            words = f"cannot be derived: {', '.join(missing)}"
            where = {"xycoords": ("axes fraction", "data"), "va": "center", "fontsize": "x-small"}
            axis.annotate(words, (1.01, y), annotation_clip=False, color=style.COLOURS[1], **where)
    axis.set_yticks(range(len(methods)), methods, fontsize="x-small")
    axis.set_ylim(len(methods) - 0.5, -0.5)
    axis.axvline(0, c="0.4", lw=1)

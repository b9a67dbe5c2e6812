"""One face for all figures."""

import math
from collections.abc import Collection, Iterable
from typing import Any

from ebreplicate.experiments.common.stats import ENOUGH, t_interval

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
"""Okabe-Ito: distinguishable with colour-blindness and in print."""
MARKERS = ("o", "s", "^", "D")
PUBLISHED: dict[str, Any] = {"mfc": "white", "alpha": 0.75, "ls": ":", "lw": 0.9}
"""Published points: hollow and dotted."""


def use() -> Any:
    """Set the style and return pyplot; vector text stays text, and the same table gives the same bytes."""
    import matplotlib

    matplotlib.use("Agg")
    import seaborn as sns
    from matplotlib import pyplot as plt

    sns.set_theme(style="whitegrid", context="paper", font_scale=1.05)
    plt.rcParams.update(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "ebreplicate",
            "figure.constrained_layout.use": True,
            "axes.titlesize": "medium",
            "lines.markersize": 4.5,
            "legend.frameon": False,
            "figure.dpi": 110,
        }
    )
    return plt


def frame(axis: Any, values: list[float]) -> None:
    """Frame an axis by the values seen, not by their intervals: two seeds can give intervals beyond any accuracy."""
    if values:
        low, high = min(values), max(values)
        pad = max(0.12 * (high - low), 0.5)
        axis.set_ylim(low - pad, high + pad)


SEEDS = "mean, seeds as dots, 95 % t-interval from three seeds"
"""What `series` draws, in words for the note under a figure."""


def series(
    axis: Any, points: Iterable[tuple[float, Collection[float]]], across: bool = False, **look: Any
) -> list[float]:
    """Draw the values of the seeds at each place: their mean, a dot for each, and a t-interval from three seeds on.

    `points`: place and values (none: left out). `across`: values run along x, places along y. `look`: of the line of
    means. Returns what was drawn, for the frame of the axis.
    """
    shown = [(at, t_interval([*values]), [*map(float, values)]) for at, values in points if len(values)]
    if not shown:
        return []
    places, means = [at for at, *_ in shown], [i.mean for _, i, _ in shown]
    halves = [i.half if i.n >= ENOUGH else math.nan for _, i, _ in shown]
    x, y, bars = (means, places, {"xerr": halves}) if across else (places, means, {"yerr": halves})
    line, *_ = axis.errorbar(x, y, **bars, **{"capsize": 2, "lw": 1.2, "elinewidth": 0.9, **look})
    dots = {"ls": "", "marker": ".", "ms": 4, "alpha": 0.5, "c": line.get_color()}
    for at, _, values in shown:
        if len(values) > 1:
            beside = [at] * len(values)
            axis.plot(*((values, beside) if across else (beside, values)), **dots)
    return [v for _, _, values in shown for v in values]


def zero(axis: Any, across: bool = False, **look: Any) -> None:
    """The line of no difference."""
    (axis.axvline if across else axis.axhline)(0, **{"c": "0.3", "ls": "--", "lw": 1, "zorder": 1, **look})


def plain_log(axis: Any) -> None:
    """A logarithmic x or y axis with ticks at 1, 2 and 5 of every decade, in plain numbers."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:g}")


def percent(share: float) -> str:
    """A share in percent for a tick: "0.6", "12.5", "25"."""
    return f"{share:.1f}".removesuffix(".0")


def printed_line(axis: Any, x: Any, y: Any, bars: Any = None, **look: Any) -> None:
    """A published series, hollow and dotted, with the error bars that were printed (nan: none could be read)."""
    bars = None if bars is None else list(bars)
    axis.errorbar(list(x), list(y), bars, elinewidth=0.8, capsize=1.5, **{**PUBLISHED, **look})


def legend_below(axis: Any, columns: int = 3, drop: float = -0.16) -> None:
    """The axis's legend under its x label, where it hides no data."""
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, drop), ncols=columns)


def groups_below(axis: Any, names: list[str], ticks: list[str]) -> None:
    """Categories on the x axis: a tick each, and under every run of the same name that name once, parted by lines."""
    axis.set_xticks(range(len(ticks)), ticks, fontsize="x-small")
    axis.set_xlim(-0.6, len(ticks) - 0.4)
    first = 0
    for i, name in enumerate(names):
        if i + 1 < len(names) and names[i + 1] == name:
            continue
        middle = (first + i) / 2
        axis.text(middle, -0.09, name, transform=axis.get_xaxis_transform(), ha="center", va="top", fontsize="x-small")
        if i + 1 < len(names):
            axis.axvline(i + 0.5, c="0.6", lw=0.8)
        first = i + 1


def not_run(axis: Any) -> None:
    """An axis without a measured point: no ticks that could be taken for a range, and the reason."""
    axis.set_yticks([])
    axis.text(0.5, 0.08, "not run yet at this scale", ha="center", transform=axis.transAxes, color="0.4")


NOTHING = "nothing"
"""Label of a figure without a measured point."""


def nothing(scale: str) -> Any:
    """A figure of an item of which nothing has been run, or nothing that its figure shows; labelled `NOTHING`."""
    figure, axis = use().subplots(figsize=(5, 1.6))
    axis.set_axis_off()
    axis.text(0.5, 0.5, f"not run yet at scale {scale}", ha="center", transform=axis.transAxes, color="0.4")
    figure.set_label(NOTHING)
    return figure


def stamp(figure: Any, text: str) -> None:
    """Say under the figure what it was made from: scale, seeds, selection. Lines wider than the figure are broken."""
    figure.supxlabel(text, fontsize="x-small", color="0.35", wrap=True)

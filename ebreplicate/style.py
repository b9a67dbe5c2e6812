"""One face for all figures."""

from typing import Any

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
"""Okabe-Ito: distinguishable with colour-blindness and in print."""
MARKERS = ("o", "s", "^", "D")
PUBLISHED = {"mfc": "white", "alpha": 0.75, "ls": ":", "lw": 0.9}
"""Published points: hollow and dotted."""


def use() -> Any:
    """Set the style and return pyplot; vector text stays text, and the same table gives the same bytes."""
    import matplotlib

    matplotlib.use("Agg")
    import seaborn as sns
    from matplotlib import pyplot as plt

    sns.set_theme(style="whitegrid", context="paper", font_scale=0.95)
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


def stamp(figure: Any, text: str) -> None:
    """Say under the figure what it was made from: scale, seeds, selection."""
    figure.supxlabel(text, fontsize="x-small", color="0.35")

"""Frankle & Carbin's curves, by round; and those of a small network as a table of ours."""

from functools import cache
from typing import Any

import pandas as pd

from ebreplicate import published
from ebreplicate.experiments.lottery.runs import DEEP

ACCURACY, ITERATION = "Accuracy at Early-Stop (Test)", "Early-Stop Iteration (Val.)"

CURVES = {
    ("lenet300", "ticket"): ("Fig4", "Winning Ticket (Iterative)", "Winning Ticket (Iterative)"),
    ("lenet300", "reinit"): ("Fig4", "Winning Ticket (Iterative)", "Random Reinit (Iterative)"),
    ("lenet300", "random"): ("Fig1", "Lenet", "Lenet / random sparse"),
    **{(f"conv{n}", "ticket"): ("Fig5", f"Conv-{n}", f"Conv-{n}") for n in (2, 4, 6)},
    **{(f"conv{n}", "reinit"): ("Fig5", f"Conv-{n}", f"Conv-{n} reinit") for n in (2, 4, 6)},
    **{(f"conv{n}", "random"): ("Fig1", f"Conv-{n}", f"Conv-{n} / random sparse") for n in (2, 4, 6)},
}
"""Figure, the series whose levels number the rounds, and the series itself."""

DEEP_FIGURES = {"vgg19": ("Fig7", "Test Accuracy (112K)"), "preresnet20": ("Fig8", "Test Accuracy (30K)")}
RATES = {
    ("vgg19", "high"): "rate 0.1",
    ("vgg19", "low"): "rate 0.01",
    ("vgg19", "warmup"): "rate 0.1, warmup 10K",
    ("preresnet20", "high"): "rate 0.1",
    ("preresnet20", "low"): "rate 0.01",
    ("preresnet20", "warmup"): "rate 0.03, warmup 20K",
}


@cache
def curve(model: str, setting: str, series: str, metric: str = ACCURACY) -> dict[int, Any]:
    """Published rows by round, which callers leave as they are; empty where the paper has no such curve.

    A round's number is the place of its level among those of the winning tickets, since a curve may lack points; rows
    that the figure's clipping made are left out.
    """
    if model in DEEP:
        figure, metric = DEEP_FIGURES[model]
        levels_of = RATES.get((model, setting), "")
        name = levels_of + (" / random re-init" if series == "reinit" else "")
    else:
        figure, levels_of, name = CURVES.get((model, series), ("", "", ""))
    rows = published.read("lth_figures_vector_exact")
    rows = rows[(rows.figure == figure) & ~rows.note.fillna("").str.startswith("line-clip")]
    remaining = sorted(set(rows[rows.series == levels_of].percent_weights_remaining), reverse=True)
    found = rows[(rows.series == name) & (rows.y_metric == metric)]
    return {
        number: row
        for row in found.itertuples()
        for number, level in enumerate(remaining)
        if abs(row.percent_weights_remaining / level - 1) < 0.01
    }


def printed(model: str) -> pd.DataFrame:
    """The curves of a small network as rows of our table, as those of one seed: accuracy (percent) and iteration of
    early stopping by series and round. A round that a curve lacks has no row."""
    rows = []
    for series in ("ticket", "reinit", "random"):
        accuracies, iterations = (curve(model, "plain", series, metric) for metric in (ACCURACY, ITERATION))
        for number in sorted({*accuracies, *iterations}):
            if number or series == "ticket":
                accuracy, iteration = accuracies.get(number), iterations.get(number)
                rows.append(
                    {
                        "series": series if number else "dense",
                        "round": number,
                        "seed": 0,
                        "early_stop_accuracy": None if accuracy is None else 100.0 * accuracy.value,
                        "early_stop_iteration": None if iteration is None else iteration.value,
                    }
                )
    return pd.DataFrame(rows)

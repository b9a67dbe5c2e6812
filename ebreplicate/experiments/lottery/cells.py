"""Frankle & Carbin's curves and printed numbers beside ours."""

import math
from collections.abc import Collection

import pandas as pd

from ebreplicate.catalog import TITLES
from ebreplicate.experiments.common.experiment import Cell
from ebreplicate.experiments.common.margins import COUNT_MARGIN, MARGINS
from ebreplicate.experiments.common.rows import by_seed, interval
from ebreplicate.experiments.common.verdicts import whole
from ebreplicate.experiments.lottery import levels, text
from ebreplicate.experiments.lottery.claims import LENET, PAPER
from ebreplicate.experiments.lottery.curves import ACCURACY, ITERATION, curve
from ebreplicate.experiments.lottery.runs import DEEP, SMALL, TRIALS, grid_of
from ebreplicate.specs.scale import Scale

KEY_ROUNDS = (0, 1, 3, 7, 11, 12, 15, 18)
"""Rounds that are set beside the paper's: about 100, 80, 51, 21, 9, 7, 3.6 and 1.9 % of the weights left."""


def cells(scale: Scale, table: pd.DataFrame, models: Collection[str] = (*SMALL, *DEEP)) -> list[Cell]:
    """The paper's points at key rounds, of networks pruned at its rate, and each curve's as one; dense networks always;
    and its text."""
    out = []
    for model, panel in grid_of(scale).panels.items():
        if model not in models:
            continue
        wanted = [k for k in KEY_ROUNDS if k <= panel.rounds and (k == 0 or panel.ratio == 0.2)]
        for setting in ("high", "low", "warmup") if model in DEEP else ("plain",):
            for series in ("ticket", "reinit") if model in DEEP else ("ticket", "reinit", "random"):
                points = []
                for number in wanted:
                    if (number or series == "ticket") and (series == "ticket" or panel.controlled(number)):
                        points += point_cells(table, model, setting, series, number, EARLY_STOP[panel.validation > 0])
                name = f"{_title(model, setting)}: {series}, all rounds that are compared: accuracy"
                accuracies = [point for point in points if point.cell.endswith("accuracy")]
                out += [*points, *whole(name, f"{PAPER}, its curve", accuracies)]
    return out + text.cells(table) + levels.cells(table)


EARLY_STOP = {False: "epoch of minimum test loss", True: "iteration of minimum loss on held-out images"}
"""Where early stopping reads a small network's accuracy, by whether images are held out for it."""


def _title(model: str, setting: str) -> str:
    return TITLES[model] + ("" if setting == "plain" else f", {setting}")


def point_cells(table: pd.DataFrame, model: str, setting: str, series: str, number: int, early_stop: str) -> list[Cell]:
    """One point of one curve: accuracy, and on small networks the iteration of early stopping."""
    where = {"model": model, "setting": setting, "series": series if number else "dense", "round": number}
    point = f"{_title(model, setting)}: {series if number else 'dense'}, round {number}"
    metrics = {"accuracy": (ACCURACY, "last_accuracy" if model in DEEP else "early_stop_accuracy", "%", 100.0)}
    if model not in DEEP:
        metrics["early-stop iteration"] = (ITERATION, "early_stop_iteration", "iterations", 1.0)
    out = []
    for what, (metric, column, unit, factor) in metrics.items():
        row = curve(model, setting, series, metric).get(number)
        value, trials = math.nan, ""
        if row is not None:  # accuracies of the curves are fractions; rounded, for 97.93 is not 100 x 0.9793 in binary
            value, low, high = (round(factor * x, 6) for x in (row.value, row.min_of_trials, row.max_of_trials))
            trials = f"trials of the paper: {low:g} to {high:g}"
        source = f"{PAPER}, not printed"
        if row is not None:
            source = f"{PAPER}, {row.figure}, {row.percent_weights_remaining:g} % of weights left"
        out.append(
            Cell(
                f"{point}: {what}",
                value,
                interval(by_seed(table, column, **where)),
                unit,
                source,
                "last epoch" if model in DEEP else early_stop,
                MARGINS["mnist" if model == LENET else "cifar10"] if unit == "%" else COUNT_MARGIN * value,
                note=trials,
                runs=TRIALS.get(model, 1),
            )
        )
    return out

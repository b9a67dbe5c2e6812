"""Frankle & Carbin's curves and printed numbers beside ours."""

import math
from collections.abc import Collection

import pandas as pd

from ebreplicate.catalog import TITLES
from ebreplicate.experiments.common.experiment import Cell
from ebreplicate.experiments.common.judgement import tolerance
from ebreplicate.experiments.common.rows import by_seed
from ebreplicate.experiments.common.stats import accuracy_margin, t_interval
from ebreplicate.experiments.lottery import levels, text
from ebreplicate.experiments.lottery.claims import LENET, MNIST_MARGIN, PAPER
from ebreplicate.experiments.lottery.curves import ACCURACY, ITERATION, curve
from ebreplicate.experiments.lottery.runs import DEEP, SMALL, TRIALS, grid_of
from ebreplicate.specs.scale import Scale

KEY_ROUNDS = (0, 1, 3, 7, 11, 12, 15, 18)
"""Rounds that are set beside the paper's: about 100, 80, 51, 21, 9, 7, 3.6 and 1.9 % of the weights left."""


def cells(scale: Scale, table: pd.DataFrame, models: Collection[str] = (*SMALL, *DEEP)) -> list[Cell]:
    """The paper's points at key rounds, of networks pruned at its rate; dense networks always; and its text."""
    out = []
    for model, panel in grid_of(scale).panels.items():
        if model not in models:
            continue
        wanted = [k for k in KEY_ROUNDS if k <= panel.rounds and (k == 0 or panel.ratio == 0.2)]
        for setting in ("high", "low", "warmup") if model in DEEP else ("plain",):
            for series in ("ticket", "reinit") if model in DEEP else ("ticket", "reinit", "random"):
                for number in wanted:
                    if (number or series == "ticket") and (series == "ticket" or panel.controlled(number)):
                        out += point_cells(table, model, setting, series, number, EARLY_STOP[panel.validation > 0])
    return out + text.cells(table) + levels.cells(table)


EARLY_STOP = {False: "epoch of minimum test loss", True: "iteration of minimum loss on held-out images"}
"""Where early stopping reads a small network's accuracy, by whether images are held out for it."""


def point_cells(table: pd.DataFrame, model: str, setting: str, series: str, number: int, early_stop: str) -> list[Cell]:
    """One point of one curve: accuracy, and on small networks the iteration of early stopping."""
    where = {"model": model, "setting": setting, "series": series if number else "dense", "round": number}
    name = TITLES[model] + ("" if setting == "plain" else f", {setting}")
    point = f"{name}: {series if number else 'dense'}, round {number}"
    metrics = {"accuracy": (ACCURACY, "last_accuracy" if model in DEEP else "early_stop_accuracy", 0.01)}
    if model not in DEEP:
        metrics["early-stop iteration"] = (ITERATION, "early_stop_iteration", 1.0)
    out = []
    for what, (metric, column, factor) in metrics.items():
        row = curve(model, setting, series, metric).get(number)
        measured = t_interval([factor * v for v in by_seed(table, column, **where).values()])
        value = math.nan if row is None else float(row.value)
        allowed = tolerance(measured, _margin(model, value, factor), TRIALS.get(model, 1))
        source = f"{PAPER}, not printed"
        if row is not None:
            source = f"{PAPER}, {row.figure}, {row.percent_weights_remaining:g} % of weights left"
        out.append(
            Cell(
                f"{point}: {what}",
                value,
                measured,
                "",
                source,
                "last epoch" if model in DEEP else early_stop,
                math.nan if row is None else allowed.value,
                note="" if row is None else f"trials of the paper: {row.min_of_trials:g} to {row.max_of_trials:g}",
                imprecise=allowed.imprecise,
            )
        )
    return out


ITERATIONS_MARGIN = 0.1
"""Of the published iteration (docs/statistics.md)."""


def _margin(model: str, value: float, factor: float) -> float:
    """Margin of a published point: a fraction of the test images (`factor` 0.01), or iterations."""
    if factor == 1.0:
        return ITERATIONS_MARGIN * value
    return (MNIST_MARGIN if model == LENET else accuracy_margin(100 * value, 10_000)) / 100

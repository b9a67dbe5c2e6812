"""Every accuracy that RigL prints for ResNet-50 and MobileNet-v1 on ImageNet, beside the run that trains it."""

import math
import re
from functools import cache
from typing import Any, NamedTuple

import pandas as pd

from ebreplicate import published
from ebreplicate.experiments.common.experiment import Cell
from ebreplicate.experiments.common.margins import MARGINS
from ebreplicate.experiments.common.rows import by_seed, interval
from ebreplicate.experiments.rigl_imagenet.runs import BIG, DATASET, Point

MODELS = {"ResNet-50": "resnet50", "MobileNet-v1": "mobilenet"}
METHODS = {
    "Static": ("static", "uniform"),
    "SNIP": ("snip", "uniform"),
    "Small-Dense": ("small-dense", "uniform"),
    "SET": ("set", "uniform"),
    "SNFS": ("snfs", "uniform"),
    "RigL": ("rigl", "uniform"),
    "Pruning": ("gmp", "uniform"),
    "Static (ERK)": ("static", "erk-kernel"),
    "SNFS (ERK)": ("snfs", "erk-kernel"),
    "RigL (ERK)": ("rigl", "erk-kernel"),
    "Big-Sparse": ("rigl", "uniform"),
    "Big-Sparse (ERK)": ("rigl", "erk-kernel"),
}
"""Method and distribution by printed name. The tables quote others (DSR, DNW, SNFS) from their own papers."""
TABLE = re.compile(r"(?P<name>[\w-]+)( (?P<times>[\d.]+)x)?( \((?P<more>ERK|Gale|Zhu)\))?")
"""A method in the paper's tables: "RigL 5x (ERK)", "Pruning 1.5x (Gale)"."""
QUOTED, MISPRINT = "quoted by RigL", "do not compare"
"""Marks in the notes of the paper's tables: another paper's number; a row or column that repeats another table's."""
README = re.compile(r"RigL (no-label-smoothing )?(ERK|Uniform) (\d+)x")
FIGURE = "rigl_fig_flops80_digitised"
READING = {"rigl_paper_tables": 0.05, FIGURE: math.nan, "rigl_readme": 0.005}
"""Files, and half of the last digit of what they print; a figure's points have a reading error each."""
RUNS = 3
"""Runs behind a printed mean (RigL, section 4)."""


class Printed(NamedTuple):
    """One printed accuracy: `spread` is the printed standard deviation of three runs (nan: none), `reading` the reading
    error; no point: dense."""

    name: str
    model: str
    point: Point | None
    value: float
    spread: float
    reading: float
    source: str
    note: str


def in_tables(row: Any) -> tuple[str, float] | None:
    """Printed name (a key of `METHODS`) and length of a row of the paper's tables; None for one that is not RigL's own,
    is of another initialisation, or is misprinted."""
    found, note = TABLE.fullmatch(row.method), str(row.note)
    if not found or QUOTED in note or MISPRINT in note:
        return None
    name = found["name"] + (" (ERK)" if found["more"] == "ERK" else "")
    return (name, float(found["times"] or 1)) if name in METHODS else None


def _point(row: Any, model: str) -> Point | None:
    """The run that a printed row is of; None if this suite has none."""
    ratio, readme = float(row.prune_ratio), README.fullmatch(row.method)
    if readme:
        # The README gives MobileNet's sparsity over all weights: 89 % is 90 % of those that are pruned (section 4.1.2).
        ratio = 0.9 if model == "mobilenet" else ratio
        distribution = {"ERK": "erk-kernel", "Uniform": "uniform"}[readme[2]]
        return Point("rigl", distribution, ratio, float(readme[3]), not readme[1])
    if row.item.startswith("RigL repo figure"):
        name, multiplier = row.method, float(row.lr_schedule.split("x")[0])
    else:
        name, multiplier = in_tables(row) or ("", 1.0)
    if name not in METHODS:
        return None
    return Point(*METHODS[name], ratio, multiplier, True, BIG if name.startswith("Big") else 1.0)


@cache
def printed() -> tuple[Printed, ...]:
    """Every printed accuracy that one of this suite's runs is of, in the order of the sources."""
    out = []
    for file in READING:
        rows = published.read(file)
        for row in rows[(rows.metric == "top1") & rows.model.isin(MODELS)].itertuples():
            model, dense = MODELS[row.model], row.method.lower().startswith("dense")
            point = None if dense else _point(row, model)
            if point is None and not dense:
                continue
            spread, reading = float(row.uncertainty), READING[file]
            if file == FIGURE:
                spread, reading = math.nan, spread
            length = "" if point is None or file == "rigl_readme" else f" {point.multiplier:g}x"
            method = (in_tables(row) or (row.method.strip().removesuffix("  1x"),))[0]
            name = f"{row.model}, {method}{length}" + ("" if dense else f", sparsity {row.prune_ratio:g}")
            note = row.note if isinstance(row.note, str) else ""
            source = f"{row.item}; {row.source}"
            out.append(Printed(f"{row.item}: {name}", model, point, float(row.value), spread, reading, source, note))
    return tuple(out)


def where(model: str, point: Point | None) -> dict[str, Any]:
    """Columns of the table that select a point, or the dense network."""
    if point is None:
        return {"model": model, "method": "dense"}
    same = {"sparsity": float(point.sparsity), "multiplier": float(point.multiplier), "width": float(point.width)}
    names = {"method": point.method, "distribution": point.distribution, "smoothing": point.smoothing}
    return {"model": model, **names, **same}


def accuracy_cells(table: pd.DataFrame) -> list[Cell]:
    """One cell a printed accuracy."""
    return [
        Cell(
            f"{row.name}: top-1",
            row.value,
            interval(by_seed(table, **where(row.model, row.point))),
            "%",
            row.source,
            "last epoch",
            MARGINS[DATASET],
            note=row.note,
            runs=RUNS,
            reading=row.reading,
            spread=row.spread,
        )
        for row in printed()
    ]


def best_known(model: str) -> dict[Point, float]:
    """Printed accuracy by point: of several sources the first, tables before figures before the README."""
    out: dict[Point, float] = {}
    for row in printed():
        if row.model == model and row.point is not None:
            out.setdefault(row.point, row.value)
    return out


def dense(model: str) -> float:
    """Printed accuracy of the dense network."""
    return next(row.value for row in printed() if row.model == model and row.point is None)

"""Records to the table: a row a run, a row a generation of a search, and a row a shared weight of the champion."""

import csv
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from ebreplicate.experiments.common.arms import Planned
from ebreplicate.experiments.common.experiment import NOT_RUN
from ebreplicate.experiments.wann.runs import RELEASED, planned
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import key

if TYPE_CHECKING:
    from ebreplicate.store.store import Store

RUN, GENERATION, WEIGHT = "run", "generation", "weight"
"""Kinds of rows."""
SCORES = ["individual", "shared", "six", "vote", "tuned", "tuned_weight"]
COLUMNS = ["kind", "arm", "seed", "status", *SCORES, "fitness", "improvement", "connections", "hidden"]
COLUMNS += ["generation", "median_connections", "weight", "reward", "training_flops", "seconds", "key"]
POINTS = 60
"""Generations of a search that the table has, at most: as many at every power of two."""


def shown(generations: int) -> set[int]:
    """The generations that the table has: the powers of two, the last, and some between, evenly on a log scale."""
    top = math.log2(max(generations, 1))
    between = {round(2 ** (top * i / POINTS)) for i in range(POINTS + 1)}
    return between | {2**i for i in range(int(top) + 1)} | {generations}


def improvement(fitness: list[float]) -> float:
    """Mean fitness of the last eighth of the generations minus that of the second eighth."""
    part = max(1, len(fitness) // 8)
    return math.fsum(fitness[-part:]) / part - math.fsum(fitness[part : 2 * part] or fitness[-part:]) / part


def table(scale: Scale, store: "Store") -> pd.DataFrame:
    """One row a run, then those of its history (a search) or of its rewards by shared weight (the champion)."""
    return pd.DataFrame([row for run in planned(scale) for row in _rows(run, store)], columns=COLUMNS)


def _rows(run: Planned, store: "Store") -> Iterator[dict[str, Any]]:
    record, base = store.read(run.spec), {"arm": run.arm, "seed": run.seed, "key": key(run.spec)}
    if record is None:
        yield {"kind": RUN, **base, "status": NOT_RUN}
        return
    metrics, cost, base = record["metrics"], record["cost"], base | {"status": record["status"]}
    numbers = {name: metrics[name] for name in ("fitness", "connections", "hidden") if name in metrics}
    whole = {"kind": RUN, **base, **metrics["score"], **numbers, "seconds": cost["seconds"]}
    whole["training_flops"] = cost["training_flops"]["authors"]
    folder = store.folder(run.spec)
    if run.arm == RELEASED:
        yield whole
        for row in _read(folder / "evaluations.csv"):
            if abs(row["weight"] * 10 - round(row["weight"] * 10)) < 1e-9:  # one in five: a tenth apart
                yield {"kind": WEIGHT, **base, "weight": row["weight"], "reward": row["score"]}
        return
    history = _read(folder / "history.csv")
    yield whole | {"improvement": improvement([row["elite_fitness"] for row in history])}
    for row in history:
        if row["generation"] in shown(len(history)):
            numbers = {"generation": row["generation"], "median_connections": row["median_connections"]}
            yield {"kind": GENERATION, **base, "fitness": row["elite_fitness"], **numbers}


def _read(path: Any) -> list[dict[str, float]]:
    with path.open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]

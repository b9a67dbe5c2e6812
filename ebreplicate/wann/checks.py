"""What a record of this room says, against its spec, its history and its champion."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ebreplicate.files import regular_text, strict_json
from ebreplicate.wann.digits import TEST
from ebreplicate.wann.genome import Genome
from ebreplicate.wann.released import champion
from ebreplicate.wann.spec import WeightAgnostic

SCORES = {
    "swing-up": ("individual", "shared", "six", "tuned"),
    "digits": ("individual", "shared", "six", "vote", "tuned"),
}


def problems(spec: WeightAgnostic, record: dict[str, Any], folder: Path) -> Iterator[str]:
    """Everything about one run that does not agree, one line each."""
    metrics = record["metrics"]
    best = Genome.from_json(strict_json(metrics["champion"]))
    if (metrics["connections"], metrics["hidden"]) != (best.connections, len(best.activations)):
        yield f"connections {metrics['connections']}, hidden {metrics['hidden']}: not those of its champion"
    if metrics["generations"] != spec.generations:
        yield f"generations {metrics['generations']} against {spec.generations} of its spec"
    if not spec.generations and best.to_json() != champion().to_json():
        yield "champion: not the released one"
    scores = metrics["score"]
    if set(scores) != {*SCORES[spec.task], "tuned_weight"}:
        yield f"score: {', '.join(scores)} are not the tests of its task"
    yield from _sweep_problems(scores, folder)
    if spec.task == "digits":
        for name, trials in (("vote", 1), ("tuned", 1), ("six", 6), ("shared", spec.tests), ("individual", spec.tests)):
            count = scores[name] * TEST * trials / 100
            if abs(count - round(count)) > 1e-6 or not 0 <= scores[name] <= 100:
                yield f"score.{name} {scores[name]:g} is no count of {TEST} test images"
    if spec.generations:
        yield from _search_problems(spec, metrics, folder)


def _rows(path: Path) -> list[dict[str, float]]:
    names, *rows = (line.split(",") for line in regular_text(path).splitlines())
    return [dict(zip(names, map(float, row), strict=True)) for row in rows]


def _sweep_problems(scores: dict[str, float], folder: Path) -> Iterator[str]:
    sweep = _rows(folder / "evaluations.csv")
    best = max(row["score"] for row in sweep)
    if scores["tuned_weight"] not in [row["weight"] for row in sweep if row["score"] >= best * (1 - 1e-5)]:
        yield f"score.tuned_weight {scores['tuned_weight']:g} is not the best weight of evaluations.csv"


def _search_problems(spec: WeightAgnostic, metrics: dict[str, Any], folder: Path) -> Iterator[str]:
    rows = _rows(folder / "history.csv")
    if [row["generation"] for row in rows] != list(range(1, spec.generations + 1)):
        yield f"history.csv: its generations are not 1 to {spec.generations}"
        return
    best = [row["best_ever_fitness"] for row in rows]
    if best != sorted(best):
        yield "history.csv: the best fitness ever falls"
    if not math.isclose(best[-1], metrics["fitness"], rel_tol=1e-5):
        yield f"fitness {metrics['fitness']:g} against {best[-1]:g} of the last generation"

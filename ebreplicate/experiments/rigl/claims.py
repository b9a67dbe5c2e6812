"""What RigL's paper claims, judged on CIFAR-10: contrasts between series that share network, sparsity and seed."""

from collections.abc import Callable
from typing import Any

import pandas as pd

from ebreplicate import published
from ebreplicate.experiments.common.contrasts import minus, pooled
from ebreplicate.experiments.common.experiment import Cell, Claim
from ebreplicate.experiments.common.finding import Finding
from ebreplicate.experiments.common.margins import MARGINS, margin_of
from ebreplicate.experiments.common.rows import by_seed, interval
from ebreplicate.experiments.common.verdicts import at_least, greater
from ebreplicate.experiments.rigl.runs import PRINTED
from ebreplicate.specs.scale import Scale

Key = tuple[str, float, str]
"""Network, sparsity, and what else the pairs share."""
Contrasts = dict[Key, dict[int, float]]
DATASET = "cifar10"
RUNS, READING = 3, 0.05
"""Runs behind a printed mean, of RigL and of the report; half of its last digit."""
NEAR_DENSE = 1.0
"""Percentage points below the dense network that still count as near it at 80 % sparsity: our bound."""
SHARED = "mean over networks and sparsities (and distributions) of the difference within a seed, t-interval over seeds"


def _series(table: pd.DataFrame, model: str, sparsity: float, name: str) -> dict[int, float]:
    """Accuracy by seed of "method", "method/distribution" or "method/distribution/longer"."""
    if name == "dense":
        return by_seed(table, model=model, method="dense")
    method, distribution, *longer = name.split("/")
    where = {"model": model, "sparsity": float(sparsity), "method": method, "distribution": distribution}
    return by_seed(table, longer=bool(longer), **where)


def contrasts(
    table: pd.DataFrame, pairs: list[tuple[str, str]], only: Callable[[float], bool] = lambda _: True
) -> Contrasts:
    """First minus second of every pair of series, by network and sparsity, over the seeds both have."""
    out: Contrasts = {}
    for model in dict.fromkeys(table.model):
        for sparsity in sorted({s for s in table.sparsity if s > 0 and only(s)}):
            for first, second in pairs:
                a, b = (_series(table, model, sparsity, name) for name in (first, second))
                if differences := minus(a, b):
                    out[model, sparsity, first] = differences
    return out


def _claim(name: str, statement: str, source: str, rule: str, finding: Finding) -> Claim:
    return Claim(name, statement, source, rule, finding)


def _better(table: pd.DataFrame, pairs: list[tuple[str, str]], what: str) -> Finding:
    return greater(pooled(contrasts(table, pairs)), what)


def _both(first: str, second: str) -> list[tuple[str, str]]:
    return [(f"{first}/{d}", f"{second}/{d}") for d in ("uniform", "erk-kernel")]


def claims(scale: Scale, table: pd.DataFrame) -> list[Claim]:
    """Every claim of the item."""
    kernel = [(f"{m}/erk-kernel", f"{m}/uniform") for m in ("static", "set", "snfs", "rigl")]
    longer = [(f"rigl/{d}/longer", f"rigl/{d}") for d in ("uniform", "erk-kernel")]
    small = [("rigl/uniform", "small-dense/uniform")]
    return [
        _claim(
            "rigl-beats-set",
            "Growing weights where the gradient is large (RigL) gives a better network than growing at random (SET), "
            "at equal sparsity, distribution and number of steps.",
            "RigL, section 4 and Fig. 2-left (digitised)",
            f"{SHARED}; supported if above zero",
            _better(table, _both("rigl", "set"), "RigL minus SET"),
        ),
        _claim(
            "set-beats-static",
            "Moving weights while training, even at random (SET), is better than keeping a random mask (static).",
            "RigL, section 4 and Fig. 2-left (digitised)",
            f"{SHARED}; supported if above zero",
            _better(table, _both("set", "static"), "SET minus static"),
        ),
        _claim(
            "rigl-beats-small-dense",
            "A sparse network trained by RigL is better than a dense one with as many parameters.",
            "RigL, section 4 and Fig. 2-left (digitised)",
            f"{SHARED}; uniform distribution; supported if above zero",
            _better(table, small, "RigL minus small-dense"),
        ),
        _claim(
            "erk-beats-uniform",
            "Spreading sparsity over layers by Erdos-Renyi-Kernel is better than spreading it evenly (at more FLOPs).",
            "RigL, section 4; README (ERK against uniform rows)",
            f"{SHARED} of static, SET, SNFS and RigL; supported if above zero",
            _better(table, kernel, "ERK-Kernel minus uniform"),
        ),
        _claim(
            "longer-helps-rigl",
            "Training longer improves RigL.",
            "RigL, Fig. 2-left (digitised); README (5x against 1x rows)",
            f"{SHARED}; the extended recipe against the plain one; supported if above zero",
            _better(table, longer, "extended minus plain RigL"),
        ),
        _near_dense(table),
        _half(scale, table),
        _matches_pruning(scale, table),
    ]


def _near_dense(table: pd.DataFrame) -> Claim:
    pairs = [("rigl/erk-kernel", "dense")]
    difference = pooled(contrasts(table, pairs, lambda s: abs(s - 0.8) < 1e-9))
    return _claim(
        "rigl-near-dense",
        f"At 80 % sparsity RigL (ERK-Kernel) comes within {NEAR_DENSE:g} percentage point of the dense network.",
        "RigL, Fig. 2 and README (75.12 against 76.8 on ImageNet; the bound on CIFAR-10 is ours)",
        "mean over networks of RigL minus dense at 80 % sparsity, t-interval over seeds; supported if its lower end "
        f"exceeds -{NEAR_DENSE:g} pp",
        at_least(difference, -NEAR_DENSE, "RigL minus dense at 80 %"),
    )


def _half(scale: Scale, table: pd.DataFrame) -> Claim:
    margin = margin_of(scale, DATASET)
    difference = pooled(contrasts(table, [("rigl/erk-kernel", "dense")], lambda s: abs(s - 0.5) < 1e-9))
    return _claim(
        "rigl-half-matches-dense",
        "With half of the weights zero, RigL (ERK-Kernel) generalises as well as the dense network.",
        "RigL, section 4.3 and Fig. 4-right (some of the 50 % sparse networks exceed the dense 94.1 %)",
        "mean over networks of RigL minus dense at 50 % sparsity, t-interval over seeds; supported if its lower end "
        f"exceeds -{margin:g} pp",
        at_least(difference, -margin, "RigL minus dense at 50 %"),
    )


def _matches_pruning(scale: Scale, table: pd.DataFrame) -> Claim:
    margin = margin_of(scale, DATASET)
    difference = pooled(contrasts(table, [("rigl/uniform", "gmp/uniform")]))
    return _claim(
        "rigl-matches-pruning",
        "RigL is no worse than pruning a dense network gradually, which costs more FLOPs.",
        "RigL, abstract and section 4",
        f"{SHARED}; uniform distribution; supported if its lower end exceeds -{margin:g} pp",
        at_least(difference, -margin, "RigL minus gradual pruning"),
    )


def cells(scale: Scale, table: pd.DataFrame) -> list[Cell]:
    """WRN-22-2 at 80 % beside the reproducibility report."""
    return _accuracy_cells(table)


def _accuracy_cells(table: pd.DataFrame) -> list[Cell]:
    dense = published.read("rigl_paper_tables")
    dense = dense[(dense.model == "WRN-22-2") & (dense.method == "Dense")].iloc[0]
    rows = published.read("rigl_repro_and_quotes")
    rows = rows[rows.item == "RigL reproducibility report"].set_index("method")
    ours = by_seed(table, model="wideresnet22x2", method="dense")
    out = [_cell("WRN-22-2 CIFAR-10: dense", dense, ours)]
    for (method, distribution, longer), name in PRINTED.items():
        row = rows.loc[name]
        where = {"model": "wideresnet22x2", "method": method, "distribution": distribution, "longer": longer}
        ours = by_seed(table, sparsity=float(row.prune_ratio), **where)
        note = f"printed +-{row.uncertainty:g}; our recipe is that of RigL's CIFAR code"
        out.append(_cell(f"WRN-22-2 CIFAR-10, sparsity 0.8: {name}", row, ours, note))
    return out


def _cell(name: str, row: Any, seeds: dict[int, float], note: str = "") -> Cell:
    """One printed row: a mean of three seeds, to one digit, with its standard deviation where one is printed."""
    return Cell(
        name,
        float(row.value),
        interval(seeds),
        "%",
        f"{row['item']}, {row.source}",
        "last epoch",
        MARGINS[DATASET],
        note=note,
        runs=RUNS,
        reading=READING,
        spread=float(row.uncertainty),
    )

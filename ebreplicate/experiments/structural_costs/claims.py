"""Printed training FLOPs beside derived ones, and whether the tables follow from arithmetic."""

import math
from typing import Any

import pandas as pd

from ebreplicate.experiments.common.experiment import INCONCLUSIVE, NOT_SUPPORTED, SUPPORTED, Cell, Claim
from ebreplicate.experiments.common.finding import Finding
from ebreplicate.experiments.common.stats import Interval
from ebreplicate.experiments.structural_costs.arithmetic import PRINTED_UNIT, TABLE2_LATEST_DRAW, reproduces
from ebreplicate.specs.scale import Scale


def cells(scale: Scale, table: pd.DataFrame) -> list[Cell]:
    """Every printed training-FLOPs cell; exact arithmetic, so comparable at every scale."""
    out = []
    for row in table.itertuples():
        predicted = row.method in ("NS",)
        tolerance = 0.03 * row.published if predicted else PRINTED_UNIT[row.unit]
        derivable = math.isfinite(row.derived)
        out.append(
            Cell(
                f"{row.table}: {row.method}" + (f", ratio {row.ratio:g}" if row.ratio else ""),
                float(row.published),
                Interval(float(row.derived), math.nan, 1 if derivable else 0),
                row.unit,
                "printed table",
                "arithmetic",
                tolerance,
                exact=True,
                note="; ".join(x for x in (f"fitted: {row.fitted}", row.note) if isinstance(x, str) and x),
            )
        )
    return out


def claims(scale: Scale, table: pd.DataFrame) -> list[Claim]:
    """The arithmetic of both tables."""
    methods = ("SNIP", "LT (one-shot)", "ThiNet", "EB Train", "EB Train (re-init)")
    return [_claim(table, "Table 2", methods), _claim3(table)]


def _count(rows: Any) -> tuple[int, int, Any]:
    """How many cells are reproduced to the printed digit, of how many, and the rows that are not."""
    triples = zip(rows.derived, rows.published, rows.unit.map(PRINTED_UNIT), strict=True)
    good = [math.isfinite(d) and reproduces(d, p, u) for d, p, u in triples]
    return sum(good), len(rows), rows[[not g for g in good]]


def _claim(table: pd.DataFrame, name: str, methods: tuple[str, ...]) -> Claim:
    good, total, bad = _count(table[table.table.str.startswith(name) & table.method.isin(methods)])
    names = [f"{r.table.rsplit(' ', 1)[1]} {r.method} {r.ratio:.0%}" for r in bad.itertuples()]
    lost = f"; not reproducible: {', '.join(names)}" if names else ""
    return Claim(
        "table2-flops",
        "Table 2's training FLOPs (dense, LT, ThiNet, EB Train, re-init; VGG16) follow from 3 x forward x images x "
        "epochs, a draw epoch and the pruned network's FLOPs; ThiNet's from uniform widths, with nothing fitted.",
        "paper, Table 2",
        "every cell reproduced to the printed digit: supported; at least one impossible for any draw epoch up to "
        f"{TABLE2_LATEST_DRAW} and width: inconclusive, with the cells named",
        Finding(SUPPORTED if good == total else INCONCLUSIVE, total, counted=f"{good} of {total} cells" + lost),
    )


def _claim3(table: pd.DataFrame) -> Claim:
    rows = table[table.table.str.startswith("Table 3") & (table.method != "SFP")]
    good, total, _ = _count(rows)
    counted = f"{good} of {total} totals to 0.01 PFLOP; the two network-slimming totals with nothing fitted to them"
    return Claim(
        "table3-flops",
        "Five of Table 3's six training-FLOPs totals follow from the network, draw epoch 11 and one pruned count a "
        "ratio (SFP's cannot be derived).",
        "paper, Table 3",
        "all five reproduced to 0.01 PFLOP",
        Finding(SUPPORTED if good == total == 5 else NOT_SUPPORTED, total, counted=counted),
    )

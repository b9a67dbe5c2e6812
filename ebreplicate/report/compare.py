"""The paper's numbers and claims beside ours: a table to compute with and a page to read."""

import math
from dataclasses import asdict
from typing import Any

from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.base import Cell
from ebreplicate.experiments.verdicts import cell_verdict
from ebreplicate.plan.scale import Scale

CELL_COLUMNS = [
    "item",
    "cell",
    "published",
    "measured",
    "ci95_half",
    "n",
    "difference",
    "tolerance",
    "unit",
    "selection",
    "verdict",
    "source",
    "note",
]


def cell_row(item: str, cell: Cell, scale: Scale) -> dict[str, Any]:
    """One row of the comparison, with the columns `CELL_COLUMNS`."""
    m = cell.measured
    return {
        "item": item,
        "cell": cell.cell,
        "published": cell.published,
        "measured": round(m.mean, 4),
        "ci95_half": round(m.half, 4),
        "n": m.n,
        "difference": round(m.mean - cell.published, 4),
        "tolerance": round(cell.tolerance, 4),
        "unit": cell.unit,
        "selection": cell.selection,
        "verdict": cell_verdict(cell, scale.comparable),
        "source": cell.source,
        "note": cell.note,
    }


def collect(scale: Scale, tables: dict[str, Any]) -> tuple[Any, Any]:
    """Cells and claims of every experiment, as two frames."""
    import pandas as pd

    cells, claims = [], []
    for item, table in tables.items():
        experiment = EXPERIMENTS.load(item)
        cells += [cell_row(item, cell, scale) for cell in experiment.cells(scale, table)]
        claims += [{"item": item, **asdict(c)} for c in experiment.claims(scale, table)]
    return pd.DataFrame(cells, columns=CELL_COLUMNS), pd.DataFrame(claims)


def number(value: float, decimals: int = 2) -> str:
    """A number for the page; a dash for nan, because a blank stays blank."""
    return "-" if math.isnan(value) else f"{value:.{decimals}f}"


def measured_text(row: Any, decimals: int = 2) -> str:
    """Mean, half-width and n of a cell."""
    if not row.n:
        return "-"
    half = "" if math.isnan(row.ci95_half) else f" ± {row.ci95_half:.{decimals}f}"
    return f"{row.measured:.{decimals}f}{half}"


def digits(unit: str) -> int:
    """Decimals that a number of this unit is shown with."""
    return {"": 3, "epoch": 1}.get(unit, 2)


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """A markdown table; bars inside cells are escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines) + "\n"


def page(scale: Scale, cells: Any, claims: Any) -> str:
    """The comparison page in markdown."""
    parts = [f"# Comparison with the paper, scale `{scale.name}`\n", scale.note.strip() + "\n", _reading(scale)]
    parts.append("## Claims\n")
    rows = [[c.statement, f"**{c.verdict}**", c.evidence or "-", c.rule, c.source] for c in claims.itertuples()]
    parts.append(markdown_table(["claim", "verdict", "evidence", "rule", "source"], rows))
    parts.append(
        "Each claim is judged on its own at 95 %; with this many claims, one false verdict in twenty is to be "
        "expected.\n"
    )
    for item in EXPERIMENTS:
        here = cells[cells["item"] == item]
        if not len(here):
            continue
        experiment = EXPERIMENTS.load(item)
        parts.append(f"## {experiment.title}\n\n{experiment.caption}\n")
        counts = ", ".join(f"{n} {v}" for v, n in here.verdict.value_counts().items())
        parts.append(f"{len(here)} cells: {counts}.\n")
        notes = list(dict.fromkeys(n for n in here.note if n))
        shared = notes[0] if len(notes) == 1 else ""
        if shared:
            parts.append(f"Note: {shared}.\n")
        body = [
            [
                row.cell,
                number(row.published),
                measured_text(row, digits(row.unit)),
                str(row.n),
                number(row.difference, digits(row.unit)),
                row.unit,
                row.verdict,
                "" if shared else row.note,
            ]
            for row in here.itertuples()
        ]
        head = ["cell", "published", "measured (95 % CI)", "n", "difference", "unit", "verdict", "note"]
        parts.append(markdown_table(head, body))
    return "\n".join(parts)


def _reading(scale: Scale) -> str:
    lines = ["How to read this page: `n` counts seeds; intervals are Student's t over seeds; a dash is a number nobody"]
    lines.append("has. *agrees*: within the tolerance (two standard errors of the test accuracy, reading error and")
    lines.append("printed error bar); *differs*: beyond it by more than our interval; *inconclusive*: in between.")
    if not scale.comparable:
        lines.append("\n**At this scale accuracies, epochs and distances are not comparable with the paper's** and are")
        lines.append("marked so; arithmetic is, and claims about shape are still judged.")
    return "\n".join(lines) + "\n"

"""The paper's numbers and claims beside ours: a table to compute with and a page to read."""

import math
from dataclasses import asdict
from typing import Any

from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.base import NOT_RUN, NOT_SUPPORTED, SUPPORTED, Cell
from ebreplicate.experiments.verdicts import cell_verdict, told_p
from ebreplicate.plan.scale import Scale
from ebreplicate.report.markdown import markdown_table
from ebreplicate.stats import holm

LEVEL = 0.05
SELECTION = "What choosing the best epoch on the test set adds"
SELECTION_NOTE = (
    "Best minus last epoch's accuracy of our own finished runs: what is in every number whose `selection` is *best "
    "epoch on test*, and in the paper's. Averaged over series within each seed, then Student's t over seeds (`n`)."
)

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
        claims += [{"item": item, **asdict(c), "p": told_p(c.evidence)} for c in experiment.claims(scale, table)]
    for claim, adjusted in zip(claims, holm([c["p"] for c in claims]), strict=True):
        claim["p_holm"] = adjusted
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


def multiplicity(claims: Any) -> str:
    """How many claims an interval judges, how many of them chance would decide, and what stays after correction."""
    judged = claims[claims.p.notna()]
    decided = judged[judged.verdict.isin([SUPPORTED, NOT_SUPPORTED])]
    stay = int((decided.p_holm < LEVEL).sum())
    return (
        f"Each claim is judged on its own at 95 %. {len(judged)} of {len(claims)} claims are judged by an interval; "
        f"were every true difference exactly at its bound, {LEVEL * len(judged):.1f} of them would still be decided by "
        f"chance. Decided: {len(decided)}; still decided at 5 % over all {len(judged)} together (Holm's correction, "
        f"`p Holm` below 0.05): {stay}. `p` is two-sided, of the difference against its bound.\n"
    )


def page(scale: Scale, cells: Any, claims: Any, selected: str) -> str:
    """The comparison page in markdown; `selected` is the table of what choosing the best epoch adds."""
    parts = [f"# Comparison with the paper, scale `{scale.name}`\n", scale.note.strip() + "\n", _reading(scale)]
    parts += _claims(claims)
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
                row.selection or "-",
                row.verdict,
                "" if shared else row.note,
            ]
            for row in here.itertuples()
        ]
        head = ["cell", "published", "measured (95 % CI)", "n", "difference", "unit", "selection", "verdict", "note"]
        text = markdown_table(head, body)
        folded = f"<details><summary>the cells, none of them run</summary>\n\n{text}\n</details>\n"
        parts.append(text if here.n.any() else folded)
    parts.append(f"## {SELECTION}\n\n{SELECTION_NOTE}\n\n{selected}")
    return "\n".join(parts)


def _claims(claims: Any) -> list[str]:
    """The ledger: what was judged, with its evidence, and then what nothing has been run for."""
    counts = ", ".join(f"{n} {verdict}" for verdict, n in claims.verdict.value_counts().items())
    parts = [f"## Claims\n\n{len(claims)} claims: {counts}.\n"]
    titles = {item: EXPERIMENTS.load(item).short_title for item in claims["item"]}
    judged, rest = (claims[(claims.verdict == NOT_RUN) == waiting] for waiting in (False, True))
    if len(judged):
        rows = [
            [titles[c.item], c.statement, f"**{c.verdict}**", c.evidence or "-", number(c.p_holm, 3), c.rule, c.source]
            for c in judged.itertuples()
        ]
        parts.append(markdown_table(["item", "claim", "verdict", "evidence", "p Holm", "rule", "source"], rows))
    parts.append(multiplicity(claims))
    if len(rest):
        parts.append("### Not run at this scale\n")
        rows = [[titles[c.item], c.statement, c.rule, c.source] for c in rest.itertuples()]
        parts.append(markdown_table(["item", "claim", "rule", "source"], rows))
    return parts


def _reading(scale: Scale) -> str:
    lines = ["How to read this page: `n` counts seeds; intervals are Student's t over seeds; a dash is a number nobody"]
    lines.append("has. *agrees*: within the tolerance (two standard errors of the test accuracy, reading error and")
    lines.append("printed error bar); *differs*: beyond it by more than our interval; *inconclusive*: in between.")
    lines.append(
        "`selection` says which epoch's accuracy a number is; claims compare last epochs unless their rule says"
    )
    lines.append("otherwise.")
    if not scale.comparable:
        lines.append("\n**At this scale accuracies, epochs and distances are not comparable with the paper's** and are")
        lines.append("marked so; arithmetic is, and claims about shape are still judged.")
    return "\n".join(lines) + "\n"

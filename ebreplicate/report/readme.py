"""The generated table of README.md: what was measured, from the comparison, at the largest scale that has been run."""

import csv
from pathlib import Path

from ebreplicate.errors import UserError
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.base import NOT_RUN
from ebreplicate.records import atomic_write
from ebreplicate.report.compare import markdown_table

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
SCALES = ("paper", "quick")
"""Scales a README may quote, the weightier first; smoke says nothing about the paper."""


def _claims(results: Path, scale: str) -> dict[str, dict[str, str]]:
    path = results / "comparison" / f"{scale}_claims.csv"
    if not path.is_file():
        return {}
    with path.open(newline="") as f:
        return {row["name"]: row for row in csv.DictReader(f)}


def results_table(results: Path) -> str:
    """One row a claim: the first scale that ran it, else "not run"."""
    found = {scale: _claims(results, scale) for scale in SCALES}
    names = list(dict.fromkeys(name for claims in found.values() for name in claims))
    rows = []
    for name in names:
        ran = [(s, c[name]) for s, c in found.items() if name in c and c[name]["verdict"] != NOT_RUN]
        scale, claim = ran[0] if ran else ("", next(c[name] for c in found.values() if name in c))
        title = EXPERIMENTS.load(claim["item"]).title.split(":")[0]
        measured = f"{claim['evidence']}; scale {scale}" if ran else "-"
        rows.append([title, claim["statement"], measured, f"**{claim['verdict']}**"])
    return markdown_table(["item", "paper", "measured (n, scale)", "verdict"], rows)


def update(readme: Path, results: Path, check: bool = False) -> None:
    """Write the table between its markers, or with `check` raise UserError if it is not up to date."""
    text = readme.read_text()
    if BEGIN not in text or END not in text:
        raise UserError(f"{readme}: the markers {BEGIN} and {END} are missing; put them where the table goes")
    head, rest = text.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    new = f"{head}{BEGIN}\n{results_table(results)}{END}{tail}"
    if check and new != text:
        raise UserError(f"{readme}: the results table is stale; run `python -m ebreplicate readme`")
    if not check:
        atomic_write(readme, new)

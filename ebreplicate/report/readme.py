"""The generated table of README.md: what was measured, from the comparison, at the largest scale that has been run."""

import csv
from collections import Counter
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
    """One row a claim, from the first scale that ran it, and one row an item for its claims that none has."""
    found = {scale: _claims(results, scale) for scale in SCALES}
    names = list(dict.fromkeys(name for claims in found.values() for name in claims))
    rows, waiting = [], Counter[str]()
    for name in names:
        known = [(s, c[name]) for s, c in found.items() if name in c]
        ran = [(s, c) for s, c in known if c["verdict"] != NOT_RUN]
        if ran:
            scale, claim = ran[0]
            measured = f"{claim['evidence']}; scale {scale}"
            rows.append([_title(claim["item"]), claim["statement"], measured, f"**{claim['verdict']}**"])
        else:
            waiting[_title(known[0][1]["item"])] += 1
    rows += [[title, f"{n} further claim{'s' * (n > 1)}", "-", f"**{NOT_RUN}**"] for title, n in waiting.items()]
    return markdown_table(["item", "paper", "measured (n, scale)", "verdict"], rows)


def _title(item: str) -> str:
    title: str = EXPERIMENTS.load(item).title
    return title.split(":")[0]


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

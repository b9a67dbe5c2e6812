"""The generated tables of README.md (what was measured, at the largest scale that has been run) and of the docs."""

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from ebreplicate.errors import UserError
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.base import NOT_RUN
from ebreplicate.plan.scale import load_scale
from ebreplicate.records import Store, atomic_write
from ebreplicate.report import selection
from ebreplicate.report.markdown import between, markdown_table

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
    title: str = EXPERIMENTS.load(item).short_title
    return title


def selection_tables(results: Path) -> str:
    """What choosing the best epoch adds, at every scale of which runs have finished."""
    parts = []
    for name in SCALES:
        scale, store = load_scale(name), Store(results)
        if selection.effects(scale, store):
            parts.append(f"Scale `{name}`:\n\n{selection.table(scale, store)}")
    return "\n" + ("\n".join(parts) or "Nothing has been run yet.\n") + "\n"


def rewrite(page: Path, begin: str, end: str, content: str, check: bool = False) -> None:
    """Write `content` between the markers of `page`, or with `check` raise UserError if it is not what stands there."""
    text = page.read_text()
    new = between(text, begin, end, content)
    if new is None:
        raise UserError(f"{page}: the markers {begin} and {end} are missing; put them where the table goes")
    if check and new != text:
        raise UserError(f"{page}: the results table is stale; run `python -m ebreplicate readme`")
    if not check:
        atomic_write(page, new)


GENERATED: tuple[tuple[Path, str, str, Callable[[Path], str]], ...] = (
    (Path("README.md"), BEGIN, END, results_table),
    (Path("docs/statistics.md"), selection.BEGIN, selection.END, selection_tables),
)
"""Pages of a project that hold a generated table: page, markers, and the table of a results folder."""


def update(project: Path, results: Path, check: bool = False) -> None:
    """Write the generated tables of a project's pages that are there; with `check`, raise UserError if one is stale."""
    for page, begin, end, table in GENERATED:
        if (project / page).is_file():
            rewrite(project / page, begin, end, table(results), check)

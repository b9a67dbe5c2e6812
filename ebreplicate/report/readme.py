"""The generated tables of README.md (what was measured, at the largest scale that has been run) and of the docs."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ebreplicate.errors import UserError
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.common.experiment import ACCURACY, AGREES, DIFFERS, IMPRECISE, NOT_RUN
from ebreplicate.files import atomic_write
from ebreplicate.report import compare, headline, selection
from ebreplicate.report.drawing import same_drawing
from ebreplicate.report.markdown import between, markdown_table

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
HEAD = [*compare.HEAD[:-1], "scale"]


def results_table(results: Path) -> str:
    """One row a claim, from the first scale that ran it, and one row an item for its claims that none has.

    Above it: how many claims of each scale are decided, alone and after correction, and how those of each item ended.
    """
    whole = compare.read_claims(results)
    if whole.empty:
        return markdown_table(HEAD, [])
    frames = [whole[whole.scale == scale] for scale in whole.scale.unique()]
    ran = whole[whole.verdict != NOT_RUN].drop_duplicates("name")
    waiting = Counter(whole[~whole.name.isin(ran.name)].drop_duplicates("name")["item"])
    rows = [[_title(c.item), c.statement, *compare.claim_cells(c), c.scale] for c in ran.itertuples()]
    blanks = ["-"] * (len(HEAD) - 4)
    for item, n in waiting.items():
        rows.append([_title(item), f"{n} further claim{'s' * (n > 1)}", "-", f"**{NOT_RUN}**", *blanks])
    counts = [f"Scale `{f.scale.iloc[0]}`: {compare.multiplicity(f)}" for f in frames if (f.verdict != NOT_RUN).any()]
    return "\n" + "\n".join([*counts, *_ended(ran), markdown_table(HEAD, rows)])


def _ended(ran: Any) -> list[str]:
    """How the claims about accuracy ended, a row an item and scale: one table, or none where none has run."""
    groups = ran[ran.kind == ACCURACY].groupby(["item", "scale"], sort=False)
    rows = [[_title(item), scale, headline.counted(here)] for (item, scale), here in groups]
    return [markdown_table(["item", "scale", "claims about accuracy"], rows)] if rows else []


def _title(item: str) -> str:
    title: str = EXPERIMENTS.load(item).short_title
    return title


WORDS = (AGREES, DIFFERS, IMPRECISE)
"""Of a printed value beside ours, where both are there."""


POINTS = {"%": "pp", "% correct": "pp"}
"""Units of differences of percentages."""


def agreement_tables(results: Path) -> str:
    """How many values that were measured at the papers' own scale agree with what is printed: item by item, and for
    whole figures, tables and curves."""
    import pandas as pd

    path = results / "comparison" / "paper.csv"
    if not path.is_file():
        return "\nNothing has been run at the papers' own scale yet.\n\n"
    cells = pd.read_csv(path, keep_default_na=False, na_values={name: [""] for name in ("difference", "margin")})
    cells = cells[cells.verdict.isin(WORDS) & (cells.selection != "arithmetic")]
    single, whole = cells[cells.cells == 1], cells[cells.cells > 1]
    rows = [
        [_title(item), str(len(here)), *(str(int((here.verdict == word).sum())) for word in WORDS)]
        for item, here in single.groupby("item", sort=False)
    ]
    wholes = [
        [
            _title(c.item),
            c.cell,
            compare.signed(c.difference),
            f"{c.margin:g}",
            POINTS.get(c.unit, c.unit),
            c.verdict,
            c.note,
        ]
        for c in whole.itertuples()
    ]
    first = markdown_table(["item", "printed values that were measured", *WORDS], rows)
    second = markdown_table(["item", "as a whole", "difference", "margin", "unit", "verdict", "its cells"], wholes)
    return f"\n{first}\n{second}"


def selection_tables(results: Path) -> str:
    """What choosing the best epoch adds, from the comparison of every scale of which runs have finished."""
    tables = {name: compare.read_selection(results, name) for name in compare.SCALES}
    parts = [f"Scale `{name}`:\n\n{table}" for name, table in tables.items() if table not in ("", selection.NOTHING)]
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


def _of_claims(make: Callable[[Any], str]) -> Callable[[Path], str]:
    """What `make` says of the claims of a results folder."""
    return lambda results: make(compare.read_claims(results))


GENERATED: tuple[tuple[Path, str, str, Callable[[Path], str]], ...] = (
    (Path("README.md"), "<!-- status: begin -->", "<!-- status: end -->", _of_claims(headline.status)),
    (Path("README.md"), "<!-- headline: begin -->", "<!-- headline: end -->", _of_claims(headline.table)),
    (Path("docs/results.md"), BEGIN, END, results_table),
    (Path("docs/results.md"), "<!-- agreement: begin -->", "<!-- agreement: end -->", agreement_tables),
    (Path("docs/statistics.md"), selection.BEGIN, selection.END, selection_tables),
)
"""Pages of a project that hold a generated table: page, markers, and the table of a results folder."""


FIGURE = Path("figures/headline.svg")
"""The figure of the first screen."""


def update(project: Path, results: Path, check: bool = False) -> None:
    """Write the generated tables of a project's pages that are there, and the first screen's figure.

    With `check`, raise UserError if one is stale.
    """
    for page, begin, end, table in GENERATED:
        if (project / page).is_file():
            rewrite(project / page, begin, end, table(results), check)
    if not (project / "README.md").is_file():
        return
    if not check:
        atomic_write(project / FIGURE, headline.figure(compare.read_claims(results)))
    elif stale_figure(project, results):
        raise UserError(f"{project / FIGURE}: does not follow from the claims; run `python -m ebreplicate readme`")


def stale_figure(project: Path, results: Path) -> bool:
    """Whether the first screen's figure is missing or shows other claims than the results have."""
    path = project / FIGURE
    return not path.is_file() or not same_drawing(
        path.read_text(), headline.figure(compare.read_claims(results)).decode()
    )

"""The paper's numbers and claims beside ours: a table to compute with and a page to read."""

import math
from pathlib import Path
from typing import Any

from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.common.experiment import ACCURACY, NOT_RUN, Cell, Claim, has_content
from ebreplicate.experiments.common.judgement import DECIDED, EXPLORATORY, NOT_SUPPORTED_ALONE, SUPPORTED_ALONE, settled
from ebreplicate.experiments.common.stats import ENOUGH
from ebreplicate.experiments.common.verdicts import cell_verdict
from ebreplicate.report.markdown import markdown_table
from ebreplicate.specs.scale import Scale

SELECTION = "What choosing the best epoch on the test set adds"
SELECTION_HEAD = (
    f"## {SELECTION}\n\n"
    "Best minus last epoch's accuracy of our own finished runs: what is in every number whose `selection` is *best "
    "epoch on test*, and in the paper's. Averaged over series within each seed, then Student's t over seeds (`n`).\n\n"
)

COARSE = 0.02
"""Half-width below which two decimals are too few to see on which side of the bound an interval lies."""
CELL_COLUMNS = ["item", "cell", "model", "dataset", "ratio", "draw", "method", "trained", "published", "measured"]
CELL_COLUMNS += ["ci95_half", "n", "seeds", "difference", "margin", "tolerance", "unit", "selection", "verdict"]
CELL_COLUMNS += ["cells", "source", "note", "records"]
CLAIM_COLUMNS = [
    "item",
    "name",
    "kind",
    "statement",
    "verdict",
    "points_to",
    "difference",
    "ci95_half",
    "printed",
    "bound",
    "unit",
]
CLAIM_COLUMNS += ["n", "p", "p_holm", "family", "by_seed", "evidence", "rule", "source", "records"]


def cell_row(item: str, cell: Cell, scale: Scale) -> dict[str, Any]:
    """One row of the comparison, with the columns `CELL_COLUMNS`.

    `model` to `method`: the paper's names; `trained`: what ran in their place. The difference is blank where the cell
    is not comparable with the paper's, and the half-width below three seeds.
    """
    m = cell.measured
    compared = scale.comparable or cell.exact or cell.everywhere
    enough = cell.exact or m.n >= ENOUGH
    return {
        "item": item,
        "cell": cell.cell,
        "model": cell.model,
        "dataset": cell.dataset,
        "ratio": cell.ratio,
        "draw": cell.draw,
        "method": cell.method,
        "trained": _trained(scale, cell) if m.n and not cell.exact else "",
        "published": cell.published,
        "measured": round(m.mean, 4),
        "ci95_half": round(m.half, 4) if enough else math.nan,
        "n": m.n,
        "seeds": " ".join(map(str, m.seeds)),
        "difference": round(m.mean - cell.published, 4) if compared else math.nan,
        "margin": math.nan if math.isnan(cell.published) else round(cell.margin, 4),
        "tolerance": round(cell.tolerance.value, 4),
        "unit": cell.unit,
        "selection": cell.selection,
        "verdict": cell_verdict(cell, scale.comparable),
        "cells": cell.cells,
        "source": cell.source,
        "note": cell.note if compared or cell.cells == 1 else "",
        "records": " ".join(sorted(m.records)),
    }


def _trained(scale: Scale, cell: Cell) -> str:
    """The network and data that stand for the paper's at `scale`, of a cell that names its own."""
    if cell.model not in scale.models or cell.dataset not in scale.datasets:
        return ""
    network, data = scale.models[cell.model], scale.datasets[cell.dataset]
    size = f", {data['train_size']:,} training images" if "train_size" in data else ""
    return f"{network['name']}, width {network.get('width', 1):g}, on {data['name']}{size}"


def claim_row(item: str, claim: Claim) -> dict[str, Any]:
    """One row of the claims, with the columns `CLAIM_COLUMNS`. `by_seed`: the difference of every seed."""
    found, i = claim.found, claim.found.difference
    return {
        "item": item,
        "name": claim.name,
        "kind": claim.kind,
        "statement": claim.statement,
        "verdict": claim.verdict,
        "points_to": claim.points_to,
        "difference": math.nan if i is None else round(i.mean, 4),
        "ci95_half": math.nan if i is None or i.n < ENOUGH else round(i.half, 4),
        "printed": round(claim.printed, 4),
        "bound": round(found.bound, 4),
        "unit": "" if i is None else found.unit,
        "n": claim.n,
        "p": found.p,
        "p_holm": claim.p_holm,
        "family": claim.family,
        "by_seed": "" if i is None else " ".join(f"{value:.4f}" for value in i.values),
        "evidence": claim.evidence,
        "rule": claim.rule,
        "source": claim.source,
        "records": " ".join(sorted(found.records)),
    }


def collect(scale: Scale, tables: dict[str, Any]) -> tuple[Any, Any]:
    """Cells and claims of every experiment, as two frames."""
    import pandas as pd

    cells, claims = [], []
    for item, table in tables.items():
        experiment = EXPERIMENTS.load(item)
        cells += [cell_row(item, cell, scale) for cell in experiment.cells(scale, table)]
        claims += [claim_row(item, c) for c in settled(experiment.claims(scale, table), scale.comparable)]
    return pd.DataFrame(cells, columns=CELL_COLUMNS), pd.DataFrame(claims, columns=CLAIM_COLUMNS)


def number(value: float, decimals: int = 2) -> str:
    """A number for the page; a dash for nan, because a blank stays blank."""
    return "-" if math.isnan(value) else f"{value:.{decimals}f}"


def measured_text(row: Any, decimals: int = 2) -> str:
    """Mean, half-width and n of a cell."""
    if not row.n:
        return "-"
    half = "" if math.isnan(row.ci95_half) else f" ± {row.ci95_half:.{decimals}f}"
    return f"{row.measured:.{decimals}f}{half}"


def signed(value: float) -> str:
    """A difference for the page, with its sign; a dash for nan."""
    return "-" if math.isnan(value) else f"{value:+.2f}"


def p_text(p: float) -> str:
    """A p-value with three decimals; a dash for nan."""
    return "<0.001" if p < 0.001 else number(p, 3)


def digits(unit: str) -> int:
    """Decimals that a number of this unit is shown with."""
    return {"": 3, "epoch": 1}.get(unit, 2)


def effect_text(row: Any) -> str:
    """What a claim's difference is, with its interval and unit; a dash for a claim that has none."""
    if math.isnan(row.difference):
        return "-"
    decimals = 3 if row.ci95_half < COARSE else 2
    half = "" if math.isnan(row.ci95_half) else f" ± {row.ci95_half:.{decimals}f}"
    return f"{row.difference:+.{decimals}f}{half} {row.unit}"


def multiplicity(claims: Any) -> str:
    """How many claims about accuracy an interval judges, how many are decided alone and after correction."""
    judged = claims[(claims.kind == ACCURACY) & claims.p.notna() & (claims.verdict != EXPLORATORY)]
    words = judged.verdict.map(lambda verdict: verdict.partition(",")[0])
    after = int(words.isin(DECIDED).sum())
    alone = after + int(words.isin([SUPPORTED_ALONE, NOT_SUPPORTED_ALONE]).sum())
    rest = int((claims.verdict == EXPLORATORY).sum())
    further = f" Exploratory, not judged: {rest}; one in twenty of such intervals is wrong by chance." if rest else ""
    return (
        f"{len(judged)} claims about accuracy are judged by an interval; {alone} are decided alone, {after} after "
        f"Holm's correction at 5 %.{further} `p` is two-sided, against the bound. Costs, arithmetic and remarks on "
        "the paper are not counted.\n"
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
    parts.append(SELECTION_HEAD + selected)
    return "\n".join(parts)


def read_selection(results: Path, scale: str) -> str:
    """The last table of a scale's page (`selected` of `page`); empty where the scale has not been compared."""
    path = results / "comparison" / f"{scale}.md"
    return path.read_text().partition(SELECTION_HEAD)[2] if path.is_file() else ""


HEAD = ["item", "claim", "kind", "verdict", "effect (95 % CI)", "printed", "bound", "n", "p", "p Holm", "points to"]
HEAD += ["evidence"]


def claim_cells(row: Any) -> list[str]:
    """A claim's cells after its item and statement, in the order of `HEAD`, without the evidence."""
    numbers = [effect_text(row), signed(row.printed), number(row.bound), str(row.n), p_text(row.p), p_text(row.p_holm)]
    return [row.kind, f"**{row.verdict}**", *numbers, row.points_to or "-"]


def _claims(claims: Any) -> list[str]:
    """What was judged, with its evidence, and then what nothing has been run for."""
    counts = ", ".join(f"{n} {verdict}" for verdict, n in claims.verdict.value_counts().items())
    parts = [f"## Claims\n\n{len(claims)} claims: {counts}.\n", multiplicity(claims)]
    titles = {item: EXPERIMENTS.load(item).short_title for item in claims["item"]}
    judged, rest = (claims[(claims.verdict == NOT_RUN) == waiting] for waiting in (False, True))
    if len(judged):
        rows = [
            [titles[c.item], c.statement, *claim_cells(c), c.evidence or "-", c.rule, c.source]
            for c in judged.itertuples()
        ]
        parts.append(markdown_table([*HEAD, "rule", "source"], rows))
    if len(rest):
        parts.append("### Not run at this scale\n")
        rows = [[titles[c.item], c.statement, c.rule, c.source] for c in rest.itertuples()]
        parts.append(markdown_table(["item", "claim", "rule", "source"], rows))
    return parts


def smoke_page(scale: Scale, tables: dict[str, Any]) -> str:
    """The page of a scale whose numbers mean nothing: how many runs, tables and figures were made, and no number."""
    runs: set[str] = set()
    for table in tables.values():
        if {"key", "status"} <= {*table}:
            runs.update(table.key[(table.status != NOT_RUN) & table.key.notna()])
    figures = sum(has_content(table) for table in tables.values())
    return (
        f"# Scale `{scale.name}`\n\n{scale.note.strip()}\n\n**No number of this scale means anything about the "
        f"paper**, so none stands beside a published one, and no claim is judged. It shows that every step runs: "
        f"{len(runs)} runs, {len(tables)} tables and {figures} figures were made.\n"
    )


READING = (
    "How to read this page: `n` counts seeds; intervals are at 95 % and start at three seeds; a dash is a number "
    "nobody has. The words of a verdict are those of [statistics](../../docs/statistics.md#words-of-a-verdict). Cells: "
    "*agrees*, within the tolerance; *differs*, beyond it; *too imprecise to say*, within one that scatter makes wide. "
    "`selection` says which epoch's accuracy a number is; claims compare last epochs unless their rule says otherwise. "
    "*printed*: the same difference between the numbers that the paper prints. "
    "*points to*: the side of the bound that all seeds lie on, from five seeds on; a hint, no verdict.\n"
)
REDUCED = (
    "\n**At this scale accuracies, epochs and distances are not comparable with the paper's**: no difference is given. "
    "Effects are judged, and arithmetic is.\n"
)


def _reading(scale: Scale) -> str:
    return READING if scale.comparable else READING + REDUCED


SCALES = ("paper", "quick")
"""Scales that a first page may quote, the larger first; smoke says nothing about the paper."""
NUMBERS = ("difference", "ci95_half", "printed", "bound", "n", "p", "p_holm")


def read_claims(results: Path) -> Any:
    """Claims of every scale that has been compared, as one frame with a column `scale`, the larger scale first."""
    import pandas as pd

    blank = {name: [""] for name in NUMBERS}
    paths = {scale: results / "comparison" / f"{scale}_claims.csv" for scale in SCALES}
    frames = [
        pd.read_csv(path, keep_default_na=False, na_values=blank).assign(scale=scale)
        for scale, path in paths.items()
        if path.is_file()
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=[*CLAIM_COLUMNS, "scale"])

"""What the site shows: runs, items with their cells and claims, and which record stands behind which number."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ebreplicate.errors import UserError
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.common.experiment import ACCURACY, ARITHMETIC, NOT_RUN, Experiment, has_content
from ebreplicate.experiments.common.judgement import settled
from ebreplicate.report import compare, pipeline
from ebreplicate.report.progress import steps
from ebreplicate.specs.graph import Plan, root_of
from ebreplicate.specs.scale import SMOKE, Scale
from ebreplicate.specs.spec import key
from ebreplicate.store.merging import checked_run, runs_under

MEASURED = "measured"
"""Kind of the printed numbers that runs are compared with; the others are arithmetic."""
FEW = 5
"""Seeds whose runs are linked beside a number, one by one; more runs are listed on the item's page."""


@dataclass(frozen=True)
class Run:
    """A finished run and where it lies."""

    spec: Any
    record: dict[str, Any]
    folder: Path

    @property
    def key(self) -> str:
        """Name of the run."""
        return key(self.spec)

    @property
    def href(self) -> str:
        """Its page, from the root of the site."""
        return f"runs/{self.spec.stage}/{self.key}.html"


@dataclass(frozen=True)
class Judged:
    """A cell or claim (`of`: the columns of its comparison), its place on its item's page, the runs behind it."""

    of: Any
    anchor: str
    runs: list[Run]

    @property
    def by_seed(self) -> list[tuple[int, Run]]:
        """(seed, run) of a number over a few seeds, one run each; nothing where the runs are others or many."""
        seeds = [root_of(run.spec).seed for run in self.runs]
        few = len(seeds) == len(set(seeds)) <= FEW
        return list(zip(seeds, self.runs, strict=True)) if few else []


@dataclass
class Item:
    """One experiment at one scale. `planned`: keys of all runs it needs, dependencies included."""

    scale: Scale
    experiment: Experiment
    planned: list[str]
    cells: list[Judged] = field(default_factory=list)
    claims: list[Judged] = field(default_factory=list)
    figure: bytes | None = None

    @property
    def name(self) -> str:
        """Name of the experiment."""
        return self.experiment.item

    @property
    def href(self) -> str:
        """Its page, from the root of the site."""
        return f"items/{self.scale.name}/{self.name}.html"

    @property
    def verdicts(self) -> Counter[str]:
        """How many cells have each verdict."""
        return Counter(c.of.verdict for c in self.cells)

    def finished(self, runs: dict[str, Run]) -> int:
        """How many of its runs are among `runs`."""
        return sum(name in runs for name in self.planned)


@dataclass
class Site:
    """Everything there is to show. `cited`: per key, the (item, cell or claim) that the run stands behind."""

    items: dict[str, list[Item]]
    runs: dict[str, Run]
    cited: dict[str, list[tuple[Item, Judged]]]

    @property
    def scales(self) -> list[Scale]:
        """The scales shown."""
        return [items[0].scale for items in self.items.values()]

    def all_items(self) -> list[Item]:
        """Items of every scale."""
        return [item for items in self.items.values() for item in items]

    def by_item(self) -> list[Item]:
        """Items of every scale, the scales of one item next to each other: those of the title paper come first."""
        return [item for of_one in zip(*self.items.values(), strict=True) for item in of_one]

    def titles(self) -> list[tuple[str, str]]:
        """(name, title) of every item."""
        return [(name, EXPERIMENTS.load(name).title) for name in EXPERIMENTS]

    def cell_verdicts(self) -> list[str]:
        """Verdicts that any cell has."""
        return sorted({v for item in self.all_items() for v in item.verdicts})

    def cell_counts(self, scale: str, kind: str) -> list[tuple[str, int]]:
        """Cells of a scale that are of one kind, by verdict: the commonest first, what has not been run last."""
        cells = (j.of for item in self.items[scale] for j in item.cells)
        return _tally(cell.verdict for cell in cells if cell.kind == kind)

    def claim_counts(self, scale: str) -> list[tuple[str, int]]:
        """Claims of a scale by verdict: the commonest first, what has not been run last."""
        return _tally(j.of.verdict for item in self.items[scale] for j in item.claims)

    def judged(self, scale: str, *verdicts: str) -> list[tuple[Item, Judged]]:
        """Claims of a scale whose verdict starts with one of `verdicts`, those about accuracy first."""
        claims = [(item, j) for item in self.items[scale] for j in item.claims if j.of.verdict.startswith(verdicts)]
        return sorted(claims, key=lambda found: found[1].of.kind != ACCURACY)

    def claims(self) -> Any:
        """Claims of the scales that a first page may quote, as `compare.read_claims` gives them."""
        import pandas as pd

        rows = [
            vars(j.of) | {"scale": name}
            for name in compare.SCALES
            for item in self.items.get(name, [])
            for j in item.claims
        ]
        return pd.DataFrame(rows, columns=[*compare.CLAIM_COLUMNS, "scale"])

    def hidden_scale(self) -> str:
        """The scale whose numbers mean nothing, where it is shown beside others; else empty."""
        return SMOKE if SMOKE in self.items and len(self.items) > 1 else ""


def _tally(verdicts: Iterable[str]) -> list[tuple[str, int]]:
    return sorted(Counter(verdicts).most_common(), key=lambda found: found[0] == NOT_RUN)


def slug(text: str) -> str:
    """`text` as the id of an element."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")


def read_runs(results: Path) -> dict[str, Run]:
    """Every finished run by key; raises UserError for one whose spec, key and record do not agree."""
    runs = {}
    for folder in steps(runs_under(results), "runs read"):
        spec, record = checked_run(folder)
        runs[key(spec)] = Run(spec, record or {}, folder)
    if not runs:
        raise UserError(f"--results: {str(results)!r} has no finished run; expected runs/<stage>/<key>/record.json")
    return runs


def gather(scales: Sequence[Scale], results: Path, figures: Path | None) -> Site:
    """Read the records, make every item's table from them, and judge its cells and claims.

    Raises UserError where there is nothing to show.
    """
    runs = read_runs(results)
    items: dict[str, list[Item]] = {}
    for scale in scales:
        experiments = [EXPERIMENTS.load(name) for name in EXPERIMENTS]
        found = [Item(scale, e, list(Plan(e.runs(scale)).runs)) for e in experiments]
        if any(name in runs for item in found for name in item.planned):
            items[scale.name] = found
    if not items:
        names = ", ".join(scale.name for scale in scales)
        raise UserError(f"--scale: no run of {names} is finished in {str(results)!r}")
    cited: dict[str, list[tuple[Item, Judged]]] = defaultdict(list)
    site = Site(items, runs, cited)
    for item in steps(site.all_items(), "tables and figures"):
        _fill(item, results, figures, runs)
        for judged in [*item.cells, *item.claims]:
            for run in judged.runs:
                cited[run.key].append((item, judged))
    return site


def _fill(item: Item, results: Path, figures: Path | None, runs: dict[str, Run]) -> None:
    """Add what the records say: cells, claims and figure."""
    experiment, scale = item.experiment, item.scale
    table = pipeline.fresh_table(item.name, scale, results)

    def judged(row: SimpleNamespace, anchor: str) -> Judged:
        behind = [runs[name] for name in row.records.split() if name in runs]
        return Judged(row, anchor, sorted(behind, key=lambda run: (root_of(run.spec).seed, run.key)))

    for cell in () if scale.is_smoke else experiment.cells(scale, table):
        kind = ARITHMETIC if cell.exact else MEASURED
        row = SimpleNamespace(**compare.cell_row(item.name, cell, scale), kind=kind)
        item.cells.append(judged(row, f"cell-{slug(cell.cell)}"))
    for claim in () if scale.is_smoke else settled(experiment.claims(scale, table), scale.comparable):
        row = SimpleNamespace(**compare.claim_row(item.name, claim))
        item.claims.append(judged(row, f"claim-{claim.name}"))
    if not has_content(table):
        return  # a figure of nothing
    path = figures / scale.name / f"{item.name}.svg" if figures else None
    item.figure = path.read_bytes() if path and path.is_file() else pipeline.shown(item.name, scale, table)

"""The site's files: templates filled with what `contents` gathered. All text is escaped by the template engine."""

import csv
import json
import math
import shutil
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ebreplicate.experiments.common import judgement as rules
from ebreplicate.experiments.common.experiment import (
    ACCURACY,
    AGREES,
    ARITHMETIC,
    COST,
    DIFFERS,
    IMPRECISE,
    INCONCLUSIVE,
    NOT_RUN,
    NOT_SUPPORTED,
    REMARK,
    SUPPORTED,
    TOO_FEW,
)
from ebreplicate.report import compare, headline
from ebreplicate.report.progress import steps
from ebreplicate.report.site import words
from ebreplicate.report.site.charts import Row, charts, kept_by_layer
from ebreplicate.report.site.contents import Item, Run, Site
from ebreplicate.report.site.notes import Note, notes, sentence
from ebreplicate.specs.graph import parents, root_of
from ebreplicate.specs.scale import SMOKE
from ebreplicate.specs.spec import canonical, key

HERE = Path(__file__).parent
MARKS = {SUPPORTED: "yes", AGREES: "yes", NOT_SUPPORTED: "no", DIFFERS: "no", INCONCLUSIVE: "open"}
MARKS |= {"ok": "yes", "diverged": "no", "no-ticket": "open", NOT_RUN: "none"}
"""Shape and colour of a verdict's or status' mark; what is not here (a number not comparable) is "apart"."""
MARKS |= {
    rules.SUPPORTED_ALONE: "open",
    rules.NOT_SUPPORTED_ALONE: "open",
    TOO_FEW: "open",
    IMPRECISE: "open",
    rules.EQUIVALENT: "no",
}
KINDS = (ACCURACY, COST, ARITHMETIC, REMARK)
CLAIM_VERDICTS = (
    SUPPORTED,
    f"{SUPPORTED}, {rules.EQUIVALENT}",
    f"{SUPPORTED}, {rules.BELOW_MARGIN}",
    rules.SUPPORTED_ALONE,
    NOT_SUPPORTED,
    rules.NOT_SUPPORTED_ALONE,
    rules.EQUIVALENT,
    INCONCLUSIVE,
    rules.EXPLORATORY,
    TOO_FEW,
    rules.NO_VERDICT,
    NOT_RUN,
)


def environment() -> Environment:
    """Templates with autoescape: a record may hold anything."""
    env = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters |= {
        "number": lambda v, unit: words.typeset(compare.number(v, compare.digits(unit))),
        "printed": lambda v: words.typeset(compare.number(v)),
        "measured": lambda row: words.typeset(compare.measured_text(row, compare.digits(row.unit))),
        "mark": lambda verdict: MARKS.get(verdict.partition(",")[0], "apart"),
        "zip_self": lambda values: [(v, v) for v in values],
        "finite": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v),
        "effect": lambda row: words.typeset(compare.effect_text(row)),
        "p": lambda value: words.typeset(compare.p_text(value)),
        "in_paper": lambda row: words.typeset(compare.signed(row.printed)),
        "bound": lambda row: words.typeset(f"{row.bound:g}" if math.isfinite(row.bound) else "-"),
        "sortable": lambda v: "" if not isinstance(v, (int, float)) or math.isnan(v) else f"{v:.6g}",
    }
    env.filters |= {
        f.__name__: f for f in (words.label, words.typeset, words.plain, words.power, words.duration, words.detail)
    }
    env.filters |= {f.__name__: f for f in (words.network, words.dataset, words.flat, words.ledger)}
    env.globals |= {"stages": words.STAGES, "units": words.UNITS, "seed_of": _seed}
    env.globals |= {"claim_verdicts": CLAIM_VERDICTS, "claim_kinds": KINDS, "smoke": SMOKE}
    return env


def _seed(run: Run) -> int:
    return root_of(run.spec).seed


def history(folder: Path) -> tuple[list[str], list[Row]]:
    """Columns and rows of a run's history; what is not a number is nan. Nothing where there is none."""
    try:
        with (folder / "history.csv").open(newline="") as f:
            reader = csv.DictReader(f)
            columns = [c for c in reader.fieldnames or [] if c]
            return columns, [{c: _float(row.get(c)) for c in columns} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error):
        return [], []


def _float(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan


def write_pages(site: Site, root: Path) -> int:
    """Write every page under `root`; returns how many."""
    pages = Pages(site, root)
    pages.overview()
    for item in site.all_items():
        pages.item(item)
    for run in steps(list(site.runs.values()), "pages of runs"):
        pages.run(run)
    for note in pages.notes:
        pages.put("note.html", note.href, note=note)
    shutil.copytree(HERE / "assets", root / "assets")
    return pages.count


class Pages:
    """Fills templates into files under `root`."""

    def __init__(self, site: Site, root: Path):
        self.site, self.root, self.count = site, root, 0
        self.notes: list[Note] = notes()
        self.env = environment()
        self.children: dict[str, list[Run]] = defaultdict(list)
        for run in site.runs.values():
            for parent in parents(run.spec):
                self.children[key(parent)].append(run)
        self.needed: dict[str, list[Item]] = defaultdict(list)
        for item in site.all_items():
            for name in item.planned:
                self.needed[name].append(item)

    def put(self, template: str, href: str, **values: Any) -> None:
        """Fill `template` into the page `href`, whose links start from its own folder."""
        path = self.root / href
        path.parent.mkdir(parents=True, exist_ok=True)
        up = "../" * href.count("/")
        text = self.env.get_template(template).render(site=self.site, root=up, here=href, notes=self.notes, **values)
        path.write_text(text)
        self.count += 1

    def overview(self) -> None:
        """The pages that list everything."""
        site = self.site
        runs = sorted(site.runs.values(), key=lambda r: list(words.STAGES).index(r.spec.stage))
        planned = {name: {k for item in items for k in item.planned} for name, items in site.items.items()}
        progress = {name: (len(keys & site.runs.keys()), len(keys)) for name, keys in planned.items()}
        seen = {field: Counter(words.plain(r.record["provenance"].get(field)) for r in runs) for field in PROVENANCE}
        self.put("index.html", "index.html", progress=progress, seen=seen, **self._first_screen())
        self.put("comparison.html", "comparison.html")
        self.put("claims.html", "claims.html")
        self.put("figures.html", "figures.html")
        self.put("runs.html", "runs.html", runs=runs)

    def _first_screen(self) -> dict[str, Any]:
        """The answer to the title question, the claims it rests on, each with its place, and their figure's link."""
        claims = self.site.claims()
        chosen = list(headline.chosen(claims).itertuples())
        drawn = any(headline.effect_of(row) != "-" for row in chosen)
        if drawn:
            path = self.root / FOREST
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(headline.figure(claims))
        told = [
            (headline.CLAIMS[row.name], f"items/{row.scale}/{row.item}.html#claim-{row.name}", row) for row in chosen
        ]
        names = {note.name for note in self.notes}
        first, *others = [sentence(line, names) for line in headline.answer(claims)]
        return {
            "question": headline.QUESTION,
            "answer": first,
            "others": others,
            "forest": FOREST if drawn else "",
            "headlines": told,
        }

    def item(self, item: Item) -> None:
        """An item's page, and its figure beside it."""
        runs = [self.site.runs[name] for name in item.planned if name in self.site.runs]
        if item.figure is not None:
            path = self.root / figure_href(item)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(item.figure)
        others = [i for i in self.site.all_items() if i.name == item.name and i is not item]
        self.put("item.html", item.href, item=item, runs=runs, others=others)

    def run(self, run: Run) -> None:
        """A run's page."""
        columns, rows = history(run.folder)
        above: list[Run | str] = []
        spec = run.spec
        while parents(spec):
            (spec,) = parents(spec)
            above.insert(0, self.site.runs.get(key(spec), key(spec)))
        self.put(
            "run.html",
            run.href,
            run=run,
            columns=columns,
            rows=rows,
            charts=charts(rows),
            bars=self._kept(run),
            above=above,
            below=self.children[run.key],
            needed=self.needed[run.key],
            cited=self.site.cited.get(run.key, []),
            spec=json.loads(canonical(run.spec))["spec"],
            record=json.dumps(run.record, indent=1, ensure_ascii=False),
        )

    def _kept(self, run: Run) -> Any:
        """Bars of a draw over channels whose search is here; None for other runs."""
        search = self.site.runs.get(key(root_of(run.spec)))
        if run.spec.stage != "draw" or search is None:
            return None
        return kept_by_layer(run.record["metrics"].get("channels"), search.record["metrics"].get("bn_widths"))


FOREST = "figures/headline.svg"
"""Effects of the first screen's claims, from the root of the site."""
PROVENANCE = ("commit", "device", "system", "python")
"""Fields of provenance that the overview counts."""


def figure_href(item: Item) -> str:
    """An item's figure, from the root of the site."""
    return f"figures/{item.scale.name}/{item.name}.svg"

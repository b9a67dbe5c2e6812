"""A small site over synthetic records, one of them written by somebody who means harm; and a reader of its pages."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from synthetic import FULL, Outcome, items_alone, write

from ebreplicate.experiments.fig1.runs import retrains
from ebreplicate.experiments.planner import requests
from ebreplicate.files import atomic_write
from ebreplicate.report import site
from ebreplicate.specs.graph import Plan
from ebreplicate.specs.spec import Ticket, key
from ebreplicate.store.store import Store

ITEMS = ("fig1_existence", "fig2_low_precision", "table1_schedules", "detector_study")
SCALE = FULL
HOSTILE = '<script>window.struck = 1</script><img src=x onerror="window.struck = 1">\'"'
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 3"><rect width="4" height="3" fill="#0072b2"/></svg>'
HISTORY = "epoch,lr,train_loss,test_loss,test_accuracy\n1,0.1,2.3,2.2,20\n2,0.1,1.5,nan,45.5\n3,0.01,1.2,1.4,44\n"


def victim():
    """The run whose record holds markup wherever a record may hold text."""
    return retrains(SCALE, "cifar10", "vgg16", 0)[0.5, "20"]


def records(root: Path) -> Path:
    """A results folder: every run of the items but those of seed 1 at one ratio, as if Snakemake had been stopped."""
    store, specs = Store(root), requests(SCALE, ITEMS)
    skipped = {key(s) for s in retrains(SCALE, "cifar100", "vgg16", 1).values() if s.ticket.ratio == 0.5}

    def outcome(spec):
        own = int(key(spec)[-6:], 16)
        return None if key(spec) in skipped else Outcome(40 + own % 997 / 50, flops=1e13 + own * 1e6)

    write(store, specs, outcome)
    for spec in Plan(specs).runs.values():
        if store.done(spec) and not isinstance(spec, Ticket):
            atomic_write(store.folder(spec) / "history.csv", HISTORY)
    path = store.record_path(victim())
    record = json.loads(path.read_text())
    record["provenance"] = {"commit": HOSTILE, "device": HOSTILE, HOSTILE: {HOSTILE: HOSTILE}}
    record["cost"][HOSTILE] = HOSTILE
    record["metrics"][HOSTILE] = [HOSTILE]
    atomic_write(path, json.dumps(record))
    atomic_write(path.with_name("history.csv"), f'epoch,test_loss,"{HOSTILE.replace(chr(34), chr(34) * 2)}"\n1,2.5,x\n')
    return root


def make(root: Path) -> Path:
    """Records and the site made of them: `root`/results and `root`/site."""
    records(root / "results")
    for item in ITEMS[:3]:  # the fourth is drawn
        atomic_write(root / "figures" / SCALE.name / f"{item}.svg", SVG)
    build(root)
    return root / "site"


def build(root: Path) -> int:
    """Write `root`/site from `root`/results, of the items alone that are counted here."""
    with pytest.MonkeyPatch.context() as patch:
        items_alone(patch, *ITEMS)
        return site.write([SCALE], root / "results", root / "site", root / "figures")


class Page(HTMLParser):
    """Elements, ids, links, table rows and text of one page."""

    def __init__(self, path: Path):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.cell: dict | None = None
        self.rows: list[list[dict]] = []
        """Per table row, its cells as {"text", "links"}."""
        self.options: dict[str, list[str]] = {}
        """Values that can be chosen, by the name of the filter."""
        self.text = ""
        self.feed(path.read_text())
        for cell in (cell for row in self.rows for cell in row):
            cell["text"] = " ".join(cell["text"].split())
        self.ids = [attributes["id"] for _, attributes in self.elements if "id" in attributes]
        self.links = [a[n] for _, a in self.elements for n in ("href", "src") if n in a]

    def handle_starttag(self, tag, attrs):
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append((tag, attributes))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.cell = {"text": "", "links": []}
            self.rows[-1].append(self.cell)
        elif tag == "select":
            self.options[attributes["name"]] = []
        elif tag == "option":
            self.options[list(self.options)[-1]].append(attributes["value"])
        elif tag == "a" and self.cell is not None:
            self.cell["links"].append(attributes["href"])

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.cell = None

    def handle_data(self, data):
        self.text += data
        if self.cell is not None:
            self.cell["text"] += data

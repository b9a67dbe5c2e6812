"""The generated site: every link leads somewhere, every number to its records, and no record's text becomes markup."""

import posixpath
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qsl, unquote

import pytest
import sites
from sites import HOSTILE, ITEMS, SCALE, Page, victim
from synthetic import items_alone

from ebreplicate.cli import main
from ebreplicate.errors import UserError
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.common.experiment import Claim
from ebreplicate.experiments.common.finding import Finding
from ebreplicate.experiments.common.stats import Interval
from ebreplicate.experiments.fig1.runs import retrains
from ebreplicate.experiments.planner import requests
from ebreplicate.report import site
from ebreplicate.report.compare import claim_row, collect
from ebreplicate.report.headline import TITLE_CLAIM
from ebreplicate.report.pipeline import fresh_table
from ebreplicate.report.site import contents, pages
from ebreplicate.report.site.folder import MANIFEST
from ebreplicate.specs.graph import Plan
from ebreplicate.specs.spec import key
from ebreplicate.store.store import Store


@pytest.fixture(scope="module")
def parsed(small_site):
    return {path.relative_to(small_site).as_posix(): Page(path) for path in small_site.rglob("*.html")}


@pytest.fixture(scope="module")
def store(small_site):
    return Store(small_site.parent / "results")


def page_of(spec):
    return f"runs/{spec.stage}/{key(spec)}.html"


def test_there_is_a_page_for_every_finished_run_and_every_item(small_site, parsed, store):
    finished = [spec for spec in Plan(requests(SCALE, ITEMS)).runs.values() if store.done(spec)]
    assert {name for name in parsed if name.startswith("runs/")} == {page_of(spec) for spec in finished}
    assert {name for name in parsed if name.startswith("items/")} == {f"items/tiny/{item}.html" for item in ITEMS}
    assert {"index.html", "comparison.html", "claims.html", "figures.html", "runs.html"} < set(parsed)
    assert {"notes/deviations.html", "notes/statistics.html", "notes/cost.html"} < set(parsed)
    assert {p.relative_to(small_site).as_posix() for p in (small_site / "figures").rglob("*.svg")} == {
        f"figures/tiny/{item}.svg" for item in ITEMS
    }


def test_every_link_leads_somewhere(small_site, parsed):
    """A view (#name=value) must name a filter and an option that its page has."""
    files = {path.relative_to(small_site).as_posix() for path in small_site.rglob("*") if path.is_file()}
    checked = 0
    for name, page in parsed.items():
        assert len(page.ids) == len(set(page.ids)), f"{name}: {Counter(page.ids).most_common(1)}"
        for link in page.links:
            if link.startswith("https://"):
                continue
            path, _, fragment = link.partition("#")
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(path))) if path else name
            assert target in files, f"{name}: {link}"
            if "=" in fragment:
                for field, value in parse_qsl(fragment, strict_parsing=True):
                    assert value in parsed[target].options[field], f"{name}: {link}"
            elif fragment:
                assert fragment in parsed[target].ids, f"{name}: {link}"
            checked += 1
    assert checked > 1000


def test_nothing_is_asked_of_any_network(small_site, parsed):
    for name, page in parsed.items():
        policies = [a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
        assert len(policies) == 1, name
        assert policies[0].startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'")
        for tag, attributes in page.elements:
            loaded = attributes.get("src", "") + (attributes.get("href", "") if tag in ("link", "use", "image") else "")
            assert "//" not in loaded, f"{name}: {loaded}"
            assert "srcset" not in attributes
            assert tag not in ("iframe", "object", "embed", "base", "video", "audio")
            if attributes.get("href", "").startswith("https://"):
                assert attributes["rel"] == "noreferrer"
    for path in (small_site / "assets").iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"//[a-z]+\.|url\(|@import|fetch\(|XMLHttpRequest|WebSocket|sendBeacon|import\(", text), (
            path
        )


def test_a_number_beside_the_papers_leads_to_the_records_it_came_from(parsed):
    rows = {row[1]["text"]: row for row in parsed["comparison.html"].rows[1:]}
    name = "VGG16 CIFAR-10: ratio 0.5, draw 20"
    both = [page_of(retrains(SCALE, "cifar10", "vgg16", seed)[0.5, "20"]) for seed in (0, 1)]
    assert rows[name][4]["links"] == both
    assert rows[name][3]["links"] == ["items/tiny/fig1_existence.html#cell-vgg16-cifar-10-ratio-0.5-draw-20"]
    single = rows["VGG16 CIFAR-100: ratio 0.5, draw 20"]  # seed 1 has not been run
    assert single[3]["links"] == single[4]["links"] == [page_of(retrains(SCALE, "cifar100", "vgg16", 0)[0.5, "20"])]
    on_item = {row[0]["text"]: row for row in parsed["items/tiny/fig1_existence.html"].rows if len(row) == 9}
    assert [link.removeprefix("../../") for link in on_item[name][3]["links"]] == both


def test_every_measured_number_and_every_evidence_is_a_link(parsed):
    measured = 0
    for row in parsed["comparison.html"].rows[1:]:
        ran = row[7]["text"] != "not run"
        assert bool(row[3]["links"]) == bool(row[4]["links"]) == ran, row
        measured += ran
    assert measured > 50
    for row in parsed["claims.html"].rows[1:]:
        assert bool(row[2]["links"]) == (row[0]["text"] != "not run")


def test_a_claim_shows_its_numbers_and_leads_to_its_runs(small_site, tmp_path):
    """Of a claim whose evidence is in its difference alone, as of one whose evidence is a sentence."""
    run = contents.Run(victim(), {"status": "ok", "metrics": {}, "cost": {}, "provenance": {}}, tmp_path)
    difference = Interval(-1.234, 0.25, 5, frozenset([run.key]))
    found = Finding("not supported", 5, difference, -1.0, p=0.0004, what="early minus late", records=difference.records)
    named = {"kind": "cost", "p_holm": 0.0125, "family": "primary", "points_to": "against", "printed": 0.31}
    claim = Claim("early", "Early is as good.", "Fig. 1", "no worse than -1 pp", found, **named)
    row = SimpleNamespace(**claim_row("fig1_existence", claim))
    assert row.records == run.key
    item = contents.Item(SCALE, EXPERIMENTS.load("fig1_existence"), [run.key])
    item.claims.append(contents.Judged(row, "claim-early", [run]))
    written = pages.Pages(contents.Site({"tiny": [item]}, {run.key: run}, {}), tmp_path)
    written.overview()
    written.item(item)
    cells = Page(tmp_path / "claims.html").rows[1]
    assert cells[2] == {"text": "\N{MINUS SIGN}1.23 ± 0.25 pp", "links": ["items/tiny/fig1_existence.html#claim-early"]}
    assert [c["text"] for c in cells[3:6]] == ["+0.31", "\N{MINUS SIGN}1", "5"]
    assert [c["text"] for c in cells[6:9]] == ["<0.001Holm 0.013", "against", "costprimary"]
    assert cells[9]["links"] == [run.href]
    shown = Page(tmp_path / item.href).text
    for number in ("\N{MINUS SIGN}1.23 ± 0.25 pp", "+0.31", "<0.001", "0.013", "p after Holm (primary)", "against"):
        assert number in shown
    front = Page(tmp_path / "index.html")
    assert "items/tiny/fig1_existence.html#claim-early" in front.links


@pytest.mark.parametrize(("scales", "hidden"), [(["quick", "smoke"], ["smoke"]), (["smoke"], [])])
def test_the_scale_whose_numbers_mean_nothing_is_hidden_beside_others(tmp_path, scales, hidden):
    experiment = EXPERIMENTS.load("early_bird")
    items = {name: [contents.Item(replace(SCALE, name=name), experiment, [])] for name in scales}
    pages.Pages(contents.Site(items, {}, {}), tmp_path).overview()
    for page in ("comparison.html", "claims.html"):
        chosen = [a for tag, a in Page(tmp_path / page).elements if tag == "select" and a["name"] == "scale"]
        assert [a["data-hides"] for a in chosen if "data-hides" in a] == hidden


def test_the_ledger_of_claims_begins_with_the_title_paper_at_every_scale(tmp_path):
    row = SimpleNamespace(**claim_row("any", Claim("c", "As good.", "title", "rule", Finding("supported", 8))))
    scales, names = ("paper", "quick"), ("early_bird", "gebt")
    items = {s: [contents.Item(replace(SCALE, name=s), EXPERIMENTS.load(n), []) for n in names] for s in scales}
    for item in [item for of_one in items.values() for item in of_one]:
        item.claims.append(contents.Judged(row, "claim-c", []))
    pages.Pages(contents.Site(items, {}, {}), tmp_path).overview()
    ledger = [a for tag, a in Page(tmp_path / "claims.html").elements if tag == "tr" and "data-item" in a]
    assert [(a["data-item"], a["data-scale"]) for a in ledger] == [(n, s) for n in names for s in scales]


def test_the_front_page_answers_the_title_question(tmp_path):
    """From the records of the site; the links of the answer lead to the site's notes."""
    claim = Claim(TITLE_CLAIM, "As good.", "title", "rule", Finding("supported", 8, Interval(0.4, 0.3, 8), -1.0))
    row = SimpleNamespace(**claim_row("early_bird", claim))
    item = contents.Item(replace(SCALE, name="quick"), EXPERIMENTS.load("early_bird"), [])
    item.claims.append(contents.Judged(row, f"claim-{TITLE_CLAIM}", []))
    written = pages.Pages(contents.Site({"quick": [item]}, {}, {}), tmp_path)
    written.overview()
    front = Page(tmp_path / "index.html")
    assert "Do early-bird tickets replicate? On VGG16" in " ".join(front.text.split())
    assert "+0.40 ± 0.30 pp (n = 8), bound -1 pp, supported" in " ".join(front.text.split())
    assert "Further claims of the analysis plan at scale quick: not run: 6 of 6." in front.text
    assert f"items/quick/early_bird.html#claim-{TITLE_CLAIM}" in front.rows[1][0]["links"]
    assert "figures/headline.svg" in front.links
    assert "supported, n = 8" in (tmp_path / "figures" / "headline.svg").read_text()
    none = pages.Pages(contents.Site({}, {}, {}), tmp_path / "none")
    none.overview()
    front = Page(tmp_path / "none" / "index.html")
    assert "not decided yet" in front.text
    assert "notes/statistics.html" in front.links
    assert "figures/headline.svg" not in front.links


def test_the_comparison_says_what_the_comparison_table_says(parsed, store):
    with pytest.MonkeyPatch.context() as patch:
        items_alone(patch, *ITEMS)
        cells, claims = collect(SCALE, {item: fresh_table(item, SCALE, store.root) for item in ITEMS})
    rows = parsed["comparison.html"].rows[1:]
    assert [(r[1]["text"], r[7]["text"]) for r in rows] == list(zip(cells.cell, cells.verdict, strict=True))
    shown = {r[1]["text"]: r[3]["text"] for r in rows}
    for row in cells[cells.n > 1].itertuples():
        mean = float(shown[row.cell].replace("\N{MINUS SIGN}", "-"))  # of two seeds: no half-width
        assert mean == pytest.approx(row.measured, abs=0.0051)
    judged = [
        (r[1]["text"].startswith(c.statement), r[0]["text"])
        for r, c in zip(parsed["claims.html"].rows[1:], claims.itertuples(), strict=True)
    ]
    assert judged == [(True, c.verdict) for c in claims.itertuples()]


def test_a_run_leads_to_what_it_came_from_what_came_of_it_and_the_numbers_it_stands_behind(parsed):
    spec = victim()
    page = parsed[page_of(spec)]
    links = [link.removeprefix("../../") for link in page.links]
    assert page_of(spec.ticket) in links
    assert page_of(spec.ticket.search) in links
    assert "items/tiny/fig1_existence.html#cell-vgg16-cifar-10-ratio-0.5-draw-20" in links
    assert not any("#claim-early-birds-exist" in link for link in links)  # a reduced scale judges it as another claim
    searched = [link.removeprefix("../../") for link in parsed[page_of(spec.ticket.search)].links]
    assert "items/tiny/detector_study.html#claim-eb-train-costs-less" in searched
    assert any(link.endswith(page_of(spec).removeprefix("runs/")) for link in parsed[page_of(spec.ticket)].links)


def test_markup_in_a_record_is_text(small_site, parsed):
    assert HOSTILE in parsed[page_of(victim())].text
    seen = 0
    for name, page in parsed.items():
        scripts = [attributes for tag, attributes in page.elements if tag == "script"]
        assert len(scripts) == 1, name
        assert scripts[0]["src"].endswith("assets/site.js")
        for tag, attributes in page.elements:
            assert not any(a.startswith("on") or a == "style" for a in attributes), f"{name}: {tag} {attributes}"
            assert attributes.get("src") != "x"
        seen += HOSTILE in page.text
    assert seen >= 2  # its own page and the overview, which counts devices


def test_even_a_status_is_escaped(tmp_path, small_site):
    """Records with an unknown status are refused when read; the templates do not rely on it."""
    run = contents.Run(victim(), {"status": HOSTILE, "metrics": {}, "cost": {}, "provenance": {}}, tmp_path)
    found = contents.Site({}, {run.key: run}, {})
    written = pages.Pages(found, tmp_path)
    written.run(run)
    written.overview()
    for path in tmp_path.rglob("*.html"):
        page = Page(path)
        assert [tag for tag, _ in page.elements].count("script") == 1
        assert HOSTILE in page.text or path.name not in (f"{run.key}.html", "runs.html")


@pytest.mark.slow
def test_writing_again_gives_the_same_bytes_and_leaves_nothing_beside(small_site, tmp_path):
    root = tmp_path / "again"
    root.mkdir()
    for part in ("results", "figures"):
        (root / part).symlink_to(small_site.parent / part)
    shutil.copytree(small_site, root / "site")
    (root / "site" / "index.html").write_text("old")
    count = sites.build(root)
    assert sorted(p.name for p in root.iterdir()) == ["figures", "results", "site"]
    first = {p.relative_to(small_site): p.read_bytes() for p in small_site.rglob("*") if p.is_file()}
    second = {p.relative_to(root / "site"): p.read_bytes() for p in (root / "site").rglob("*") if p.is_file()}
    assert first == second
    assert count == sum(path.suffix == ".html" for path in first)
    assert set((small_site / MANIFEST).read_text().split()) == {p.as_posix() for p in first} - {MANIFEST}


def test_what_the_site_did_not_write_is_never_touched(small_site, tmp_path):
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "chapter.html").write_text("mine")
    with pytest.raises(UserError, match=r"--output: '.*thesis' holds files that are not a site's; name a new or empty"):
        site.write([SCALE], tmp_path, foreign)
    assert [p.read_text() for p in foreign.iterdir()] == ["mine"]
    old = tmp_path / "old"
    shutil.copytree(small_site, old)
    (old / "notes" / "my.txt").write_text("mine")
    with pytest.raises(UserError, match=r"files that the site did not write \(notes/my\.txt\); move them away"):
        site.write([SCALE], tmp_path, old)
    assert (old / "notes" / "my.txt").read_text() == "mine"
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="is a file; name a folder"):
        site.write([SCALE], tmp_path, tmp_path / "file")


def test_a_failure_leaves_the_old_site_and_no_rest(tmp_path, monkeypatch):
    from ebreplicate.report.site import folder

    folder.replace(tmp_path / "site", lambda root: (root / "a.html").write_text("old"))

    def fails(root):
        (root / "b.html").write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        folder.replace(tmp_path / "site", fails)
    assert sorted(p.name for p in tmp_path.rglob("*")) == [MANIFEST, "a.html", "site"]


@pytest.mark.slow
def test_the_command_makes_a_site_of_the_committed_records(tmp_path, monkeypatch, capsys):
    items_alone(monkeypatch, "lottery_tickets")
    root, results, out = Path(__file__).parents[2], tmp_path / "results", tmp_path / "out"
    for folder in (root / "results" / "runs").glob("*/*"):
        if "-digits" not in folder.name:  # not what somebody's smoke scale left here
            shutil.copytree(folder, results / "runs" / folder.parent.name / folder.name)
    command = ["site", "--results", str(results), "--figures", str(tmp_path), "--output", str(out)]
    assert main(command) == 0
    runs = len(list((results / "runs").glob("*/*/record.json")))
    notes = len(list((root / "docs").glob("*.md")))
    scales = ("quick", "paper")  # those of the three that have runs: each has a page of the item
    assert capsys.readouterr().out == f"{5 + len(scales) + runs + notes} pages; open {out / 'index.html'}\n"
    assert all(f"Scale {scale}" in Page(out / "index.html").text for scale in scales)
    assert main([*command, "--scale", "smoke"]) == 2
    assert "error: --scale: no run of smoke is finished in" in capsys.readouterr().err
    assert main([*command, "--scale", "papr"]) == 2


def test_results_without_runs_and_damaged_runs_are_named(tmp_path, store):
    with pytest.raises(UserError, match=r"--results: '.*' has no finished run"):
        site.write([SCALE], tmp_path, tmp_path / "out")
    spec = victim()
    folder = tmp_path / "runs" / spec.stage / key(spec)
    shutil.copytree(store.folder(spec), folder)
    record = (folder / "record.json").read_text()
    for damaged, message in (
        (record.replace('"status": "ok"', '"status": "<script>"'), "status '<script>' is none of"),
        (re.sub(r'"cost": \{.*?\}, "prov', '"cost": [], "prov', record, flags=re.S), "cost: expected an object"),
        (record[:40], "unreadable record"),
    ):
        assert damaged != record
        (folder / "record.json").write_text(damaged)
        with pytest.raises(UserError, match=message):
            site.write([SCALE], tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()

"""The comparison page, the plan in words and the generated part of the README, against counts made by hand."""

import csv
import math
import re
from dataclasses import replace

import pandas as pd
import pytest
import torch
from synthetic import COMPARABLE, SEARCH, TINY, Outcome, empty_table, write

from ebreplicate import cost
from ebreplicate.errors import UserError
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.common.experiment import Cell, Claim
from ebreplicate.experiments.common.finding import Finding
from ebreplicate.experiments.common.stats import Interval
from ebreplicate.experiments.planner import requests
from ebreplicate.models import build
from ebreplicate.report import compare, estimate, pipeline, planning, readme
from ebreplicate.specs.graph import Plan
from ebreplicate.specs.scale import SMOKE
from ebreplicate.specs.spec import Search
from ebreplicate.store.store import Store


def rows_of(markdown):
    """Cells of a markdown table's rows; escaped bars do not part cells."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_markdown_table_keeps_bars_inside_their_cell():
    text = compare.markdown_table(["a", "b"], [["|gamma|", "1"], ["x", "2 | 3"]])
    assert rows_of(text) == [["a", "b"], ["---", "---"], [r"\|gamma\|", "1"], ["x", r"2 \| 3"]]


@pytest.mark.parametrize(
    ("value", "digits", "text"), [(math.nan, 2, "-"), (93.6149, 2, "93.61"), (0.19216, 3, "0.192")]
)
def test_a_number_nobody_has_is_a_dash(value, digits, text):
    assert compare.number(value, digits) == text
    assert [compare.digits(unit) for unit in ("", "epoch", "%")] == [3, 1, 2]


@pytest.mark.parametrize(
    ("mean", "half", "n", "text"), [(93.614, 0.278, 3, "93.61 ± 0.28"), (93.614, math.nan, 1, "93.61"), (0, 0, 0, "-")]
)
def test_measured_text_says_how_sure_it_is(mean, half, n, text):
    row = next(pd.DataFrame([{"measured": mean, "ci95_half": half, "n": n}]).itertuples())
    assert compare.measured_text(row) == text


@pytest.fixture(scope="module")
def tables():
    """Every item's table before anything has been run; arithmetic is there."""
    return {item: empty_table(item, COMPARABLE) for item in EXPERIMENTS}


@pytest.fixture(scope="module")
def collected(tables):
    """Cells and claims of these tables, by whether the scale is comparable; do not modify."""
    return {scale.comparable: compare.collect(scale, tables) for scale in (COMPARABLE, TINY)}


def test_collect_has_a_row_a_cell_and_a_row_a_claim(collected):
    cells, claims = collected[True]
    assert list(cells.columns) == compare.CELL_COLUMNS
    assert list(claims.columns) == compare.CLAIM_COLUMNS
    assert set(cells["item"]) | set(claims["item"]) == set(EXPERIMENTS)
    arithmetic = cells[cells["item"] == "structural_costs"]
    with_arithmetic = [
        "structural_costs",
        "rigl_family",
        "rigl_imagenet",
        "rigl_mnist",
        "gebt_costs",
        "learned_precision",
    ]
    trained = cells[~cells["item"].isin(with_arithmetic)]
    assert set(trained.verdict) == {"not run"}
    snip = arithmetic[arithmetic.cell == "Table 2, VGG16 CIFAR-10: SNIP, ratio 0.3"].iloc[0]
    assert (snip.published, snip.measured, snip.difference, snip.n) == (302.0, 302.4, 0.4, 1)
    assert (snip.tolerance, snip.verdict, snip.unit) == (1.0, "agrees", "0.05 PFLOP")


def test_the_page_holds_every_claim_and_item_and_says_what_a_scale_can_be_held_against(collected):
    for scale in (COMPARABLE, TINY):
        cells, claims = collected[scale.comparable]
        text = compare.page(scale, cells, claims, "what choosing adds")
        ledger = text.split("## Claims")[1].split("\n## ")[0]
        above, below = ledger.split("### Not run at this scale")
        judged = [(row[1], row[3]) for row in rows_of(above)[2:]]
        ran = claims[claims.verdict != "not run"]
        assert judged == [(c.statement, f"**{c.verdict}**") for c in ran.itertuples()]
        assert [row[1] for row in rows_of(below)[2:]] == list(claims[claims.verdict == "not run"].statement)
        folded = len(re.findall("<details>", text))  # an item of which nothing was run
        assert folded == sum(not here.n.any() for _, here in cells.groupby("item"))
        sections = re.findall("^## (.*)$", text, re.M)
        with_cells = [EXPERIMENTS.load(i).title for i in EXPERIMENTS if i in set(cells["item"])]
        assert sections == ["Claims", *with_cells, compare.SELECTION]
        assert text.endswith("what choosing adds")
        assert ("are not comparable with the paper's**" in text) == (not scale.comparable)
        assert "42 cells: 35 agrees, 7 not run." in text  # FLOPs are arithmetic: comparable at every scale
        shown = {row[0] for row in rows_of(text)}
        assert {c for c in cells.cell if c not in shown} == set()


@pytest.mark.usefixtures("counted_items")
def test_compare_writes_three_files_and_needs_every_table(tables, tmp_path):
    for item in EXPERIMENTS:
        path = pipeline.table_path(tmp_path, TINY.name, item)
        path.parent.mkdir(parents=True, exist_ok=True)
        tables[item].to_csv(path, index=False)
    pipeline.compare(TINY, tmp_path)
    folder = tmp_path / "comparison"
    assert sorted(p.name for p in folder.iterdir()) == ["tiny.csv", "tiny.md", "tiny_claims.csv"]
    cells, claims = compare.collect(TINY, {item: tables[item] for item in EXPERIMENTS})
    with (folder / "tiny.csv").open(newline="") as f:
        written = list(csv.DictReader(f))
    assert [(r["cell"], r["verdict"]) for r in written] == list(zip(cells.cell, cells.verdict, strict=True))
    assert any(r["published"] == "" for r in written)  # a blank stays blank
    with (folder / "tiny_claims.csv").open(newline="") as f:
        assert [r["name"] for r in csv.DictReader(f)] == list(claims.name)

    pipeline.table_path(tmp_path, TINY.name, "table1_schedules").unlink()
    with pytest.raises(UserError, match=r"table1_schedules\.csv: no such table; run `snakemake "):
        pipeline.compare(TINY, tmp_path)


def test_plot_refuses_a_format_it_cannot_write(tmp_path):
    with pytest.raises(UserError, match=r"--output: expected one of \.svg, \.png, \.pdf, got 'figure\.jpg'"):
        pipeline.plot("structural_costs", TINY, tmp_path, tmp_path / "figure.jpg")


# Planning. TINY has 4 panels, 2 seeds, searches of 8 epochs and retrains of 3.
#   Figure 1: 8 searches; 3 ratios x (3 draws + best) x 8 = 96 retrains
#   Figure 3: 4 of those searches
#   Table 1: 8 searches more; 2 schedules x 4 draws x 8 = 64 retrains, of which 16 (epochs 3 and 8) are Figure 1's
#   detector: 3 ratios x 8 = 24 retrains at emergence of 3 epochs, and 24 that continue (at most 8 epochs)
SEARCHES, DRAWS, RETRAINS = 16, 96 + 64 - 16 + 24, 96 + 64 - 16 + 24 + 24
SHARED = 16 * 8 + (96 + 48 + 24) * 3 + 24 * 8
ALONE = (8 * 8 + 96 * 11) + 4 * 8 + 64 * 11 + 24 * 11 + 24 * 16


@pytest.mark.usefixtures("counted_items")
def test_describe_counts_runs_and_epochs(tmp_path, monkeypatch):
    monkeypatch.setattr(estimate, "trial_speed", lambda *_: 0.0)
    text = "\n".join(planning.describe(TINY, tmp_path))
    assert text.startswith("scale tiny: A scale for tests.")
    assert re.findall(r"^(\w+) +(\d+) runs, (\d+) done$", text, re.M) == [
        ("search", str(SEARCHES), "0"),
        ("draw", str(DRAWS), "0"),
        ("retrain", str(RETRAINS), "0"),
    ]
    assert f"training epochs: {SHARED:,} with shared searches, {ALONE:,} without ({ALONE / SHARED:.1f}x)" in text
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("counted_items")
def test_describe_tells_widths_of_one_network_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(estimate, "trial_speed", lambda *_: 1.0)
    narrow = TINY.models | {"vgg16": {"name": "vgg16", "width": 0.25}, "preresnet101": {"name": "vgg16"}}
    most = re.search(r"^most of it: .*$", "\n".join(planning.describe(replace(TINY, models=narrow), tmp_path)), re.M)[0]
    found = re.findall(r"(\S+) on (\S+) \(fp32\) [\d,.]+ (?:h|min)", most)
    assert {model for model, _ in found[:2]} == {"vgg16"}  # the wider one takes longer
    assert found[2][0] == "vgg16w0.25"


def test_networks_whose_steps_are_alike_share_a_trial(monkeypatch):
    tried = []
    monkeypatch.setattr(estimate, "trial_speed", lambda name, *_: tried.append(name) or float(len(tried)))
    networks = [("vgg16", "cifar10", 1.0, 256, "fp32"), ("vgg16", "cifar100", 1.0, 256, "fp32")]
    networks += [("vgg16", "cifar10", 0.5, 256, "fp32"), ("vgg16", "cifar10", 1.0, 256, "bfp8")]
    speeds = estimate.trial_speeds(networks, gpu=False, threads=1)
    assert [speeds[name] for name in networks] == [1.0, 1.0, 2.0, 3.0]


def hand_flops():
    """Training FLOPs of TINY's searches and retrains, panel by panel; a ticket counts as (1 - ratio) of its network."""
    searches = retrains = 0.0
    for images, classes in ((60, 10), (100, 100)):
        for model, width in (("vgg16", 0.0625), ("preresnet20", 0.25)):
            epoch = 3 * images * cost.flops(build(model, classes, width), (3, 32, 32))
            ratios = (0.1, 0.3, 0.5) if (model, classes) == ("vgg16", 100) else (0.3, 0.5, 0.7)
            searches += 2 * epoch * 2 * 8  # seeds, schedules
            retrains += 2 * epoch * sum(1 - r for r in ratios) * (4 * 3 + 3 + 8)  # Figure 1, emergence, EB Train
            retrains += 2 * epoch * 0.5 * (2 + 4) * 3  # Table 1, without what it shares with Figure 1
    return searches, retrains


@pytest.mark.usefixtures("counted_items")
def test_describe_estimates_from_the_speed_of_finished_searches(tmp_path):
    # Searches that took 2 s for 1 MFLOP, so 2 us a FLOP; nothing but searches is done.
    found = [s for s in requests(TINY) if isinstance(s, Search)]
    found += [replace(s, recipe=replace(SEARCH, lr=0.01, milestones=(6,))) for s in found]
    write(Store(tmp_path), found, lambda _: Outcome(50.0, flops=1e6))
    text = "\n".join(planning.describe(TINY, tmp_path))
    assert re.findall(r"^search +16 runs, (\d+) done$", text, re.M) == ["16"]
    searches, retrains = hand_flops()
    assert f"training FLOPs:  {searches + retrains:.3g} (" in text
    starts = estimate.START_SECONDS
    left, whole = retrains * 2e-6 + starts * RETRAINS, (searches + retrains) * 2e-6 + starts * (RETRAINS + SEARCHES)
    times = f"{estimate.duration(left)} left of {estimate.duration(whole)}"
    assert f"estimated:       {times}, one run at a time (speed: finished searches)" in text
    assert len(re.findall(r"^  \w+ +\d+ trainings, ", text, re.M)) == 3  # Figure 3's searches are done


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (1, "1 min"),
        (407, "7 min"),
        (5399, "90 min"),
        (2 * 3600, "2.0 h"),
        (93_600, "26 h"),
        (3600 * 12_345, "12,000 h (1.4 years)"),
        (3600 * 165_274_415.1, "170,000,000 h (19,000 years)"),
    ],
)
def test_times_have_two_digits_and_a_unit(seconds, said):
    assert estimate.duration(seconds) == said


@pytest.mark.usefixtures("counted_items")
def test_a_gpu_that_is_not_here_is_estimated_by_its_stated_rate(tmp_path):
    text = "\n".join(planning.describe(TINY, tmp_path, ["fig1_existence"], device="h200"))
    flops = float(re.search(r"training FLOPs: +(\S+)", text)[1])
    trainings = sum(map(int, re.findall(r"^(?:search|retrain) +(\d+) runs", text, re.M)))
    expected = estimate.duration(flops / 25e12 + 5 * trainings)
    assert (
        f"{expected} left of {expected}, one run at a time (speed: the stated rate of one h200, not measured)" in text
    )


def test_imagenet_has_no_estimate_without_a_gpu_and_is_timed_in_small_batches_with_one():
    imagenet = ("resnet50", "imagenet", 1.0, 4096, "bf16")
    assert estimate.trial_speeds([imagenet], gpu=False, threads=1) == {}
    assert estimate.trial_batch(imagenet, gpu=True) == 64
    assert estimate.trial_batch(("vgg16", "cifar10", 1.0, 1024, "bf16"), gpu=True) == 256
    assert estimate.trial_batch(("vgg16", "cifar10", 0.0625, 32, "fp32"), gpu=False) == 32


def test_a_trial_runs_on_the_threads_of_a_run(monkeypatch):
    seen = []
    monkeypatch.setattr(estimate, "time_steps", lambda *_: seen.append(torch.get_num_threads()) or 1.0)
    estimate.trial_speeds([("vgg16", "cifar10", 0.0625, 32, "fp32")], gpu=False, threads=3)
    assert seen == [3]


@pytest.mark.usefixtures("counted_items")
def test_list_runs_says_what_is_done_in_a_form_that_can_be_run(tmp_path):
    from ebreplicate.specs.spec import from_json, key

    done = TINY.search("vgg16", "cifar10", 0)
    write(Store(tmp_path), [done], lambda _: 50.0)
    rows = [line.split("\t") for line in planning.list_runs(TINY, tmp_path).splitlines()]
    assert len(rows) == SEARCHES + DRAWS + RETRAINS
    assert [r[1] for r in rows if r[2] == "done"] == [key(done)]
    assert all((from_json(spec).stage, key(from_json(spec))) == (stage, name) for stage, name, _, spec in rows)


# README


def claims_file(root, scale, rows):
    """A comparison's claims as (item, name, verdict, difference and half-width)."""
    path = root / "comparison" / f"{scale}_claims.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(compare.CLAIM_COLUMNS)
        for item, name, verdict, effect in rows:
            row = dict.fromkeys(compare.CLAIM_COLUMNS, "") | {"item": item, "name": name, "verdict": verdict}
            row |= {"statement": f"It is said that |{name}|.", "kind": "accuracy"} | effect
            writer.writerow(row.values())


def test_readme_quotes_the_weightiest_scale_that_ran_each_claim(tmp_path):
    item = "fig1_existence"
    two, three = {"difference": 1, "n": 2, "bound": 0, "unit": "pp"}, {"n": 3, "p": 0.011, "p_holm": 0.02, "bound": -1}
    three |= {"printed": 0.4, "difference": 2, "ci95_half": 0.5, "unit": "pp", "points_to": "for"}
    claims_file(tmp_path, "smoke", [(item, "a", "supported", three)])
    claims_file(tmp_path, "quick", [(item, "a", "too few seeds", two), (item, "b", "supported alone", three)])
    claims_file(tmp_path, "paper", [(item, "a", "supported", three), (item, "b", "not run", {"n": 0})])
    claims_file(tmp_path, "quick_old", [(item, "z", "supported", three)])
    text = readme.results_table(tmp_path)
    numbers = ["+2.00 ± 0.50 pp", "+0.40", "-1.00", "3", "0.011", "0.020", "for"]
    assert rows_of(text)[2:4] == [["Figure 1", "paper", "1 supported"], ["Figure 1", "quick", "1 supported alone"]]
    assert rows_of(text)[6:] == [
        ["Figure 1", r"It is said that \|a\|.", "accuracy", "**supported**", *numbers, "paper"],
        ["Figure 1", r"It is said that \|b\|.", "accuracy", "**supported alone**", *numbers, "quick"],
    ]
    assert "Scale `paper`: 1 claims about accuracy are judged by an interval; 1 are decided alone, 1 after" in text
    assert "Scale `quick`: 1 claims about accuracy are judged by an interval; 1 are decided alone, 0 after" in text


def test_agreement_is_counted_item_by_item_and_told_of_whole_figures(tmp_path):
    assert "Nothing has been run at the papers' own scale" in readme.agreement_tables(tmp_path)
    blank = dict.fromkeys(compare.CELL_COLUMNS, "") | {"item": "fig1_existence", "cells": 1, "selection": "last epoch"}
    words = ["agrees", "differs", "differs", "too imprecise to say", "not run", "too few seeds", "no published value"]
    rows = [blank | {"verdict": word} for word in words] + [blank | {"verdict": "agrees", "selection": "arithmetic"}]
    numbers = {"difference": -0.36, "margin": 0.3, "unit": "%", "note": "3 of 6 cells differ"}
    rows.append(blank | numbers | {"cell": "all points", "cells": 6, "verdict": "differs"})
    (tmp_path / "comparison").mkdir()
    pd.DataFrame(rows).to_csv(tmp_path / "comparison" / "paper.csv", index=False)
    found = rows_of(readme.agreement_tables(tmp_path))
    assert found[2] == ["Figure 1", "4", "1", "2", "1"]
    assert found[5] == ["Figure 1", "all points", "-0.36", "0.3", "pp", "differs", "3 of 6 cells differ"]


def test_readme_is_changed_between_its_markers_only(tmp_path):
    claims_file(tmp_path, "quick", [("fig1_existence", "a", "not run", {"n": 0})])
    path = tmp_path / "README.md"
    path.write_text(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n")
    arguments = (path, readme.BEGIN, readme.END, readme.results_table(tmp_path))
    with pytest.raises(UserError, match=r"README\.md: the results table is stale; run"):
        readme.rewrite(*arguments, check=True)
    assert "old" in path.read_text()
    readme.rewrite(*arguments)
    text = path.read_text()
    assert text.startswith(f"before\n{readme.BEGIN}\n\n| item |")
    assert text.endswith(f"{readme.END}\nafter\n")
    assert "old" not in text
    assert "| - | **not run** | - |" in text
    readme.rewrite(*arguments, check=True)


def test_readme_without_markers_is_refused(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("no table here\n")
    with pytest.raises(UserError, match=r"the markers .* are missing"):
        readme.rewrite(path, readme.BEGIN, readme.END, "new")
    assert path.read_text() == "no table here\n"


@pytest.mark.usefixtures("counted_items")
def test_smokes_comparison_says_what_was_made_and_no_number(tables, tmp_path):
    smoke = replace(TINY, name=SMOKE)
    for item in EXPERIMENTS:
        path = pipeline.table_path(tmp_path, SMOKE, item)
        path.parent.mkdir(parents=True, exist_ok=True)
        tables[item].to_csv(path, index=False)
    path = pipeline.table_path(tmp_path, SMOKE, "fig1_existence")
    table = tables["fig1_existence"].copy()
    table.loc[[0, 1], "status"] = "ok", "diverged"
    table.to_csv(path, index=False)
    pipeline.compare(smoke, tmp_path)
    folder = tmp_path / "comparison"
    assert [len((folder / f"smoke{end}.csv").read_text().splitlines()) for end in ("", "_claims")] == [1, 1]
    text = (folder / "smoke.md").read_text()
    assert f"2 runs, {len(list(EXPERIMENTS))} tables and 2 figures were made" in text  # and that of arithmetic
    assert "No number of this scale means anything" in text
    assert "|" not in text


@pytest.mark.parametrize(
    ("more", "n", "scale", "half", "difference", "margin"),
    [
        ({}, 3, COMPARABLE, 0.4, -0.9, 1.0),
        ({}, 2, COMPARABLE, math.nan, -0.9, 1.0),  # no interval below three seeds
        ({}, 3, TINY, 0.4, math.nan, 1.0),  # and no difference from another scale's number
        ({"exact": True}, 1, TINY, 0.4, -0.9, 1.0),
        ({"everywhere": True}, 3, TINY, 0.4, -0.9, 1.0),
        ({"published": math.nan}, 3, COMPARABLE, 0.4, math.nan, math.nan),
    ],
)
def test_the_row_of_a_cell_has_ours_minus_the_printed_number(more, n, scale, half, difference, margin):
    cell = Cell("c", 93.0, Interval(92.1, 0.4, n), "%", "source", margin=1.0)
    row = compare.cell_row("item", replace(cell, **more), scale)
    assert (row["measured"], row["n"]) == (92.1, n)
    found = (row["ci95_half"], row["difference"], row["margin"])
    assert found == pytest.approx((half, difference, margin), nan_ok=True)


def test_a_whole_figure_counts_no_cells_at_a_scale_that_is_not_compared():
    cell = Cell("c", 93.0, Interval(92.1, 0.4, 3), "%", "source", margin=1.0, cells=4, note="1 of 4 cells differ")
    assert [compare.cell_row("item", cell, s)["note"] for s in (COMPARABLE, TINY)] == ["1 of 4 cells differ", ""]


@pytest.mark.parametrize(("n", "half"), [(2, math.nan), (3, 0.3)])
def test_the_row_of_a_claim_has_the_numbers_of_its_finding(n, half):
    found = Finding("supported", n, Interval(0.4, 0.3, n, values=(0.2, 0.6)), -1.0, p=0.01)
    row = compare.claim_row("item", Claim("a", "s", "s", "r", found, p_holm=0.03, printed=0.25))
    assert row["ci95_half"] == pytest.approx(half, nan_ok=True)
    numbers = [row[name] for name in ("difference", "bound", "printed", "n", "p", "p_holm", "by_seed")]
    assert numbers == [0.4, -1.0, 0.25, n, 0.01, 0.03, "0.2000 0.6000"]


def test_claims_are_counted_alone_and_after_correction():
    words = ["supported", "supported, equivalent", "not supported", "supported alone, equivalent"]
    words += ["not supported alone", "inconclusive", "exploratory"]
    rows = [("accuracy", word, 0.01) for word in words]
    rows += [("accuracy", "supported", math.nan), ("accuracy", "not run", math.nan), ("cost", "supported", 0.01)]
    said = compare.multiplicity(pd.DataFrame(rows, columns=["kind", "verdict", "p"]))
    assert said.startswith("6 claims about accuracy are judged by an interval; 5 are decided alone, 3 after Holm's")
    assert "Exploratory, not judged: 1;" in said
    none = compare.multiplicity(pd.DataFrame(rows[:1], columns=["kind", "verdict", "p"]))
    assert "Exploratory" not in none


@pytest.mark.parametrize(("p", "text"), [(math.nan, "-"), (0.0009, "<0.001"), (0.001, "0.001"), (0.0049, "0.005")])
def test_a_p_value_has_three_decimals(p, text):
    assert compare.p_text(p) == text


@pytest.mark.parametrize(("half", "text"), [(0.0194, "+0.123 ± 0.019 %"), (0.02, "+0.12 ± 0.02 %")])
def test_an_effect_has_as_many_decimals_as_its_interval_asks_for(half, text):
    row = next(pd.DataFrame([{"difference": 0.1234, "ci95_half": half, "unit": "%"}]).itertuples())
    assert compare.effect_text(row) == text


def test_a_gpus_rate_is_that_of_the_precision_and_eight_bits_are_emulated():
    networks = [("vgg16", "cifar10", 1.0, 256, p) for p in ("fp32", "bf16", "bfp8")]
    rates = [1 / seconds for seconds in estimate.rated_speeds(networks, "h200").values()]
    assert rates == pytest.approx([25e12, 130e12, 2.5e12])


def test_the_speed_of_finished_searches_is_their_median_without_those_that_diverged(tmp_path):
    searches = [TINY.search("vgg16", "cifar10", seed) for seed in range(4)]
    flops = dict(zip(searches, (2e6, 1e6, 0.5e6, 1.0), strict=True))
    write(Store(tmp_path), searches, lambda s: Outcome(50.0, "diverged" if flops[s] == 1.0 else "ok", flops[s]))
    (speed,) = estimate.finished_speeds(Store(tmp_path), Plan(searches)).values()  # 2 seconds each
    assert speed * 1e6 == pytest.approx(2.0)


def test_readme_counts_what_waits_by_item_and_tables_no_verdicts_on_costs_alone(tmp_path):
    waiting = {"n": 0}
    ran = {"n": 3, "difference": 2, "ci95_half": 0.5, "unit": "pp", "bound": 0, "kind": "cost"}
    claims_file(tmp_path, "paper", [("fig1_existence", "a", "not run", waiting), ("table2", "b", "supported", ran)])
    claims_file(tmp_path, "quick", [("fig1_existence", name, "not run", waiting) for name in "ac"])
    text = readme.results_table(tmp_path)
    assert [row[1:4] for row in rows_of(text) if "further" in row[1]] == [["2 further claims", "-", "**not run**"]]
    assert "claims about accuracy |" not in text

"""What every experiment promises: runs, a table, cells with sources and printed numbers, claims with rules."""

import csv
import math
import re
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from functools import cache
from importlib import import_module

import pytest
from commands import ROOT
from synthetic import COMPARABLE, TINY, empty_table

from ebreplicate import published
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.common.compared import Compared
from ebreplicate.experiments.common.experiment import INCONCLUSIVE, NOT_RUN, NOT_SUPPORTED, SUPPORTED
from ebreplicate.specs.graph import Plan, parents
from ebreplicate.specs.scale import SCALES, load_scale
from ebreplicate.specs.spec import Spec, canonical, from_json, key
from ebreplicate.store.store import Store

ITEMS = list(EXPERIMENTS)
read_scale = cache(load_scale)
each_item = pytest.mark.parametrize("item", ITEMS)


@cache
def printed_numbers() -> set[float]:
    """Every number in a data column of the published CSVs, those of a phrase ("3.5x at 8.8%") included."""
    numbers = set()
    for path in published.FOLDER.glob("*.csv"):
        with path.open(newline="") as f:
            for row in csv.DictReader(f):
                # RigL's Table 2 prints sizes in the name of the network and sparsity, of its results, as prune_ratio.
                numbers |= {float(n) for n in re.findall(r"\d+", row.get("model", "").partition("; final ")[2])}
                for column in (
                    "value",
                    "distance_to_epoch160",
                    "retrain_acc_%",
                    "derived_emergence_epoch",
                    *(["prune_ratio"] if "Table 2" in row.get("item", "") else []),
                ):
                    try:
                        numbers.add(float(row[column]))
                    except KeyError:
                        continue
                    except ValueError:
                        numbers |= {float(n) for n in re.findall(r"\d+(?:\.\d+)?", row[column])}
                if "Accuracy" in row.get("y_metric", ""):  # curves in fractions, shown in percent
                    numbers.add(float(Decimal(row["value"]) * 100))
    return numbers


def has(item, function):
    """Whether an item has the function: a figure that no paper printed needs no cells and no claims."""
    return EXPERIMENTS.load(item).has(function)


def test_the_papers_items_have_cells_and_claims():
    """All but a reader's own figures, which may have neither."""
    assert sum(has(item, "cells") and has(item, "claims") for item in ITEMS) >= 13


@each_item
def test_an_item_is_named_described_and_sorted(item):
    experiment = EXPERIMENTS.load(item)
    assert experiment.item == item
    assert experiment.title.strip()
    assert experiment.category.strip()
    assert len(experiment.caption) > 80
    assert experiment.caption.endswith(".")


@each_item
@pytest.mark.parametrize("scale", SCALES)
def test_runs_are_specs_that_close_over_what_they_need(item, scale):
    requested = EXPERIMENTS.load(item).runs(read_scale(scale))
    assert all(isinstance(spec, Spec) for spec in requested)
    runs = Plan(requested).runs
    assert len({canonical(spec) for spec in runs.values()}) == len(runs)  # no two runs under one name
    done = set()
    for name, spec in runs.items():
        assert re.fullmatch(r"[A-Za-z0-9.\-]+", name)  # the workflow's wildcard
        assert all(key(parent) in done for parent in parents(spec))
        done.add(name)
    inside = {key(parent) for spec in runs.values() for parent in parents(spec)}  # written and read with what holds it
    for spec in (spec for name, spec in runs.items() if name not in inside):
        assert from_json(canonical(spec)) == spec
    assert {key(spec) for spec in requested} <= done


@each_item
def test_the_same_scale_asks_for_the_same_runs(item):
    scales = read_scale("quick"), replace(read_scale("quick"))  # which remembers none of the specs made so far
    first, second = ([key(s) for s in EXPERIMENTS.load(item).runs(scale)] for scale in scales)
    assert first == second


@pytest.mark.parametrize("item", [i for i in ITEMS if EXPERIMENTS.load(i).runs(COMPARABLE)])
def test_a_table_before_anything_is_run_says_so_row_by_row(item):
    experiment = EXPERIMENTS.load(item)
    table = experiment.table(COMPARABLE, Store("/nonexistent"))
    assert set(table.status) == {NOT_RUN}
    assert set(table.key) <= set(Plan(experiment.runs(COMPARABLE)).runs)


@each_item
def test_cells_have_a_source_and_print_what_the_papers_print(item):
    cells = EXPERIMENTS.load(item).cells(COMPARABLE, empty_table(item, COMPARABLE))
    assert cells or not has(item, "cells")
    assert len({c.cell for c in cells}) == len(cells)
    for cell in cells:
        assert cell.source.strip(), cell.cell
        assert not re.search(r"<|nan|\n", f"{cell.cell} {cell.source} {cell.note}"), cell.cell  # no repr of an object
        if not math.isnan(cell.published):
            assert cell.cells > 1 or cell.published in printed_numbers(), cell.cell
            assert cell.tolerance.value > 0, cell.cell


@each_item
def test_claims_say_what_is_claimed_where_and_how_it_is_judged(item):
    claims = EXPERIMENTS.load(item).claims(COMPARABLE, empty_table(item, COMPARABLE))
    assert claims or not has(item, "claims")
    for claim in claims:
        assert re.fullmatch(r"[a-z0-9-]+", claim.name)
        assert min(len(claim.statement), len(claim.source), len(claim.rule)) > 5
        assert claim.verdict in (SUPPORTED, NOT_SUPPORTED, INCONCLUSIVE, NOT_RUN)
        assert bool(claim.evidence) == (claim.n > 0) == (claim.verdict != NOT_RUN)


def test_claim_names_are_unique():
    names = [c.name for i in ITEMS for c in EXPERIMENTS.load(i).claims(COMPARABLE, empty_table(i, COMPARABLE))]
    assert len(set(names)) == len(names)


def test_no_experiment_imports_torch_or_draws_when_it_is_only_planned():
    code = """
import sys
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.specs.scale import load_scale
from ebreplicate.experiments.planner import requests
from ebreplicate.specs.graph import Plan
Plan(spec for name in ("smoke", "quick", "paper") for spec in requests(load_scale(name)))
print([m for m in ("torch", "torchvision", "pandas", "matplotlib", "scipy") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


PROTOCOLS = {
    "early-crop": ("early_crop", "early_crop_mnist"),
    "factorised-layers": ("factorised_layers",),
    "kernel-masks": ("kernel_masks",),
    "learned-precision": ("learned_precision",),
    "supertickets": ("supertickets",),
    "wann": ("wann",),
}
"""Pages of docs/ whose tables list claims with their difference and bound, and the items that judge them."""
BOUNDS = {"0": 0.0, "-1.0": -1.0, "-1.0 point": -1.0, "-margin": -1.0, "- margin": -1.0, "-0.1": -0.1}


@pytest.mark.parametrize("page", PROTOCOLS)
def test_claims_and_bounds_are_those_of_the_protocol_and_its_difference_goes_its_way(page):
    """Every table is a family; a difference "A - B" is of the arms A and B, whose names may be cut to their ends."""
    claims = [c for item in PROTOCOLS[page] for c in EXPERIMENTS.load(item).claims(TINY, empty_table(item, TINY))]
    judged = {c.name: c for c in claims if c.family}
    terms = {}
    for item in PROTOCOLS[page]:
        code = import_module(f"ebreplicate.experiments.{item}.claims")
        compared = [c for value in vars(code).values() if isinstance(value, tuple) for c in value]
        terms |= {c.name: c.terms for c in compared if isinstance(c, Compared)}
    text, listed = (ROOT / "docs" / f"{page}.md").read_text(), []
    tables = re.findall(r"^\| claim \|[^|]*\| bound \|\n\|[-|]*\|\n((?:\|.*\n)+)", text, re.M)
    for table in tables:
        rows = re.findall(r"^\| `([\w-]+)`.* \| (.*) \| (.*) \|$", table, re.M)
        listed += [name for name, *_ in rows]
        assert len({judged[name].family for name, *_ in rows}) == 1
        for name, difference, bound in rows:
            assert judged[name].found.bound == BOUNDS[bound], name
            sides = re.fullmatch(r"([^()`%]+?) - ([^()`%]+)", difference)
            if sides and "of" not in difference.split() and terms.get(name):
                (first, more), (second, less) = terms[name]
                assert (more, less) == (1.0, -1.0), name
                assert f" {first}".endswith(f" {sides[1].replace(' with', ',')}"), name
                assert f" {second}".endswith(f" {sides[2]}"), name
    assert sorted(listed) == sorted(judged)
    assert len({c.family for c in judged.values()}) == len(tables)

"""What every experiment promises: runs, a table, cells with sources and printed numbers, claims with rules."""

import csv
import math
import re
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from functools import cache

import pytest
from synthetic import COMPARABLE, empty_table

from ebreplicate import published
from ebreplicate.experiments import EXPERIMENTS
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

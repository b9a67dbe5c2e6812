"""Which records stand behind a number: what it names is held against what taking a record away does to it."""

import math
import os
import re

import numpy as np
import pytest
from synthetic import FULL as SCALE
from synthetic import Outcome, write, write_scores

from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.common.lineage import Traced, records_of
from ebreplicate.experiments.common.stats import t_interval
from ebreplicate.specs.graph import Plan, parents
from ebreplicate.specs.spec import Search, key
from ebreplicate.store.store import Store

LOOSE = ("Improv.", "pareto-", "earliest emergence")
"""Numbers made of whole groups of runs: they name the group, though not every run of it shows in what they say."""
BLANK = str((math.nan, 0))
REMOVED = int(os.environ.get("REMOVED", "1"))
"""Records of each stage that are taken away from an item, one at a time, spread over its runs."""


def own(spec):
    """A number of the run's own, so that no two runs can stand in for each other."""
    return int(key(spec)[-6:], 16)


def outcome(spec):
    return Outcome(40 + own(spec) % 997 / 50, flops=1e9 + own(spec), early_stop=1 + own(spec) % 7)


def drifting(spec):
    """Scores of a hundred channels that settle towards an order over eight epochs, by noise of the run's own."""
    noise = np.random.default_rng(own(spec)).normal(size=(9, 100))
    return np.arange(100.0) + 40 * noise * np.linspace(1, 0, 9)[:, None]


def numbers(item, store):
    """Every measured number of the item, (what it says, its records) by name."""
    experiment = EXPERIMENTS.load(item)
    table = experiment.table(SCALE, store)
    cells = {c.cell: (str((c.measured.mean, c.measured.n)), c.measured.records) for c in experiment.cells(SCALE, table)}
    # p is told against the noise margin, which follows from the level of accuracies and names no record of its own.
    said = {c.name: (re.sub(r"; p = [^)]*", "", c.evidence), c.found.records) for c in experiment.claims(SCALE, table)}
    return cells | said


def line(name, runs):
    """The run and those it came from: its own page leads to them."""
    return {name}.union(*(line(key(parent), runs) for parent in parents(runs[name])))


def has_numbers(item):
    """Whether an item has runs, and cells or claims made of them."""
    experiment = EXPERIMENTS.load(item)
    return bool(experiment.runs(SCALE)) and (experiment.has("cells") or experiment.has("claims"))


@pytest.mark.slow
@pytest.mark.parametrize("item", [i for i in EXPERIMENTS if has_numbers(i)])
def test_a_number_names_the_records_it_changes_with_and_no_others(item, tmp_path):
    store, specs = Store(tmp_path), EXPERIMENTS.load(item).runs(SCALE)
    write(store, specs, outcome, lambda ticket: 2 + own(ticket) % 5)
    runs = Plan(specs).runs
    for spec in Plan(specs).stage(Search):
        write_scores(store, spec, drifting(spec))
    before = numbers(item, store)
    assert all(records <= set(runs) for _, records in before.values())
    named = set().union(*(records for _, records in before.values()))
    seen = 0
    for stage in sorted({spec.stage for spec in runs.values()}):
        ours = [name for name in sorted(named) if runs[name].stage == stage]
        for name in ours[:: max(1, len(ours) // REMOVED)][:REMOVED]:
            path = store.record_path(runs[name])
            aside = path.rename(path.with_suffix(".aside"))
            after = numbers(item, store)
            aside.rename(path)
            for number, (says, records) in before.items():
                if says == BLANK:
                    assert not records, number  # even if one record less gave it a value
                elif after[number][0] != says:
                    assert name in set().union(*(line(r, runs) for r in records)), (number, name)
                elif not number.startswith(LOOSE) and LOOSE[0] not in number:
                    assert name not in records, (number, name)
            seen += 1
    assert seen or not named  # an item may have no number at a scale of stand-ins


def test_arithmetic_carries_records_and_leaves_the_value_alone():
    a, b = Traced(3.0, ["x"]), Traced(4.0, ["y", "z"])
    for value, plain in ((a + b, 7), (a - b, -1), (a * b, 12), (a / b, 0.75), (b - a, 1), (b / a, 4 / 3)):
        assert (value, value.records) == (plain, {"x", "y", "z"})
    for value, plain in ((1 - a, -2), (2 * a, 6), (a + 1, 4), (6 / a, 2), (-a, -3), (abs(-a), 3), (sum([a]), 3)):
        assert (value, value.records) == (plain, {"x"})
    assert records_of(a, 1.0, None, t_interval([b])) == {"x", "y", "z"}
    assert f"{a:.1f}" == "3.0"


def test_an_interval_names_the_records_of_the_values_it_is_over():
    found = t_interval([Traced(1.0, ["a"]), Traced(3.0, ["b"]), Traced(math.nan, ["c"]), None, 2.0])
    assert (found.mean, found.n, found.records) == (2.0, 3, {"a", "b"})
    assert found == t_interval([1.0, 3.0, 2.0])  # where a number comes from does not make it another number

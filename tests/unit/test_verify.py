"""A record that was made passes; one that was improved by hand does not."""

import csv
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from helpers import CPU, NOWHERE, TINY, tiny_search

from ebreplicate import stages
from ebreplicate.plan.keep import Keep
from ebreplicate.plan.spec import Retrain, Search, Ticket, key
from ebreplicate.records import Store
from ebreplicate.report.verify import page_problems, provenance_problems, verify

SEARCH = tiny_search()
TICKET = Ticket(SEARCH, 0.5, 1)
RETRAIN = Retrain(TICKET, TINY)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("made"))
    stages.search(SEARCH, store, NOWHERE, CPU, Keep({1}))
    stages.draw(TICKET, store)
    stages.retrain(RETRAIN, store, NOWHERE, CPU)
    return store


@pytest.fixture
def store(made, tmp_path):
    shutil.copytree(made.root, tmp_path / "results")
    return Store(tmp_path / "results")


def edit(store, spec, change):
    path = store.record_path(spec)
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def problems(store):
    runs, found = verify(store.root)
    assert runs == 3
    return found


def test_what_was_made_agrees(store):
    assert problems(store) == []


def better(name, by=1.0):
    return lambda record: record["metrics"].update({name: record["metrics"][name] + by})


def cheaper(record):
    record["cost"]["training_flops"]["authors"] *= 0.9


@pytest.mark.parametrize(
    ("spec", "change", "message"),
    [
        (RETRAIN, better("last_accuracy", 5.0), "last_accuracy .* is not what history.csv has"),
        (SEARCH, better("best_accuracy", 5.0), "best_accuracy .* is not what history.csv has"),
        (RETRAIN, better("last_accuracy", 0.01), "is no count of .* test images"),
        (RETRAIN, better("epochs", 1), "epochs 4 against 3 rows"),
        (SEARCH, cheaper, "training_flops .* of its network"),
        (RETRAIN, cheaper, "training_flops .* the sum of its parts"),
        (TICKET, lambda r: r["metrics"]["emergence"].update(authors=5), "emergence under authors: 5"),
        (TICKET, lambda r: r["metrics"]["channels"].__setitem__(0, 1), "channels are not those of the mask"),
        (TICKET, lambda r: r["cost"]["forward_flops"].update(authors=1.0), "forward_flops 1 against"),
        (SEARCH, lambda r: r.pop("metrics"), "not a record"),
        (RETRAIN, lambda r: r["cost"].pop("draw_flops"), "lacks what a record of its stage has"),
    ],
)
def test_a_forged_record_is_caught(store, spec, change, message):
    edit(store, spec, change)
    (found, *_) = problems(store)
    assert found.startswith(f"{spec.stage}/")
    assert any(re.search(message, line) for line in problems(store))


def test_code_that_nobody_can_look_up_is_a_problem_except_on_stand_in_data():
    real, dirty = Search("vgg16", "cifar10"), {"provenance": {"clean": False}}
    assert list(provenance_problems(Ticket(real, 0.5, 1), dirty)) != []
    assert list(provenance_problems(real, {"provenance": {"clean": True}})) == []
    assert list(provenance_problems(SEARCH, dirty)) == []


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("ebreplicate", None),  # as the first records had it
        ("ebreplicate search", None),
        (f"ebreplicate search {key(SEARCH)} --device cuda --threads 4", None),
        (f"ebreplicate search {key(RETRAIN)} --device cpu --threads 1", "of another run"),
        ("ebreplicate retrain", "of another run"),
        ("ebreplicate search /home/somebody/spec.json", "tells a path"),
    ],
)
def test_the_command_is_the_runs_own_and_tells_no_path(told, said):
    found = " ".join(provenance_problems(SEARCH, {"provenance": {"command": told}}))
    assert said in found if said else not found


def test_a_run_that_was_trained_under_another_name_tells_that_ones_command():
    command = {"command": f"ebreplicate retrain {key(RETRAIN)} --device cpu --threads 1"}
    twin = replace(RETRAIN, ticket=replace(TICKET, at="best"))
    assert list(provenance_problems(twin, {"provenance": command, "trained_as": key(RETRAIN)})) == []
    assert list(provenance_problems(twin, {"provenance": command})) != []


def test_a_forged_history_is_caught_unless_it_is_a_whole_number_of_images(store):
    path = store.folder(RETRAIN) / "history.csv"
    with path.open(newline="") as f:
        rows = list(csv.DictReader(f))
    rows[-1]["test_accuracy"] = "97.3"
    with path.open("w", newline="") as f:
        writer = csv.DictWriter(f, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    edit(store, RETRAIN, lambda r: r["metrics"].update(last_accuracy=97.3, best_accuracy=97.3))
    assert any("97.3 is no count of" in line for line in problems(store))


def test_other_scores_or_another_mask_are_caught(store):
    mask = store.folder(TICKET) / "mask.npy"
    packed = np.load(mask)
    packed[0] ^= 0x80
    np.save(mask, packed)
    assert any("mask.npy is not the mask of the scores" in line for line in problems(store))


def test_a_missing_part_is_a_problem_not_a_crash(store):
    (store.folder(RETRAIN) / "history.csv").unlink()
    shutil.rmtree(store.folder(TICKET))
    found = verify(store.root)[1]
    assert any("history.csv: unreadable" in line for line in found)
    assert any("its draw" in line and "is not here" in line for line in found)


def test_a_comparison_that_does_not_follow_is_caught(store):
    page = store.root / "comparison" / "quick.md"
    page.parent.mkdir()
    page.write_text("everything agrees")
    (line,) = page_problems(store.root)
    assert line.endswith("does not follow from the records; run `ebreplicate redraw --scale quick`")

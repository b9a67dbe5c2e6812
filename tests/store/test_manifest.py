"""The manifest has every planned run by its key, and the command line takes keys from it."""

import json

import pytest
from helpers import NOWHERE, TINY, tiny_search

from ebreplicate.cli import main
from ebreplicate.specs.graph import Plan
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.spec import Retrain, Search, Ticket, from_json, key
from ebreplicate.store import manifest
from ebreplicate.store.store import Store

SEARCH = tiny_search()
RETRAIN = Retrain(Ticket(SEARCH, 0.5, 2), TINY)
IMAGES = Search("resnet18", "folders", width=0.125, train_size=20, test_size=20)


def test_what_was_written_is_found_by_its_key(tmp_path):
    keep = Keep({1, 3}, {0.123456789}, {"taylor:0.3"}, True)
    plan = Plan([RETRAIN, IMAGES])
    plan.keep[key(SEARCH)] = keep
    manifest.write(plan, tmp_path, 4)
    found = {name: manifest.find(name, tmp_path) for name in plan.runs}
    assert {name: from_json(planned.text) for name, planned in found.items()} == plan.runs
    assert found[key(SEARCH)].keep == keep
    assert found[key(RETRAIN)].keep == Keep()
    assert {name: planned.processes for name, planned in found.items() if planned.processes > 1} == {key(IMAGES): 4}


@pytest.mark.parametrize("name", ["vgg16-unknown-0000000000", key(SEARCH)[:-1], 'a","keep', ""])
def test_another_name_is_not_found(tmp_path, name):
    assert manifest.find(name, tmp_path) is None  # without a manifest
    manifest.write(Plan([SEARCH]), tmp_path)
    assert manifest.find(name, tmp_path) is None


@pytest.mark.parametrize(
    "line",
    ['{"key":KEY,"keep":{},', '{"key":KEY,"keep":{},"run":{}}', '{"key":KEY,"keep":[],"processes":1,"run":{}}', "\xff"],
)
def test_a_manifest_that_is_damaged_or_of_another_version_is_named(tmp_path, capsys, line):
    path = tmp_path / manifest.NAME
    path.write_bytes(line.replace("KEY", f'"{key(SEARCH)}"').encode("latin1"))
    assert main(["search", key(SEARCH), "--results", str(tmp_path), "--device", "cpu"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {path}: not as this version writes it (")
    assert said.count("\n") == 1


def test_a_search_given_by_its_key_saves_what_the_plan_needs(tmp_path, capsys):
    manifest.write(Plan([RETRAIN]), tmp_path)
    where = ["--results", str(tmp_path), "--data", str(NOWHERE), "--device", "cpu"]
    assert main(["search", key(SEARCH), *where]) == 0
    store = Store(tmp_path)
    assert (store.folder(SEARCH) / "weights" / "epoch_0002.pt").is_file()
    assert main(["retrain", key(RETRAIN), *where]) == 0
    assert json.loads(store.record_path(RETRAIN.ticket).read_text())["status"] == "ok"
    assert main(["retrain", key(SEARCH), *where]) == 2
    assert "spec.stage: 'search' is not 'retrain'" in capsys.readouterr().err
    assert main(["search", "vgg16-unknown-0000000000", *where]) == 2
    assert "nor the key of a run that was begun or planned" in capsys.readouterr().err

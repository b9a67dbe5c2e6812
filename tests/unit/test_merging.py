"""Results of two folders become one: complete runs move, conflicts are refused by name, nothing is lost."""

import json
import shutil

import numpy as np
import pytest
from synthetic import Outcome, drawn, trained

from ebreplicate.errors import UserError
from ebreplicate.merging import merge
from ebreplicate.plan.spec import Recipe, Search, Ticket, key
from ebreplicate.records import Store

FIRST, SECOND = (Search("vgg16", "digits", Recipe(epochs=2, milestones=()), seed=s) for s in (0, 1))


def left_by(store, spec, accuracy=50.0, provenance="here"):
    record = drawn(spec, 1) if isinstance(spec, Ticket) else trained(Outcome(accuracy))
    store.write(spec, {**record, "provenance": {"host": provenance}}, [{"epoch": 1}])
    np.save(store.folder(spec) / "scores.npy", np.zeros((3, 2)))


@pytest.fixture
def stores(tmp_path):
    ours, theirs = Store(tmp_path / "ours"), Store(tmp_path / "theirs")
    left_by(ours, FIRST)
    left_by(theirs, FIRST, provenance="there")
    left_by(theirs, SECOND)
    left_by(theirs, Ticket(SECOND, 0.5, 1))
    return ours, theirs


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_what_is_missing_is_taken_and_what_is_here_stays(stores):
    ours, theirs = stores
    before = files(ours.folder(FIRST))
    assert merge(theirs.root, ours.root) == "2 runs taken, 1 already here"
    assert files(ours.folder(FIRST)) == before
    assert files(ours.folder(SECOND)) == files(theirs.folder(SECOND))
    assert merge(theirs.root, ours.root) == "0 runs taken, 3 already here"


def test_another_outcome_is_refused_by_name_after_the_rest_is_taken(stores):
    ours, theirs = stores
    left_by(theirs, FIRST, accuracy=99.0)
    with pytest.raises(UserError, match=rf"2 runs taken, 0 already here, 1 refused:\n.*{key(FIRST)}: another outcome"):
        merge(theirs.root, ours.root)
    assert ours.read(FIRST)["metrics"]["last_accuracy"] == 50.0
    assert ours.done(SECOND)


def test_an_unfinished_run_gives_way_and_is_not_taken(stores):
    ours, theirs = stores
    (ours.folder(SECOND)).mkdir(parents=True)
    (ours.folder(SECOND) / "checkpoint.pt").write_bytes(b"half")
    theirs.record_path(Ticket(SECOND, 0.5, 1)).unlink()
    assert merge(theirs.root, ours.root).startswith("1 runs taken")
    assert not (ours.folder(SECOND) / "checkpoint.pt").exists()
    assert not ours.folder(Ticket(SECOND, 0.5, 1)).exists()


def damaged_record(folder):
    (folder / "record.json").write_text("{")


def foreign_record(folder):
    record = json.loads((folder / "record.json").read_text())
    (folder / "record.json").write_text(json.dumps({**record, "key": "another"}))


def edited_spec(folder):
    (folder / "spec.json").write_text((folder / "spec.json").read_text().replace('"seed":1', '"seed":2'))


def no_spec(folder):
    (folder / "spec.json").unlink()


@pytest.mark.parametrize("damage", [damaged_record, foreign_record, edited_spec, no_spec])
def test_a_damaged_run_is_refused_by_name_and_the_rest_is_taken(stores, damage):
    ours, theirs = stores
    damage(theirs.folder(SECOND))
    with pytest.raises(UserError, match=rf"1 runs taken, 1 already here, 1 refused:\n.*{key(SECOND)}"):
        merge(theirs.root, ours.root)
    assert not ours.folder(SECOND).exists()
    assert ours.done(Ticket(SECOND, 0.5, 1))


def test_a_copy_that_fails_leaves_nothing_behind(stores, monkeypatch):
    ours, theirs = stores

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space"):
        merge(theirs.root, ours.root)
    assert {p.name for p in (ours.root / "runs").glob("*/*")} == {key(FIRST)}


def test_a_folder_without_runs_is_no_results_folder(tmp_path):
    with pytest.raises(UserError, match="no runs here"):
        merge(tmp_path, tmp_path / "ours")

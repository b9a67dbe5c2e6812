"""What a run leaves is whole or absent, and a file that is not a record is refused by its path."""

import hashlib
import json
import os
import stat

import pytest
from helpers import tiny_search

from ebreplicate.errors import UserError
from ebreplicate.files import atomic_write
from ebreplicate.specs.spec import from_json, key
from ebreplicate.store.store import Store, read_record

SPEC = tiny_search()
METRICS = {"last_accuracy": 90.0, "best_accuracy": 91.0, "epochs": 2}
COST = {"training_flops": {"authors": 1e9}, "seconds": 2.0}
RECORD = {"status": "ok", "metrics": METRICS, "cost": COST, "provenance": {}}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


def test_atomic_write_makes_folders_and_a_file_others_can_read(tmp_path):
    path = tmp_path / "a" / "b" / "file.txt"
    atomic_write(path, "text\n")
    atomic_write(path, b"bytes\n")
    assert path.read_bytes() == b"bytes\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_atomic_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step):
    path = tmp_path / "file.txt"
    atomic_write(path, "old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="disk full"):
        atomic_write(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_store_reads_back_what_it_wrote(store):
    assert store.read(SPEC) is None
    assert not store.done(SPEC)
    store.write(SPEC, RECORD, [{"epoch": 1, "train_loss": 0.123456789}, {"epoch": 2, "train_loss": 1.0}])

    history = "epoch,train_loss\n1,0.123457\n2,1\n"
    files = {"history.csv": hashlib.sha256(history.encode()).hexdigest()}
    assert store.read(SPEC) == {"key": key(SPEC), "stage": "search", **RECORD, "files": files}
    assert store.done(SPEC)
    folder = store.folder(SPEC)
    assert folder == store.root / "runs" / "search" / key(SPEC)
    assert from_json((folder / "spec.json").read_text()) == SPEC
    assert (folder / "history.csv").read_text() == history


def test_record_that_json_cannot_hold_is_not_written(store):
    with pytest.raises(ValueError, match="JSON"):
        store.write(SPEC, {**RECORD, "metrics": {"last_accuracy": float("nan")}})
    assert not store.done(SPEC)


def written(store, body):
    path = store.record_path(SPEC)
    atomic_write(path, body)
    return path


def with_metrics(**changes):
    return json.dumps({"key": key(SPEC), "stage": "search", **RECORD, "metrics": {**METRICS, **changes}})


GOOD = with_metrics()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (GOOD[: len(GOOD) // 2], "unreadable record"),
        ("", "unreadable record"),
        (b"\xff\xfe\x00", "unreadable record"),
        ("[1, 2]", "not a record"),
        (json.dumps({"key": key(SPEC)}), "not a record"),
        (GOOD.replace(key(SPEC), "vgg16-another-0000000000"), "record of another run, 'vgg16-another-0000000000'"),
        (GOOD.replace('"ok"', '"fine"'), "status 'fine' is none of ok, diverged, no-ticket"),
        (GOOD.replace('"ok"', '["ok"]'), r"status \['ok'\] is none of"),
        (GOOD.replace('"search"', '"retrain"'), "record of a 'retrain'"),
        (with_metrics(last_accuracy=float("nan")), "unreadable record"),
        (GOOD.replace("90.0", "1e999"), "unreadable record"),
        ("[" * 100_000, "unreadable record .nested too deeply"),
        (GOOD.replace('"epochs": 2', '"epochs": 2, "epochs": 3'), "'epochs' stands twice"),
        (GOOD.replace('"epochs": 2', '"epochs": ' + "9" * 5000), "unreadable record"),
        (with_metrics(device="\ud800"), "unreadable record"),
        (with_metrics(last_accuracy="90"), "metrics.last_accuracy: expected a percentage, got '90'"),
        (with_metrics(last_accuracy=900.0), "metrics.last_accuracy: expected a percentage, got 900.0"),
        (with_metrics(epochs=True), "metrics.epochs: expected a count, got True"),
        (with_metrics(best_accuracy=None), "metrics.best_accuracy: missing"),
        (GOOD.replace("1000000000.0", "0"), "cost.training_flops.authors: missing, or not positive"),
        (GOOD.replace('"provenance": {}', '"provenance": []'), "provenance: expected an object"),
    ],
    ids=lambda value: None if isinstance(value, str) and len(value) < 70 else "body",
)
def test_a_file_that_is_not_this_runs_record_is_refused_by_path(store, body, said):
    path = written(store, body)
    with pytest.raises(UserError, match=said) as caught:
        store.read(SPEC)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_record_that_is_missing_is_refused_by_path(tmp_path):
    with pytest.raises(UserError, match=r"gone\.json: unreadable record"):
        read_record(tmp_path / "gone.json", "any")


def test_a_results_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for root in (tmp_path / "file", tmp_path / "file" / "results"):
        with pytest.raises(UserError, match=r"results folder '.*file.*': not writable"):
            Store(root).check_writable()


def test_a_writable_results_folder_is_made_and_left_empty(store):
    store.check_writable()
    assert list(store.root.iterdir()) == []

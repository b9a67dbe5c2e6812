"""Results of two folders become one: complete runs move, conflicts are refused by name, nothing is lost."""

import fcntl
import json
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import tiny_search
from synthetic import Outcome, drawn, trained

from ebreplicate import stages
from ebreplicate.errors import UserError
from ebreplicate.files import digest
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.spec import Recipe, Retrain, Search, Ticket, key
from ebreplicate.store import merging
from ebreplicate.store.merging import merge
from ebreplicate.store.store import Store

FIRST, SECOND = (Search("vgg16", "digits", Recipe(epochs=2, milestones=()), seed=s) for s in (0, 1))
DRAWN = Ticket(SECOND, 0.5, 1)
ROWS = [{"epoch": 1, "test_accuracy": 40.0, "train_seconds": 1.5}, {"epoch": 2, "test_accuracy": 50.0}]


def left_by(store, spec, accuracy=50.0, provenance="here", weights=()):
    """A finished search of 2 epochs and 3 channels, or a draw that keeps 2 of them."""
    drawing = isinstance(spec, Ticket)
    record = drawn(spec, 1) if drawing else trained(Outcome(accuracy))
    record["metrics"] |= {"kept": 2} if drawing else {"epochs": 2, "bn_channels": 3}
    folder = store.folder(spec)
    folder.mkdir(parents=True, exist_ok=True)
    if drawing:
        np.save(folder / "mask.npy", np.packbits([True, False, True]))
    else:
        np.save(folder / "scores.npy", np.arange(9.0).reshape(3, 3))
    for name in weights:
        (folder / "weights").mkdir(exist_ok=True)
        with zipfile.ZipFile(folder / "weights" / name, "w") as f:
            f.writestr("data", name)
    store.write(spec, {**record, "provenance": {"host": provenance}}, () if drawing else ROWS)


def vouched(folder):
    """Have the record vouch for the files as they now are."""
    names = json.loads((folder / "record.json").read_text())["files"]
    changed(folder, files={name: digest(folder / name) for name in names})


def changed(folder, **fields):
    """Change fields of a record; None removes one."""
    record = json.loads((folder / "record.json").read_text()) | fields
    (folder / "record.json").write_text(json.dumps({k: v for k, v in record.items() if v is not None}))


@pytest.fixture
def stores(tmp_path):
    ours, theirs = Store(tmp_path / "ours"), Store(tmp_path / "theirs")
    left_by(ours, FIRST)
    left_by(theirs, FIRST, provenance="there")
    left_by(theirs, SECOND, weights=["epoch_0001.pt"])
    left_by(theirs, DRAWN)
    return ours, theirs


def files(folder):
    """Contents of everything under a folder but locks."""
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


def test_what_is_missing_is_taken_and_what_is_here_stays(stores):
    ours, theirs = stores
    before = files(ours.folder(FIRST))
    assert merge(theirs.root, ours.root) == "2 runs taken, 0 completed, 1 already here"
    assert files(ours.folder(FIRST)) == before
    for spec in (SECOND, DRAWN):
        assert files(ours.folder(spec)) == files(theirs.folder(spec))
    assert merge(theirs.root, ours.root) == "0 runs taken, 0 completed, 3 already here"


def test_a_finished_run_gets_the_files_it_lacks_and_keeps_its_own(stores):
    ours, theirs = stores
    left_by(ours, SECOND, weights=["epoch_0002.pt"])
    np.save(theirs.folder(SECOND) / "taylor.npy", np.ones((3, 3)))  # which a record may get later
    record = ours.record_path(SECOND).read_bytes()
    assert merge(theirs.root, ours.root) == "1 runs taken, 1 completed, 1 already here"
    assert ours.record_path(SECOND).read_bytes() == record
    there = {str(p) for p in files(ours.folder(SECOND))}
    assert there >= {"taylor.npy", "weights/epoch_0001.pt", "weights/epoch_0002.pt"}


def other_accuracy(store):
    left_by(store, FIRST, accuracy=99.0)


def other_flops(store):
    changed(store.folder(FIRST), cost={"training_flops": {"authors": 5.0}, "seconds": 2.0})


def other_scores(store):
    np.save(store.folder(FIRST) / "scores.npy", np.ones((3, 3)))


def other_history(store):
    path = store.folder(FIRST) / "history.csv"
    path.write_text(path.read_text().replace("40", "41"))


CONFLICTS = {
    other_accuracy: "best_accuracy, early_stop_accuracy, last_accuracy",
    other_flops: "training_flops",
    other_scores: "scores.npy",
    other_history: "history.csv",
}


@pytest.mark.parametrize(("change", "name"), CONFLICTS.items())
def test_another_outcome_is_refused_by_name_after_the_rest_is_taken(stores, change, name):
    ours, theirs = stores
    before = files(ours.folder(FIRST))
    change(theirs)
    vouched(theirs.folder(FIRST))
    expected = rf"2 runs taken, 0 completed, 0 already here, 1 refused:\n.*{key(FIRST)}: another outcome .*\({name}\)$"
    with pytest.raises(UserError, match=expected):
        merge(theirs.root, ours.root)
    assert files(ours.folder(FIRST)) == before
    assert ours.done(SECOND)


def test_an_unfinished_run_gives_way_and_is_not_taken(stores):
    ours, theirs = stores
    left_by(ours, SECOND, weights=["epoch_0002.pt"])
    ours.record_path(SECOND).unlink()
    (ours.folder(SECOND) / "checkpoint.pt").write_bytes(b"half")
    theirs.record_path(DRAWN).unlink()
    assert merge(theirs.root, ours.root).startswith("1 runs taken")
    assert files(ours.folder(SECOND)) == files(theirs.folder(SECOND))
    assert not ours.folder(DRAWN).exists()


def test_a_run_in_progress_here_is_left_to_finish(stores):
    ours, theirs = stores
    ours.folder(SECOND).mkdir(parents=True)
    (ours.folder(SECOND) / "checkpoint.pt").write_bytes(b"half")
    with (ours.folder(SECOND) / ".lock").open("w") as lock:  # as its command holds it
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match=rf"1 runs taken.*1 refused:\n.*{key(SECOND)}: is being run here"):
            merge(theirs.root, ours.root)
    assert (ours.folder(SECOND) / "checkpoint.pt").read_bytes() == b"half"
    assert merge(theirs.root, ours.root).startswith("1 runs taken")


def damaged_record(folder):
    (folder / "record.json").write_text("{")


def foreign_record(folder):
    changed(folder, key="another")


def record_without_metrics(folder):
    changed(folder, metrics={})


def edited_spec(folder):
    (folder / "spec.json").write_text((folder / "spec.json").read_text().replace('"seed":1', '"seed":2'))


def no_spec(folder):
    (folder / "spec.json").unlink()


def no_scores(folder):
    (folder / "scores.npy").unlink()


def short_scores(folder):
    (folder / "scores.npy").write_bytes((folder / "scores.npy").read_bytes()[:-8])


def scores_of_fewer_epochs(folder):
    np.save(folder / "scores.npy", np.zeros((2, 3)))


def pickled_scores(folder):
    np.save(folder / "scores.npy", np.array([print], dtype=object), allow_pickle=True)


def short_history(folder):
    (folder / "history.csv").write_text("epoch\n1\n")


def nothing_vouched_for(folder):
    changed(folder, files=None)


def short_weights(folder):
    path = folder / "weights" / "epoch_0001.pt"
    path.write_bytes(path.read_bytes()[:-8])


DAMAGES = [
    damaged_record,
    foreign_record,
    record_without_metrics,
    edited_spec,
    no_spec,
    no_scores,
    short_scores,
    scores_of_fewer_epochs,
    pickled_scores,
    short_history,
    short_weights,
    nothing_vouched_for,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_or_incomplete_run_is_refused_by_name_and_the_rest_is_taken(stores, damage):
    ours, theirs = stores
    damage(theirs.folder(SECOND))
    with pytest.raises(UserError, match=rf"1 runs taken, 0 completed, 1 already here, 1 refused:\n.*{key(SECOND)}"):
        merge(theirs.root, ours.root)
    assert not ours.folder(SECOND).exists()
    assert ours.done(DRAWN)


def test_a_full_disk_is_said_leaves_nothing_half_and_is_gone_on_from(stores, monkeypatch):
    ours, theirs = stores
    left_by(ours, SECOND)
    ours.record_path(SECOND).unlink()
    before = files(ours.root)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", full)
        with pytest.raises(UserError, match=r"No space left on device; merge again to go on \(0 runs taken"):
            merge(theirs.root, ours.root)
    assert files(ours.root) == before
    assert merge(theirs.root, ours.root).startswith("2 runs taken")


def test_a_merge_killed_while_folders_change_places_loses_no_unfinished_run(stores, monkeypatch):
    ours, theirs = stores
    shutil.rmtree(theirs.folder(DRAWN))
    ours.folder(SECOND).mkdir(parents=True)
    (ours.folder(SECOND) / "checkpoint.pt").write_bytes(b"half")
    renamed, rename = [], Path.rename

    class Killed(BaseException):
        pass

    def once(self, target):
        if renamed:
            raise Killed
        renamed.append(self)
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", once)
        patch.setattr(merging, "clear_staging", lambda _: None)  # a killed process clears nothing
        with pytest.raises(Killed):
            merge(theirs.root, ours.root)
    assert renamed == [ours.folder(SECOND)]
    assert not ours.folder(SECOND).exists()
    shutil.rmtree(theirs.folder(SECOND))  # and the other folder is no longer to be had in full
    merge(theirs.root, ours.root)
    assert (ours.folder(SECOND) / "checkpoint.pt").read_bytes() == b"half"
    assert not (ours.root / "runs" / ".merge").exists()


MERGE = (
    "import sys; from pathlib import Path; from ebreplicate.store.merging import merge; print('ready', flush=True); "
)
MERGE += "print(merge(*map(Path, sys.argv[1:])))"


def merging_process(theirs, ours):
    command = [sys.executable, "-c", MERGE, str(theirs.root), str(ours.root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def many(store, seeds):
    specs = [Search("vgg16", "digits", Recipe(epochs=2, milestones=()), seed=s) for s in seeds]
    for spec in specs:
        left_by(store, spec, weights=["epoch_0001.pt", "epoch_0002.pt"])
    return specs


def test_a_merge_killed_at_any_moment_is_gone_on_with(tmp_path):
    ours, theirs = Store(tmp_path / "ours"), Store(tmp_path / "theirs")
    specs = many(theirs, range(40))
    killed = 0
    for pause in (0.0, 0.02, 0.1, 0.3):
        process = merging_process(theirs, ours)
        time.sleep(pause)
        process.kill()
        killed += process.wait() == -signal.SIGKILL
        process.stdout.close()
        for spec in specs:  # a run is here whole or not at all
            assert not ours.done(spec) or files(ours.folder(spec)) == files(theirs.folder(spec))
    assert killed
    merge(theirs.root, ours.root)
    assert files(ours.root) == files(theirs.root)


def test_two_merges_at_once_take_turns(tmp_path):
    ours, first, second = (Store(tmp_path / name) for name in ("ours", "first", "second"))
    both = {key(s) for s in many(first, range(20)) + many(second, range(10, 30))}
    processes = [merging_process(theirs, ours) for theirs in (first, second)]
    outputs = [p.communicate(timeout=100)[0] for p in processes]
    assert [p.returncode for p in processes] == [0, 0]
    taken, here = (sum(int(o.split(word)[0].split()[-1]) for o in outputs) for word in (" runs taken", " already here"))
    assert (taken, here) == (30, 10)
    assert {p.parent.name for p in ours.root.glob("runs/*/*/record.json")} == both


def test_a_search_merged_without_its_weights_serves_retrains(tmp_path):
    there, here = Store(tmp_path / "there"), Store(tmp_path / "here")
    search, cpu = tiny_search(), torch.device("cpu")
    stages.search(search, there, tmp_path, cpu, Keep({2}))
    with_weights = tmp_path / "with"
    shutil.copytree(there.root, with_weights)
    shutil.rmtree(there.folder(search) / "weights")
    ticket = Ticket(search, 0.3, 2)
    stages.draw(ticket, there)
    assert merge(there.root, here.root).startswith("2 runs taken")
    retrain = Retrain(ticket, Recipe(epochs=1, batch_size=20, milestones=(), augment="none"))
    grown = stages.retrain(retrain, here, tmp_path, cpu)  # its search is trained again
    weights = here.folder(search) / "weights" / "epoch_0002.pt"
    weights.unlink()
    assert merge(with_weights, here.root) == "0 runs taken, 1 completed, 0 already here"
    assert weights.is_file()
    shutil.rmtree(here.folder(retrain))
    assert stages.retrain(retrain, here, tmp_path, cpu)["metrics"] == grown["metrics"]


def test_a_folder_without_runs_is_no_results_folder(tmp_path):
    with pytest.raises(UserError, match="no runs here"):
        merge(tmp_path, tmp_path / "ours")

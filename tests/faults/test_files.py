"""Files that are not what they should be: cut short, flipped, edited by hand, of another run. In the default suite."""

import hashlib
import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import CPU, NOWHERE, TINY, no_time_left, tiny_search
from synthetic import Outcome, trained

from ebreplicate import cli as command_line
from ebreplicate import interrupt, stages
from ebreplicate.data import arrays
from ebreplicate.errors import UserError
from ebreplicate.files import TEMPORARY
from ebreplicate.report import pipeline
from ebreplicate.runner import inputs
from ebreplicate.runner.inputs import load_mask, load_scores
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.spec import Recipe, Retrain, Ticket, canonical, key
from ebreplicate.store import snapshots
from ebreplicate.store.merging import merge
from ebreplicate.store.store import Store
from ebreplicate.verify import verify
from faults.suite import fast_fault, same, tensors_equal

SEARCH = tiny_search(Recipe(epochs=3, batch_size=20, milestones=(2,), augment="none"))
OTHER = tiny_search(Recipe(epochs=3, batch_size=20, milestones=(2,), augment="none"), seed=1)
TICKET = Ticket(SEARCH, 0.5, 2)
RETRAIN = Retrain(TICKET, TINY)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A search, its draw and retrain that nobody disturbed, and a search stopped after each of its epochs."""
    patch = pytest.MonkeyPatch()
    patch.setenv("GIT_DIR", "/dev/null")
    store = Store(tmp_path_factory.mktemp("whole"))
    stages.search(SEARCH, store, NOWHERE, CPU, Keep({2}))
    stages.draw(TICKET, store)
    stages.retrain(RETRAIN, store, NOWHERE, CPU)
    for name, spec in (("stopped", SEARCH), ("other", OTHER)):
        with no_time_left(), pytest.raises(interrupt.Interrupted):
            stages.search(spec, Store(store.root.parent / name), NOWHERE, CPU, Keep({2}))
    patch.undo()
    return store


@pytest.fixture
def stopped(whole, tmp_path):
    """A store with the search stopped after its first epoch, and its checkpoint."""
    shutil.copytree(whole.root.parent / "stopped", tmp_path / "stopped")
    store = Store(tmp_path / "stopped")
    return store, store.folder(SEARCH) / "checkpoint.pt"


@pytest.fixture
def store(whole, tmp_path):
    shutil.copytree(whole.root, tmp_path / "results")
    return Store(tmp_path / "results")


def finished(store, whole, monkeypatch):
    monkeypatch.setenv("GIT_DIR", "/dev/null")
    stages.search(SEARCH, store, NOWHERE, CPU, Keep({2}))
    same(whole.folder(SEARCH), store.folder(SEARCH))


def cut(path, whole):
    path.write_bytes(path.read_bytes()[:-100])


def cut_to_nothing(path, whole):
    path.write_bytes(b"")


def flipped(path, whole):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1  # in a tensor: torch itself would not notice
    path.write_bytes(content)


def of_another_run(path, whole):
    shutil.copy(Store(whole.root.parent / "other").folder(OTHER) / "checkpoint.pt", path)


def of_another_version(path, whole):
    snapshots.save(path, {"key": key(SEARCH), "epoch": 1})


@fast_fault(
    "A checkpoint cut short, emptied, with one flipped bit, of another spec or of another version",
    "one line says that it is discarded and why; the run starts over, to the same result",
)
@pytest.mark.parametrize("damage", [cut, cut_to_nothing, flipped, of_another_run, of_another_version])
def test_a_damaged_checkpoint(stopped, whole, monkeypatch, capsys, damage):
    store, path = stopped
    damage(path, whole)
    finished(store, whole, monkeypatch)
    said = [line for line in capsys.readouterr().err.splitlines() if "checkpoint discarded" in line]
    assert len(said) == 1
    assert said[0].endswith("; starting over")
    assert str(path) in said[0]


@fast_fault(
    "A checkpoint that is whole and fits no network of this version", "exit 2 and one line that says what to delete"
)
def test_a_checkpoint_that_does_not_fit(stopped, monkeypatch, capsys):
    store, path = stopped
    snapshot = snapshots.load(path)
    snapshot["model"].popitem()
    snapshots.save(path, snapshot)
    argv = ["search", canonical(SEARCH), "--results", str(store.root), "--device", "cpu"]
    assert command_line.main(argv) == 2
    (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert said.startswith("error: checkpoint: does not fit this run (")
    assert said.endswith("); delete checkpoint.pt in its folder")


def test_torch_itself_takes_a_flipped_bit_for_a_weight(tmp_path):
    """Why `snapshots` keeps a digest: the day this fails, it is no longer needed."""
    value = {"weight": torch.zeros(1000)}
    torch.save(value, tmp_path / "plain.pt")
    snapshots.save(tmp_path / "ours.pt", value)
    for name in ("plain.pt", "ours.pt"):
        content = bytearray((tmp_path / name).read_bytes())
        content[len(content) // 2] ^= 0x40
        (tmp_path / name).write_bytes(content)
    assert not torch.load(tmp_path / "plain.pt", weights_only=True)["weight"].equal(value["weight"])
    with pytest.raises(snapshots.Damaged, match="SHA-256"):
        snapshots.load(tmp_path / "ours.pt")


@fast_fault(
    "A file half-written by a killed process", "it has another name, nobody reads it, and the restart removes it"
)
def test_half_written_files(stopped, whole, monkeypatch, capsys):
    store, _ = stopped
    folder = store.folder(SEARCH)
    for half in (folder / f"{TEMPORARY}record.json.x", folder / "weights" / f"{TEMPORARY}epoch_0002.pt.x"):
        half.write_text("{")
    argv = ["search", canonical(SEARCH), "--results", str(store.root), "--device", "cpu", "--keep-epochs", "2"]
    monkeypatch.setenv("GIT_DIR", "/dev/null")
    assert command_line.main(argv) == 0
    same(whole.folder(SEARCH), folder)


def truncated(path, store):
    cut(path, store)


def bit(path, store):
    flipped(path, store)


def foreign(path, store):
    torch.save({"weight": torch.zeros(3)}, path)


def of_another_epoch(path, store):
    snapshots.save(path, inputs.network(SEARCH).state_dict())


@fast_fault(
    "Weights of a finished search cut short, flipped, of another network or of another epoch",
    "one line says that they are discarded; the search is trained again up to the epoch, to the same weights",
)
@pytest.mark.parametrize("damage", [truncated, bit, foreign, of_another_epoch])
def test_damaged_weights(store, whole, capsys, damage):
    shutil.rmtree(store.folder(RETRAIN))
    path = store.folder(SEARCH) / "weights" / "epoch_0002.pt"
    damage(path, store)
    record = stages.retrain(RETRAIN, store, NOWHERE, CPU)
    assert record["metrics"] == whole.read(RETRAIN)["metrics"]
    assert capsys.readouterr().err.count("weights discarded") == 1
    assert tensors_equal(path, whole.folder(SEARCH) / "weights" / "epoch_0002.pt")


def archive():
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    return buffer.getvalue()


@fast_fault(
    "Scores of a search, or a mask, with one flipped bit, cut short, pickled or of another shape",
    "one line that names the file and what to delete, before anything is drawn or trained from it",
)
@pytest.mark.parametrize("name", ["scores.npy", "mask.npy"])
@pytest.mark.parametrize("damage", ["flip", "cut", "pickle", "shape", "archive"])
def test_damaged_arrays(store, name, damage):
    spec = SEARCH if name == "scores.npy" else TICKET
    path, record = store.folder(spec) / name, json.loads(store.record_path(spec).read_text())
    if damage != "flip":  # a record of an earlier version vouches for nothing
        record.pop("files")
        store.record_path(spec).write_text(json.dumps(record))
    {
        "flip": lambda: flipped(path, store),
        "cut": lambda: path.write_bytes(path.read_bytes()[:-1]),
        "pickle": lambda: np.save(path, np.array([print], dtype=object), allow_pickle=True),
        "shape": lambda: np.save(path, np.zeros((2, 2, 2), np.float32)),
        "archive": lambda: path.write_bytes(archive()),
    }[damage]()
    with pytest.raises(UserError, match=rf"^{name} of .*{key(spec)}: .*; delete its folder to run it again$"):
        _ = load_scores(spec, store) if spec is SEARCH else load_mask(spec, store, 264)


@fast_fault(
    "A CIFAR file with one flipped byte",
    "exit 2 and one line that says what to delete, before anything is unpickled or trained",
)
def test_a_flipped_byte_of_cifar(tmp_path, capsys, monkeypatch):
    contents = {name: name.encode() for name in arrays.FILES["cifar10"]}
    monkeypatch.setitem(arrays.FILES, "cifar10", {n: hashlib.md5(c).hexdigest() for n, c in contents.items()})
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    path = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    path.write_bytes(path.read_bytes().replace(b"h", b"i"))
    spec = replace(SEARCH, dataset="cifar10")
    argv = ["search", canonical(spec), "--results", str(tmp_path / "results"), "--data", str(tmp_path)]
    assert command_line.main([*argv, "--device", "cpu"]) == 2
    md5 = hashlib.md5(contents["cifar-10-batches-py/data_batch_3"]).hexdigest()
    said = f"error: {path}: corrupted (its MD5 differs from torchvision's list, {md5}); delete it and fetch it again\n"
    assert capsys.readouterr().err == said
    assert not Store(tmp_path / "results").done(spec)


def changed(path, **fields):
    record = json.loads(path.read_text())
    for name, value in fields.items():
        *outer, last = name.split("__")
        target = record
        for part in outer:
            target = target[part]
        target[last] = value
    path.write_text(json.dumps(record))


EDITS = [
    ({"metrics__last_accuracy": "97.3"}, "metrics.last_accuracy: expected a percentage, got '97.3'"),
    ({"metrics__last_accuracy": 197.3}, "metrics.last_accuracy: expected a percentage, got 197.3"),
    ({"metrics__epochs": 3.0}, "metrics.epochs: expected a count, got 3.0"),
    ({"metrics": []}, "metrics: expected an object"),
    ({"cost__training_flops": {}}, "cost.training_flops.authors: missing, or not positive"),
    ({"cost__training_flops__authors": float("inf")}, "unreadable record"),
    ({"status": "excellent"}, "status 'excellent' is none of ok, diverged, no-ticket"),
    ({"key": "another"}, "record of another run, 'another'"),
    ({"stage": "search"}, "record of a 'search'"),
]


@fast_fault(
    "A record edited by hand so that it is none",
    "exit 2 and one line that names file and field, from whatever reads it (here tabulate); a plausible edit is for "
    "`verify` to find (below)",
)
@pytest.mark.parametrize(("fields", "said"), EDITS, ids=[e[1][:24] for e in EDITS])
def test_a_record_edited_by_hand(tmp_path, capsys, fields, said):
    from ebreplicate.experiments import EXPERIMENTS
    from ebreplicate.specs.scale import load_scale

    spec = next(s for s in EXPERIMENTS.load("fig1_existence").runs(load_scale("smoke")) if s.stage == "retrain")
    store = Store(tmp_path)
    store.write(spec, trained(Outcome(50.0)))
    changed(store.record_path(spec), **fields)
    assert command_line.main(["tabulate", "fig1_existence", "--scale", "smoke", "--results", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {store.record_path(spec)}: {said}")
    assert err.count("\n") == 1


@fast_fault(
    "A `spec.json` that does not match its key, or is none",
    "no number comes from it: runs are found by the key of the spec in code; `verify` and `merge` name the folder",
)
@pytest.mark.parametrize("text", ["{", "[]", "\ud800", canonical(OTHER), canonical(SEARCH).replace("60", "6e9")])
def test_a_spec_that_is_not_its_keys(store, tmp_path, text):
    (store.folder(SEARCH) / "spec.json").write_bytes(text.encode(errors="surrogatepass"))
    assert store.read(SEARCH)["status"] == "ok"
    assert any(line.startswith(f"search/{key(SEARCH)}: ") for line in verify(store.root)[1])
    with pytest.raises(UserError, match=rf"2 runs taken, 0 completed, 0 already here, 1 refused:\n.*{key(SEARCH)}"):
        merge(store.root, tmp_path / "into")


@fast_fault("A table edited by hand into something else", "exit 2 and one line that says how to make it again")
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b'a,b\n1,"2\n', b"key\n1,2,3\n4\n"])
def test_a_table_that_is_none(tmp_path, capsys, content):
    path = pipeline.table_path(tmp_path, "smoke", "fig1_existence")
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    argv = ["plot", "fig1_existence", "--scale", "smoke", "--results", str(tmp_path), "--output", "out.svg"]
    assert command_line.main(argv) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {path}: ")
    assert err.count("\n") == 1

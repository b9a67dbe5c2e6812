"""Input from other people: nothing is unpickled, nothing leaves its folder, and what is not ours is refused by name."""

import ast
import hashlib
import io
import json
import os
import pickle
import re
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from synthetic import Outcome, drawn, trained

from ebreplicate import cli as command_line
from ebreplicate import stages
from ebreplicate.data import arrays
from ebreplicate.errors import UserError
from ebreplicate.runner.checkpoint import Checkpoint
from ebreplicate.runner.inputs import load_scores
from ebreplicate.specs import scale
from ebreplicate.specs.scale import load_scale, parse_overrides
from ebreplicate.specs.spec import Recipe, Search, Ticket, canonical, from_json, key
from ebreplicate.store import locks, run_files, snapshots
from ebreplicate.store.merging import merge
from ebreplicate.store.store import Store
from faults.suite import fast_fault, fault

PACKAGE = Path(stages.__file__).parents[1]
ROOT = PACKAGE.parent
SEARCH = Search("vgg16", "digits", Recipe(epochs=2, milestones=()), width=0.0625)


class Harmful:
    """What runs code where it is unpickled: it leaves a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def trap(tmp_path):
    """A folder that only unpickled code would make."""
    path = tmp_path / "executed"
    yield path
    assert not path.exists()


def calls():
    """Every call in the package and the workflow, as (place, dotted name, keyword arguments)."""
    scripts = [*PACKAGE.rglob("*.py"), *(ROOT / "workflow").rglob("*.py")]
    for path in scripts:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                named = {k.arg: ast.unparse(k.value) for k in node.keywords}
                yield f"{path.relative_to(ROOT)}:{node.lineno}", ast.unparse(node.func), named


@fast_fault(
    "Code in a file that is read",
    "nothing is unpickled: `torch.load` with weights_only, arrays without pickles, YAML through the safe loader, no "
    "eval; the pickles of CIFAR and of citation graphs are verified by hash and then read by unpicklers that know "
    "arrays only",
)
def test_no_call_unpickles_or_evaluates():
    seen = {name: [] for name in ("torch.load", "np.load", "yaml.load")}
    forbidden = r"(pickle|marshal|shelve|joblib|dill)\.loads?|pickle\.Unpickler|eval|exec"
    forbidden += r"|yaml\.(unsafe|full)_load(_all)?|pd\.read_pickle|os\.system"
    forbidden += r"|shutil\.unpack_archive|.*\.extractall|.*\.extract"
    for place, name, named in calls():
        assert not re.fullmatch(forbidden, name), place
        assert named.get("shell") != "True", place
        if name in seen:
            seen[name].append(place)
        if name == "torch.load":
            assert named["weights_only"] == "True", place
        if name == "yaml.load":
            assert issubclass(scale.GivenLoader, scale.StrictLoader), place
            assert issubclass(scale.StrictLoader, yaml.SafeLoader), place
        if name == "np.load":
            assert named["allow_pickle"] == "False", place
    assert [place.split(":")[0] for place in seen["torch.load"]] == ["ebreplicate/store/snapshots.py"]
    arrays = ["ebreplicate/files.py", "ebreplicate/graphs/data.py"]
    assert sorted(place.split(":")[0] for place in seen["np.load"]) == arrays
    assert [place.split(":")[0] for place in seen["yaml.load"]] == ["ebreplicate/specs/scale.py"]


def test_a_pickle_in_the_place_of_a_checkpoint_or_weights_is_not_run(tmp_path, trap, capsys):
    path = tmp_path / "checkpoint.pt"
    for write in (torch.save, lambda value, to: to.write_bytes(pickle.dumps(value))):
        write({"key": "k", "model": Harmful(trap)}, path)
        with pytest.raises(snapshots.Damaged):
            snapshots.load(path)
    content = snapshots.packed({"model": Harmful(trap)})  # with a digest of its own
    path.write_bytes(content)
    assert Checkpoint(tmp_path, "k").load() is None
    assert "checkpoint discarded" in capsys.readouterr().err


def test_a_pickle_in_the_place_of_an_array_is_not_run(tmp_path, trap):
    store = Store(tmp_path / "results")
    store.write(SEARCH, trained(Outcome(50.0)))
    path = store.folder(SEARCH) / "scores.npy"
    for content in (pickle.dumps(Harmful(trap)), objects(trap)):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"^scores\.npy of search"):
            load_scores(SEARCH, store)


def objects(trap):
    buffer = io.BytesIO()
    np.save(buffer, np.array([Harmful(trap)], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def test_a_pickle_in_the_place_of_a_cifar_file_is_not_read_at_all(tmp_path, trap, monkeypatch):
    for name in arrays.FILES["cifar10"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(pickle.dumps({"data": Harmful(trap)}))
    monkeypatch.setattr(arrays, "ArraysOnly", lambda *_, **__: pytest.fail("unpickled before it was verified"))
    with pytest.raises(UserError, match="corrupted"):
        arrays.load("cifar10", tmp_path)


def test_even_a_verified_file_gives_arrays_only(trap):
    with pytest.raises(pickle.UnpicklingError, match=r"unexpected posix\.mkdir"):
        arrays.read_cifar([pickle.dumps({"data": Harmful(trap)})], "labels")


def test_what_is_verified_is_what_is_used(tmp_path, monkeypatch):
    """A file that is exchanged after it was verified is not looked at again."""
    monkeypatch.setitem(arrays.FILES, "cifar10", {"one": hashlib.md5(b"good").hexdigest()})
    (tmp_path / "one").write_bytes(b"good")
    contents = arrays.verified("cifar10", tmp_path)
    (content,) = list(contents)
    (tmp_path / "one").write_bytes(b"evil")
    assert content == b"good"


def test_yaml_that_would_build_an_object_is_refused(trap):
    for text in (f"!!python/object/apply:os.mkdir ['{trap}']", "!!python/name:os.system", "!!python/module:os"):
        with pytest.raises(UserError, match="could not determine a constructor"):
            parse_overrides([f"seeds={text}"])


@fault(
    "A dataset archive that would write outside its folder",
    "verified by hash before it is opened, then extracted with tarfile's `data` filter, which refuses such a member",
)
def test_an_archive_stays_in_its_folder(tmp_path, monkeypatch):
    from torchvision import datasets

    archive = tmp_path / "evil.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        member = tarfile.TarInfo("../outside")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"evil"))
    root = tmp_path / "data"
    root.mkdir()
    for md5 in ("0" * 32, hashlib.md5(archive.read_bytes()).hexdigest()):  # not what was asked for; what was
        shutil.copy(archive, root / datasets.CIFAR10.filename)
        monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5)
        monkeypatch.setattr(datasets.CIFAR10, "url", "file:///nonexistent")
        with pytest.raises(UserError, match="could not download cifar10"):
            arrays.fetch("cifar10", root)
        assert not (tmp_path / "outside").exists()


@fast_fault("A spec from a file or the command line", "the same validation as one from code, and the same key")
def test_a_spec_from_a_file_is_validated_like_one_from_code(tmp_path, capsys):
    body = json.loads(canonical(SEARCH))
    for field, value in (("width", -1.0), ("seed", "0"), ("model", "../vgg16"), ("recipe", {"epochs": 0})):
        wrong = tmp_path / "spec.json"
        wrong.write_text(json.dumps({**body, "spec": {**body["spec"], field: value}}))
        with pytest.raises(UserError) as from_file:
            from_json(wrong.read_text())
        assert command_line.main(["search", str(wrong), "--results", str(tmp_path / "results")]) == 2
        assert capsys.readouterr().err == f"error: {from_file.value}\n"
        if field != "recipe":
            with pytest.raises(UserError) as from_code:
                Search(**_fields(field, value))
            assert str(from_code.value) == str(from_file.value)
    assert not (tmp_path / "results").exists()


def _fields(field, value):
    return {"model": "vgg16", "dataset": "digits", "recipe": SEARCH.recipe, "width": 0.0625, field: value}


@fast_fault(
    "Names that would leave `results/`: slashes, `..`, absolute paths, in a spec or asked of Snakemake",
    "a key has letters, digits, dots and dashes only and no path; Snakemake finds no rule, or no run of that name",
)
def test_no_key_is_a_path():
    smoke = load_scale("smoke")
    from ebreplicate.experiments.planner import requests
    from ebreplicate.specs.graph import Plan

    for name in [*Plan(requests(smoke)).runs, key(Ticket(SEARCH, 0.5, "eb"))]:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.\-]*-[0-9a-f]{10}", name)
        assert ".." not in name
    for field in ("model", "dataset"):
        with pytest.raises(UserError, match="unknown name"):
            Search(**_fields(field, "../../etc"))


def left(store, spec, **more):
    record = drawn(spec, 1) if isinstance(spec, Ticket) else trained(Outcome(50.0))
    store.write(spec, {**record, **more}, [{"epoch": 1}])
    return store.folder(spec)


SECRET = "a secret of whoever merges"
GOOD = Search("vgg16", "digits", Recipe(epochs=2, milestones=()), seed=9)


def link_to_a_file(folder, secret):
    (folder / "scores.npy").symlink_to(secret)


def link_to_a_folder(folder, secret):
    (folder / "weights").symlink_to(secret.parent)


def link_in_weights(folder, secret):
    (folder / "weights").mkdir()
    (folder / "weights" / "epoch_0001.pt").symlink_to(secret)


def linked_record(folder, secret):
    (folder / "record.json").rename(folder / "elsewhere")
    (folder / "record.json").symlink_to(folder / "elsewhere")


def linked_run(folder, secret):
    folder.rename(folder.parents[2] / "elsewhere")
    folder.symlink_to(folder.parents[2] / "elsewhere")


def pipe(folder, secret):
    (folder / "record.json").unlink()
    os.mkfifo(folder / "record.json")


def pipe_as_spec(folder, secret):
    (folder / "spec.json").unlink()
    os.mkfifo(folder / "spec.json")


def huge(folder, secret):
    with (folder / "record.json").open("r+b") as f:
        f.truncate(run_files.LARGEST + 1)  # without holding the disk space


def another_name(folder, secret):
    folder.rename(folder.parent / "...")


def another_stage(folder, secret):
    (folder.parents[1] / "draw").mkdir()
    folder.rename(folder.parents[1] / "draw" / folder.name)


def deep(folder, secret):
    (folder / "record.json").write_text("[" * 200_000 + "]" * 200_000)


def infinite(folder, secret):
    text = (folder / "record.json").read_text()
    (folder / "record.json").write_text(text.replace("50.0", "Infinity"))


def wrong_types(folder, secret):
    record = json.loads((folder / "record.json").read_text())
    (folder / "record.json").write_text(json.dumps({**record, "metrics": {**record["metrics"], "epochs": "8"}}))


def forged_file(folder, secret):
    (folder / "history.csv").write_text("epoch\n2\n")


def foreign_digest(folder, secret):
    record = json.loads((folder / "record.json").read_text())
    record["files"] = {"../../../../secret": "0" * 64}
    (folder / "record.json").write_text(json.dumps(record))


HOSTILE = [
    (link_to_a_file, "not a plain file"),
    (link_to_a_folder, "not a plain file"),
    (link_in_weights, "not a plain file"),
    (linked_record, "not a plain file"),
    (linked_run, "a link, not a folder"),
    (pipe, "not a plain file"),
    (pipe_as_spec, "not a plain file"),
    (huge, "more than the"),
    (another_name, "of another run"),
    (another_stage, "of another run"),
    (deep, "nested too deeply"),
    (infinite, "unreadable record"),
    (wrong_types, "metrics.epochs: expected a count"),
    (forged_file, "not what the record says"),
    (foreign_digest, "not what the record says"),
]


@fast_fault(
    "`merge` from a hostile folder: links, pipes, huge files, foreign names, NaN, deep nesting, wrong types, "
    "files that are not those the record vouches for",
    "refused by name; nothing outside the folder is read or written; the good runs beside it are taken",
)
@pytest.mark.parametrize(("harm", "said"), HOSTILE, ids=[h.__name__ for h, _ in HOSTILE])
def test_a_hostile_merge(tmp_path, harm, said):
    secret = tmp_path / "home" / "secret"
    secret.parent.mkdir()
    secret.write_text(SECRET)
    theirs, ours = Store(tmp_path / "theirs"), Store(tmp_path / "ours")
    left(theirs, GOOD)
    harm(left(theirs, SEARCH), secret)
    with pytest.raises(UserError, match=r"^1 runs taken, 0 completed, 0 already here, 1 refused:\n.*") as caught:
        merge(theirs.root, ours.root)
    assert said in str(caught.value)
    taken = [p for p in ours.root.rglob("*") if p.is_file() and p != ours.root / "runs" / locks.NAME]
    assert all(p.parent == ours.folder(GOOD) for p in taken)
    assert all(SECRET not in p.read_text() for p in taken)
    assert secret.read_text() == SECRET
    assert {p.name for p in tmp_path.iterdir()} == {"home", "theirs", "ours"}


def test_unknown_files_of_a_run_are_not_taken(tmp_path):
    theirs, ours = Store(tmp_path / "theirs"), Store(tmp_path / "ours")
    folder = left(theirs, SEARCH)
    (folder / "weights").mkdir()
    for name in ("epoch_0001.pt", "epoch_1.pt", "best.pt", "epoch_0001.pt.exe", "sitecustomize.py"):
        torch.save({}, folder / "weights" / name)
    (folder / "checkpoint.pt").write_bytes(b"")
    (folder / "run.sh").write_text("")
    assert merge(theirs.root, ours.root) == "1 runs taken, 0 completed, 0 already here"
    names = {str(p.relative_to(ours.folder(SEARCH))) for p in ours.folder(SEARCH).rglob("*") if p.is_file()}
    assert names == {"spec.json", "history.csv", "record.json", "weights/epoch_0001.pt"}


def test_a_run_that_is_at_work_here_is_not_replaced(tmp_path):
    from ebreplicate.store import locks

    theirs, ours = Store(tmp_path / "theirs"), Store(tmp_path / "ours")
    left(theirs, SEARCH)
    with (
        locks.held(ours.folder(SEARCH)),
        pytest.raises(UserError, match="is being run here; merge again when it is done"),
    ):
        merge(theirs.root, ours.root)
    assert not ours.done(SEARCH)
    assert merge(theirs.root, ours.root) == "1 runs taken, 0 completed, 0 already here"

"""One process at a time works on a run, and a machine that gives out is told apart from a bug."""

import errno
import fcntl
import os
import shutil
import signal
import threading
import time

import pytest
from helpers import CPU, NOWHERE, tiny_search
from synthetic import Outcome, trained

from ebreplicate import cli as command_line
from ebreplicate import files, interrupt, stages
from ebreplicate.errors import UserError, out_of_resources
from ebreplicate.files import TEMPORARY, atomic_write, mark, remove_abandoned
from ebreplicate.runner.checkpoint import checkpoint_seconds
from ebreplicate.specs.spec import Adapt, Retrain, Ticket, canonical, key
from ebreplicate.store import locks
from ebreplicate.store.store import Store

SPEC = tiny_search()


def test_a_lock_is_held_once_and_gone_with_its_block(tmp_path):
    with locks.held(tmp_path) as mine:
        assert mine
        assert not locks.free(tmp_path)
        with locks.held(tmp_path) as second:
            assert not second
    assert locks.free(tmp_path)
    assert locks.free(tmp_path / "not-begun")


def test_whoever_waits_gets_the_lock_of_the_folder_that_is_there(tmp_path, capsys):
    """The folder may be replaced (by `merge`) while somebody waits: a lock on the old one would be nobody's."""
    folder = tmp_path / "run"
    order = []

    def wait():
        with locks.held(folder, wait=True) as mine:
            order.append(("waited", mine, (folder / "record.json").exists(), locks.free(folder)))

    with locks.held(folder):
        waiter = threading.Thread(target=wait)
        waiter.start()
        while "another process is working on it; waiting" not in capsys.readouterr().err:
            time.sleep(0.01)
        shutil.rmtree(folder)
        folder.mkdir()
        (folder / "record.json").write_text("{}")
        order.append("replaced")
    waiter.join(30)
    assert order == ["replaced", ("waited", True, True, False)]


def test_a_file_system_without_locks_is_told_of_and_worked_on(tmp_path, monkeypatch, capsys):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with locks.held(tmp_path) as mine:
        assert mine
    assert "cannot be locked (No locks available); going on without" in capsys.readouterr().err


def command(spec, store, *options):
    return [spec.stage, canonical(spec), "--results", str(store.root), "--device", "cpu", *options]


def test_a_command_that_is_not_to_wait_leaves_with_its_own_code(tmp_path, capsys):
    store = Store(tmp_path)
    with locks.held(store.folder(SPEC)):
        assert command_line.main(command(SPEC, store, "--no-wait")) == locks.BUSY == 69
    assert capsys.readouterr().err == f"{key(SPEC)}: another process is working on it\n"
    assert not store.done(SPEC)


TICKET = Ticket(SPEC, 0.5, 3)
ADAPT = Adapt("vgg16", "digits-low", SPEC.recipe, width=SPEC.width, backbone=SPEC, method="norms")


@pytest.mark.parametrize("spec", [TICKET, Retrain(TICKET, SPEC.recipe), ADAPT], ids=lambda s: s.stage)
def test_a_run_is_not_tried_while_another_process_trains_what_it_builds_on(spec, tmp_path, capsys):
    store = Store(tmp_path)
    with locks.held(store.folder(SPEC)):
        assert command_line.main(command(spec, store, "--no-wait")) == locks.BUSY
    assert capsys.readouterr().err == f"{key(SPEC)}: another process is working on it\n"


def test_a_draw_waits_for_the_search_that_another_process_trains(tmp_path, capsys):
    store, begun = Store(tmp_path), threading.Event()

    def train():
        with store.claim(SPEC):
            begun.set()
            while "waiting" not in capsys.readouterr().err:
                time.sleep(0.01)
            stages.search(SPEC, store, NOWHERE, CPU)

    other = threading.Thread(target=train)
    other.start()
    begun.wait()
    assert command_line.main(command(TICKET, store)) == 0
    other.join(60)
    assert store.read(TICKET)["metrics"]["epoch"] == 3


@pytest.fixture
def unasked():
    """Whoever comes after has not been asked to stop."""
    yield
    interrupt.install()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.mark.usefixtures("unasked")
@pytest.mark.parametrize("spec", [SPEC, TICKET], ids=lambda s: s.stage)
def test_a_time_limit_ends_the_wait_for_another_process(spec, tmp_path, capsys):
    store = Store(tmp_path)
    with locks.held(store.folder(SPEC)):
        assert command_line.main(command(spec, store, "--time-limit", "0.2")) == interrupt.CONTINUE
    assert capsys.readouterr().err.splitlines() == [
        f"{key(SPEC)}: another process is working on it; waiting",
        "stopped while it waited for another process; run the same command again to continue",
    ]


def test_a_half_is_removed_by_the_next_writer_unless_somebody_writes_it(tmp_path):
    path = tmp_path / "table.csv"
    dead, alive, other = (tmp_path / f"{TEMPORARY}{name}" for name in ("table.csv.a", "table.csv.b", "table.csvx.c"))
    for half in (dead, other):
        half.write_text("half")
    with alive.open("wb") as file:
        assert mark(file)
        atomic_write(path, "whole")
        assert {p.name for p in tmp_path.iterdir()} == {"table.csv", alive.name, other.name}
    atomic_write(path, "whole")
    assert {p.name for p in tmp_path.iterdir()} == {"table.csv", other.name}


def test_a_half_that_was_removed_before_it_was_marked_is_begun_again(tmp_path, monkeypatch):
    real, removed = mark, []

    def late(file):
        if not removed:
            removed.append(file.name)
            for half in tmp_path.glob(f"{TEMPORARY}*"):
                remove_abandoned(half)
        return real(file)

    monkeypatch.setattr(files, "mark", late)
    atomic_write(tmp_path / "table.csv", "whole")
    assert [p.read_text() for p in tmp_path.iterdir()] == ["whole"]


def test_a_claim_removes_what_killed_predecessors_left(tmp_path):
    store = Store(tmp_path)
    folder = store.folder(SPEC)
    (folder / "weights").mkdir(parents=True)
    halves = [folder / f"{TEMPORARY}record.json.a", folder / "weights" / f"{TEMPORARY}epoch_0001.pt.b"]
    for half in halves:
        half.write_text("{")
    (folder / "checkpoint.pt").write_text("")
    with store.claim(SPEC):
        assert not any(half.exists() for half in halves)
        assert (folder / "checkpoint.pt").exists()
    store.write(SPEC, trained(Outcome(50.0)))
    store.tidy(SPEC)
    assert not (folder / "checkpoint.pt").exists()
    assert store.read(SPEC)["key"] == key(SPEC)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a/b"), "a/b: No space left on device; make room"),
        (PermissionError(errno.EACCES, "Permission denied", "a"), "a: Permission denied; get permission"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "a/b"), "a/b: Not a directory; a file is where a folder"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "a"), "a: Is a directory; a folder is where a file belongs"),
        (FileExistsError(errno.EEXIST, "File exists", "a"), "a: File exists; move it away or choose another folder"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files; raise the limit on open files"),
        (MemoryError(), "out of memory (the system refused it); free memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "out of memory ("),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "out of memory (CUDA out of memory."),
        (RuntimeError("could not create a primitive"), "out of memory (could not create a primitive); free memory"),
        (RuntimeError("DataLoader worker (pid 3) is killed by signal: Killed."), "out of memory (DataLoader worker"),
    ],
)
def test_exhausted_resources_are_one_line(error, said):
    line = out_of_resources(error)
    assert line.startswith(said)
    assert "\n" not in line


@pytest.mark.parametrize("bug", [RuntimeError("shape mismatch"), FileNotFoundError(2, "gone", "a"), KeyError("a")])
def test_a_bug_is_none_of_the_machines(bug):
    assert out_of_resources(bug) is None


@pytest.mark.parametrize("text", ["x", "-1", "inf", "nan"])
def test_a_bad_checkpoint_interval_is_refused_by_its_name(monkeypatch, text):
    monkeypatch.setenv("EBREPLICATE_CHECKPOINT_SECONDS", text)
    with pytest.raises(UserError, match=r"^EBREPLICATE_CHECKPOINT_SECONDS: expected seconds"):
        checkpoint_seconds()

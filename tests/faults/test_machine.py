"""A machine that gives out: disk, memory, permissions, clock. One clear line, and then the same command goes on."""

import contextlib
import errno
import os
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from ebreplicate.specs.spec import Search
from ebreplicate.store.store import Store
from faults.suite import EARLY, RETRAIN, SEARCH, SPARSE, fault, nothing_half, ok, one_line, same, training
from faults.test_kills import COMMANDS, SPECS, undone

ROOT = os.geteuid() == 0
NOBODY = 65534


@contextlib.contextmanager
def mounted(folder, *options):
    """Something mounted at `folder` until the block ends; the test is skipped where that is not allowed."""
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here ({done.stderr.strip()})")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@fault(
    "Disk full from some write on: checkpoint, weights, scores, history, record, mask, table, figure, comparison",
    "exit 2 and one line that names the file; what was there stays whole; with room again, the same command goes on to "
    "the same result",
)
@pytest.mark.parametrize("command", COMMANDS)
def test_disk_full_from_any_write_on(forker, calm, tmp_path, figures, command):
    calls = ok(forker.run(undone(calm, tmp_path / "counted", command), *COMMANDS[command]))["calls"]
    points = sorted({*range(1, calls - 5, max(1, calls // 6)), *range(max(1, calls - 12), calls + 1, 3)})
    failed = 0
    for point in points:
        project = undone(calm, tmp_path / f"point{point}", command)
        result = forker.run(project, *COMMANDS[command], fail=point, errno=errno.ENOSPC)
        if result["code"] == 0:  # nothing was left to be written
            continue
        failed += 1
        one_line(result, "No space left on device; make room, then run the same command again", "results")
        nothing_half(project / "results", SPECS.values())
        ok(forker.run(project, *COMMANDS[command]))
        same(calm / "results", project / "results")
        shutil.rmtree(project)
    assert failed >= 2
    figures[command] = failed


@fault(
    "A results folder on a disk that is really full (a small tmpfs)",
    "exit 2 and one line at the first checkpoint; once the disk has grown, the same command goes on to the same result",
)
@pytest.mark.skipif(not ROOT, reason="only root may mount a small disk")
def test_a_small_disk(forker, calm, tmp_path):
    project = tmp_path / "project"
    (project / "results").mkdir(parents=True)
    with mounted(project / "results", "-t", "tmpfs", "-o", "size=300k", "tmpfs"):
        one_line(forker.run(project, *training(SEARCH, "results")), "No space left on device; make room")
        nothing_half(project / "results", [SEARCH])
        subprocess.run(["mount", "-o", "remount,size=50m", str(project / "results")], check=True)
        ok(forker.run(project, *training(SEARCH, "results")))
        same_run(calm, project, SEARCH)


def same_run(calm, project, spec):
    one, other = Store(calm / "results").folder(spec), Store(project / "results").folder(spec)
    same(one, other)


@fault("A limit on the size of files (ulimit -f)", "exit 2 and one line that names the file and the limit")
def test_a_limit_on_file_sizes(forker, tmp_path):
    result = forker.run(tmp_path, *training(SEARCH, "results"), limits={"RLIMIT_FSIZE": 50_000})
    one_line(result, "File too large; raise the limit on file sizes")
    nothing_half(tmp_path / "results", [SEARCH])


@fault(
    "Results folder read-only (a read-only mount)",
    "exit 2 and one line before anything is trained; a finished run is still found to be finished",
)
@pytest.mark.skipif(not ROOT, reason="only root may mount a folder read-only")
def test_a_read_only_mount(forker, calm, tmp_path):
    project = undone(calm, tmp_path / "project", "search")
    with mounted(project / "results", "--bind", str(project / "results")):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(project / "results")], check=True)
        one_line(forker.run(project, *COMMANDS["search"]), "not writable (Read-only file system); choose another")
        assert "already done" in ok(forker.run(project, *training(RETRAIN, "results")))["said"]
        one_line(forker.run(project, *COMMANDS["tabulate"]), "Read-only file system; make it writable or")
        one_line(forker.run(project, "merge", str(calm / "results")), "not writable")
    ok(forker.run(project, *COMMANDS["search"]))
    same(calm / "results", project / "results")


@fault("Results folder, or one run's folder in it, of another user", "exit 2 and one line before anything is trained")
@pytest.mark.skipif(not ROOT, reason="only root may run a command as another user")
def test_somebody_elses_results(forker, calm):
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folder lets nobody else in
        somebody_else(forker, undone(calm, Path(folder) / "project", "draw"))


def somebody_else(forker, project):
    for folder in (project, project.parent):
        folder.chmod(0o755)
    one_line(forker.run(project, *COMMANDS["draw"], uid=NOBODY), "not writable (Permission denied); choose another")
    project.joinpath("results").chmod(0o777)
    said = one_line(forker.run(project, *COMMANDS["draw"], uid=NOBODY), "Permission denied; get permission or choose")
    assert "runs/draw" in said


@fault(
    "Out of memory in a training (a limit on its address space)",
    "exit 2 and one line; with memory again, the same command goes on to the same result",
)
@pytest.mark.parametrize("spec", [SEARCH, RETRAIN, SPARSE, EARLY], ids=lambda s: s.stage)
def test_out_of_memory(forker, calm, tmp_path, spec):
    project = undone(calm, tmp_path / "project", spec.stage)
    result = forker.run(project, *training(spec, "results"), memory=1 << 20)
    one_line(result, "out of memory (", "free memory or use a larger machine, then run the same command again")
    nothing_half(project / "results", [spec])
    ok(forker.run(project, *training(spec, "results")))
    same(calm / "results", project / "results")


STREAMED = Search("resnet18", "folders", replace(SEARCH.recipe, epochs=2), width=0.125, train_size=60, test_size=40)


@fault(
    "A process that decodes images is killed, as the kernel does when memory runs out",
    "exit 2 and one line; with memory again, the same command goes on",
)
def test_a_killed_decoding_process(forker, tmp_path):
    argv = [*training(STREAMED, "results"), "--data", "data"]
    one_line(forker.run(tmp_path, *argv, kill_child=True, env={"EBREPLICATE_WORKERS": "1"}), "DataLoader worker")
    nothing_half(tmp_path / "results", [STREAMED])
    ok(forker.run(tmp_path, *argv, env={"EBREPLICATE_WORKERS": "1"}))
    again = tmp_path / "undisturbed"
    again.mkdir()
    ok(forker.run(again, *training(STREAMED, "results"), "--data", "../data"))
    same(again / "results", tmp_path / "results")


@fault(
    "Clock set back by a day while a run is at work",
    "the same result; a record never ends before it began, and a time limit is none of the clock's",
)
def test_a_clock_set_back(forker, calm, tmp_path):
    project = undone(calm, tmp_path / "project", "search")
    ok(forker.run(project, *training(SEARCH, "results"), "--time-limit", "3600", clock=86_400))
    same(calm / "results", project / "results")
    record = Store(project / "results").read(SEARCH)
    assert record["provenance"]["started"] <= record["provenance"]["ended"]
    assert 0 <= record["cost"]["seconds"] < 3600

"""Several at once: two commands at one run, two Snakemakes in one folder, one killed."""

import os
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest
from snake import ROOT, linked, snakemake

from ebreplicate.store.locks import BUSY
from faults.suite import SEARCH, fault, ok, same, training
from faults.test_kills import undone


@fault(
    "Three commands for one run at once",
    "one trains, the others say that they wait and then that it is done; `--no-wait` leaves with exit 69 instead",
)
def test_commands_at_one_run(forker, calm, tmp_path):
    project = undone(calm, tmp_path / "project", "search")
    job = {"argv": training(SEARCH, "results"), "cwd": str(project)}
    impatient = {**job, "argv": training(SEARCH, "results", "--no-wait")}
    results = forker.together(job, job, job, impatient, impatient)
    said = [ok(r)["said"] for r in results[:3]] + [r["said"] for r in results[3:] if r["code"] == 0]
    assert sum("already done" not in s for s in said) == 1
    assert all("another process is working on it; waiting" in s for s in said[:3] if "already done" in s)
    assert {r["code"] for r in results[3:]} <= {0, BUSY}
    same(calm / "results", project / "results")


@fault("A command killed while another waits for its run", "the other takes over from its checkpoint; the same result")
def test_the_waiting_one_takes_over(forker, calm, tmp_path):
    project = undone(calm, tmp_path / "project", "search")
    usual = ok(forker.run(undone(calm, tmp_path / "timed", "search"), *training(SEARCH, "results")))["seconds"]
    job = {"argv": training(SEARCH, "results"), "cwd": str(project)}
    killed, other = forker.together({**job, "kill_after": usual / 2}, job)
    ok(other if killed["code"] else killed)
    same(calm / "results", project / "results")


@fault(
    "Targets asked of Snakemake that lead out of `results/`, or name no run",
    "no rule makes them, or there is no run of that name; nothing is made",
)
@pytest.mark.parametrize(
    "target",
    [
        "results/runs/search/../../x/record.json",
        "results/runs/search/..%2f..%2fx/record.json",
        "results/runs/retrain/-rf/record.json",
        "figures/smoke/../../x.svg",
        "../outside/results/runs/search/a/record.json",
    ],
)
def test_targets_outside(tmp_path, target):
    project = project_at(tmp_path / "project")
    done = snakemake(project, "--cores", "1", target, PYTHONPATH=str(ROOT))
    assert done.returncode != 0
    assert "No rule to produce" in done.stdout or "run is called" in done.stdout
    assert {p.name for p in tmp_path.iterdir()} == {"project"}
    assert not list(project.rglob("*record.json"))


def project_at(folder):
    folder.mkdir()
    return linked(folder)


TARGET = "results/tables/smoke/structural_costs.csv"
"""One quick job and no training."""


def begun(project):
    """A Snakemake at work on the target."""
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "1", TARGET],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@fault("Two Snakemakes in one folder", "the second says at once that the folder is locked; the first is not disturbed")
def test_two_snakemakes(calm, tmp_path):
    project = project_at(tmp_path / "project")
    first = begun(project)
    until(lambda: any((project / ".snakemake" / "locks").glob("*")))
    second = snakemake(project, "--cores", "1", TARGET, PYTHONPATH=str(ROOT))
    assert second.returncode != 0
    assert "LockException" in second.stdout
    assert "Traceback" not in second.stdout
    assert first.wait(600) == 0
    assert (project / TARGET).read_bytes() == (calm / TARGET).read_bytes()


def until(condition, seconds=300.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@fault(
    "SIGKILL of Snakemake and of its job",
    "Snakemake asks for `--unlock`, then the same command finishes the work; the same table",
)
def test_a_killed_snakemake(calm, tmp_path):
    project = project_at(tmp_path / "project")
    first = begun(project)
    until(lambda: any((project / "results" / "logs").rglob("*.log")))  # its job has begun
    for process in [*psutil.Process(first.pid).children(recursive=True), psutil.Process(first.pid)]:
        process.send_signal(signal.SIGKILL)
    first.wait(60)
    path = str(ROOT)
    again = snakemake(project, "--cores", "1", TARGET, PYTHONPATH=path)
    assert "Traceback" not in again.stdout
    if again.returncode:
        assert "--unlock" in again.stdout
        assert snakemake(project, "--unlock", PYTHONPATH=path).returncode == 0
        done = snakemake(project, "--cores", "1", "--rerun-incomplete", TARGET, PYTHONPATH=path)
        assert done.returncode == 0, done.stdout
    assert (project / TARGET).read_bytes() == (calm / TARGET).read_bytes()
    shutil.rmtree(project)

"""Work stopped by a time limit or SIGTERM, and given again until it is done; and what is done first."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import left
from smoke import SMOKE
from snake import copied, snakemake
from test_end_to_end import FIGURE, ONE_SEED, RECORD

pytestmark = pytest.mark.slow
LONG = SMOKE.replace("recipe: {epochs: 3,", "recipe: {epochs: 60,")


def runs(project):
    """What every run left, by stage and key."""
    return {str(p.parent.relative_to(project)): left(p.parent) for p in project.glob("results/runs/*/*/record.json")}


def folder(tmp_path, name, smoke):
    path = tmp_path / name
    path.mkdir()
    return copied(path, smoke)


def test_snakemake_takes_jobs_up_where_a_time_limit_stopped_them(tmp_path):
    cut, whole = (folder(tmp_path, name, SMOKE) for name in ("cut", "whole"))
    done = snakemake(whole, *ONE_SEED)
    assert done.returncode == 0, done.stdout
    stops = 0
    while True:
        done = snakemake(cut, "--keep-going", *ONE_SEED, EBREPLICATE_TIME_LIMIT="0")
        if done.returncode == 0:
            break
        assert "run the same command again to continue" in done.stdout, done.stdout
        assert not (cut / RECORD).exists()
        stops += 1
        assert stops < 5
    assert stops == 2  # searches of 3 epochs; the retrain has one
    assert (cut / FIGURE).read_bytes() == (whole / FIGURE).read_bytes()
    assert len(runs(whole)) == 4
    assert runs(cut) == runs(whole)


def within_a_budget(project):
    """Snakemake in a process group of its own, as `timeout` starts it."""
    arguments = ["--cores", "2", "--keep-going", FIGURE, "--config", "seeds=[0]"]
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(project)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def searching(project: Path) -> bool:
    """True once both searches have been taken."""
    return len(list(project.glob("results/runs/search/*/.lock"))) == 2


def test_snakemake_stopped_twice_by_sigterm_goes_on_to_the_same_bits(tmp_path):
    cut, whole = (folder(tmp_path, name, LONG) for name in ("cut", "whole"))
    with within_a_budget(whole) as process:
        process.communicate(timeout=500)
        assert process.returncode == 0
    for _ in range(2):
        for lock in cut.glob("results/runs/search/*/.lock"):  # of the call before: nobody holds them
            lock.unlink()
        with within_a_budget(cut) as process:
            deadline = time.monotonic() + 200
            while not searching(cut) and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(1.0)
            os.killpg(process.pid, signal.SIGTERM)
            told, _ = process.communicate(timeout=200)
            assert process.returncode != 0
            assert told.count("run the same command again to continue") == 2, told
        assert runs(cut) == {}
        assert not list(cut.glob(".snakemake/locks/*"))
    assert list(cut.glob("results/runs/search/*/checkpoint.pt"))
    with within_a_budget(cut) as process:
        process.communicate(timeout=500)
        assert process.returncode == 0
    assert len(runs(whole)) == 2
    assert runs(cut) == runs(whole)


def test_earlier_seeds_and_vgg16_are_trained_first(tmp_path):
    project = folder(tmp_path, "project", SMOKE)
    done = snakemake(project, "--cores", "1", FIGURE)
    assert done.returncode == 0, done.stdout
    started = re.findall(r"^    output: results/runs/search/(\w+?)w\S*-s(\d)-", done.stdout, re.M)
    assert started == [("vgg16", "0"), ("preresnet20", "0"), ("vgg16", "1"), ("preresnet20", "1")]

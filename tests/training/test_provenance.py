"""Where a record comes from: what is told of a machine with GPUs, and of one without, and nothing that is private."""

import importlib.util
import shutil
import subprocess
import sys
import types

import pytest
import torch
from helpers import CPU, TINY, tiny_search

from ebreplicate.specs.spec import Retrain, Ticket, key
from ebreplicate.store import checkout
from ebreplicate.training import provenance

SEARCH = tiny_search()
TICKET = Ticket(SEARCH, 0.5, 1)


class NVMLError(Exception):
    pass


def driver_library(monkeypatch, models=("NVIDIA H200",) * 8, error=None):
    """A stand-in for pynvml that knows these GPUs, or fails as it does without a driver."""

    def init():
        if error:
            raise error

    fake = types.SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=init,
        nvmlSystemGetDriverVersion=lambda: "580.65.06",
        nvmlDeviceGetCount=lambda: len(models),
        nvmlDeviceGetHandleByIndex=lambda i: i,
        nvmlDeviceGetName=lambda i: models[i],
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)


def test_a_machine_with_gpus(monkeypatch):
    driver_library(monkeypatch, ["NVIDIA H200"] * 3 + ["NVIDIA L4"])
    monkeypatch.setattr(provenance, "memory_gib", lambda: 128)
    assert provenance.driver() == "580.65.06"
    assert provenance.host_class().endswith(" cores, 128 GiB, 3 x NVIDIA H200 and 1 x NVIDIA L4")


def test_a_machine_without_a_driver_or_without_the_library(monkeypatch):
    driver_library(monkeypatch, error=NVMLError("no driver"))
    assert provenance.driver() is None
    assert provenance.host_class().endswith(", no GPU")
    monkeypatch.setitem(sys.modules, "pynvml", None)  # importing it fails
    assert provenance.driver() is None


@pytest.mark.parametrize(
    ("spec", "device", "threads", "processes", "said"),
    [
        (SEARCH, CPU, 2, 1, f"ebreplicate search {key(SEARCH)} --device cpu --threads 2"),
        (SEARCH, torch.device("cuda", 1), 4, 2, f"ebreplicate search {key(SEARCH)} --device cuda --threads 4"),
        (TICKET, CPU, 1, 1, f"ebreplicate draw {key(TICKET)} --threads 1"),
    ],
)
def test_the_command_names_the_run_and_what_decides_the_last_bits(spec, device, threads, processes, said):
    several = " --processes 2" if processes == 2 else ""
    assert provenance.command(spec, device, threads, processes) == said + several


def test_precision_is_that_of_the_training():
    low = Retrain(TICKET, TINY, precision="bfp8")
    assert [provenance.provenance(s, CPU, 0.0)["precision"] for s in (SEARCH, TICKET, low)] == ["fp32", "fp32", "bfp8"]


def git(folder, *arguments):
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def copied_checkout(folder):
    """The module `ebreplicate.store.checkout` of a copy of the package at `folder`."""
    folder.mkdir(parents=True)
    shutil.copy(checkout.__file__, folder / "checkout.py")
    spec = importlib.util.spec_from_file_location("copied_checkout", folder / "checkout.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_code_in_somebody_elses_repository_has_no_commit(tmp_path, monkeypatch):
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "theirs")
    copy = copied_checkout(tmp_path / "unpacked" / "ebreplicate")
    monkeypatch.setattr(provenance, "git", copy.git)
    assert git(tmp_path / "unpacked", "rev-parse", "HEAD") != ""  # git itself would answer there
    assert provenance.code() == (None, None)


def test_code_in_its_own_repository_has_the_commit_and_says_whether_it_was_changed(tmp_path, monkeypatch):
    git(tmp_path, "init", "-q")
    copy = copied_checkout(tmp_path / "ebreplicate")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "ours")
    monkeypatch.setattr(provenance, "git", copy.git)
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert provenance.code() == (commit, True)
    (tmp_path / "notes.txt").write_text("no code")
    (tmp_path / "new.py").write_text("untracked")
    assert provenance.code() == (commit, True)
    (tmp_path / "ebreplicate" / "checkout.py").write_text("changed")
    assert provenance.code() == (commit, False)

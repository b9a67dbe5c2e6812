"""What the fault tests share: the forking process, small real runs, and when two folders hold the same."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from ebreplicate.files import TEMPORARY
from ebreplicate.specs.scale import load_scale
from ebreplicate.specs.spec import Retrain, Sparse, Ticket, canonical
from ebreplicate.store import snapshots
from ebreplicate.store.store import Store

SMALLER = {
    "recipe": {"epochs": 8, "batch_size": 20, "lr": 0.1, "milestones": [3, 5], "l1": 0.0001, "augment": "none"},
    "datasets": {
        "cifar10": {"name": "digits", "train_size": 60, "test_size": 40},
        "cifar100": {"name": "digits100", "train_size": 100, "test_size": 100},
        "imagenet": {"name": "folders", "train_size": 60, "test_size": 40},
        "mnist": {"name": "digits", "train_size": 60, "test_size": 40},
    },
}
SMOKE = load_scale("smoke", SMALLER)
"""Smoke with 60 images instead of 480."""
OF_SMOKE = ["--scale", "smoke", *(part for k, v in SMALLER.items() for part in ("--config", f"{k}={json.dumps(v)}"))]
"""Its options on the command line."""
SEARCH = SMOKE.search("vgg16", "cifar10", 0)
EARLY, FINAL = Ticket(SEARCH, 0.5, "eb"), Ticket(SEARCH, 0.5, "final")
RETRAIN = Retrain(EARLY, SMOKE.recipe, schedule="continue")
SPARSE = replace(SMOKE.sparse("vgg16", "cifar10", 0), interval=5)
assert isinstance(SPARSE, Sparse)
KEEP = ["--keep-epochs", "1", "8", "--keep-ratios", "0.5"]
ITEM = "detector_study"
"""An item whose table reads these runs."""
TIMES = ("seconds", "peak_memory_mb", "energy_j", "energy_source")


def fault(what, outcome):
    """Mark a test of the fault suite: the fault, and what then happens, as docs/faults.md has them."""
    return pytest.mark.faults(what=what, outcome=outcome)


def fast_fault(what, outcome):
    """Say the same of a test that takes seconds and is part of the default suite."""
    return lambda test: test


class Forker:
    """Sends jobs to the forking process."""

    def __init__(self):
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        program = [sys.executable, str(Path(__file__).with_name("forking.py"))]
        self.process = subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def together(self, *jobs):
        """Run jobs side by side; their results."""
        self.process.stdin.write(json.dumps(jobs) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def run(self, cwd, *argv, **job):
        """Run one job; its result."""
        return self.together({"argv": list(argv), "cwd": str(cwd), **job})[0]

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


def training(spec, results, *more):
    """Command line of a run on the CPU."""
    keep = KEEP if spec == SEARCH else []
    return [spec.stage, canonical(spec), "--results", str(results), "--device", "cpu", *keep, *more]


def ok(result):
    """The result of a job that must have gone well."""
    assert result["code"] == 0, result
    return result


def one_line(result, *said):
    """The one line of a job that must have failed clearly."""
    assert result["code"] not in (0, 1, 70), result
    assert "Traceback" not in result["said"], result["said"]
    errors = [line for line in result["said"].splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, result["said"]
    for text in said:
        assert text in errors[0], errors[0]
    return errors[0]


def timeless(record):
    """A record without what two identical runs differ in: times, and what is measured of the machine."""
    cost = {k: v for k, v in record["cost"].items() if k not in TIMES}
    origin = {k: v for k, v in record["provenance"].items() if k not in ("started", "ended")}
    files = {k: v for k, v in record.get("files", {}).items() if k != "history.csv"}  # it has seconds
    return {**record, "cost": cost, "provenance": origin, "files": files}


def content(path):
    """What a file of a run folder says, times left out."""
    if path.name == "record.json":
        return timeless(json.loads(path.read_text()))
    if path.name == "history.csv":
        table = pd.read_csv(path)
        return table.drop(columns=["train_seconds", "test_seconds"]).to_csv()
    return path.read_bytes()


def tree(root):
    """Every file under a results root, logs and locks apart, with its content."""
    files = (p for p in sorted(root.rglob("*")) if p.is_file() and p.name != ".lock" and "logs" not in p.parts)
    return {str(p.relative_to(root)): content(p) for p in files}


def same(one, other):
    """Assert that two results roots hold the same files with the same content."""
    a, b = tree(one), tree(other)
    assert sorted(a) == sorted(b), sorted({*a} ^ {*b})
    different = [name for name in a if a[name] != b[name]]
    assert not different, [(name, str(a[name])[:2000], str(b[name])[:2000]) for name in different]


def nothing_half(root, specs=()):
    """Assert that everything which has its final name is whole: records, checkpoints, weights, tables."""
    for spec in specs:
        Store(root).read(spec)  # None or a record, never an error
    for path in root.rglob("*"):
        if not path.is_file() or path.name.startswith((TEMPORARY, ".lock", ".regrow")):
            continue
        if path.suffix == ".pt":
            assert isinstance(snapshots.load(path), dict)
        elif path.suffix == ".csv":
            assert len(pd.read_csv(path))
        elif path.suffix == ".svg":
            assert path.read_text().rstrip().endswith("</svg>")


def tensors_equal(one, other):
    """Whether two files of `snapshots` hold the same tensors."""
    a, b = snapshots.load(one), snapshots.load(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)

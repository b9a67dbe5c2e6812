"""Two processes on one global batch are one process: gradients, losses, and who writes."""

import json
import multiprocessing
import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import CPU, NOWHERE, TINY, tiny_search
from torch import nn

from ebreplicate import interrupt
from ebreplicate.cli import main
from ebreplicate.data import arrays, shares
from ebreplicate.errors import UserError
from ebreplicate.specs.spec import Recipe, Search, Sparse, canonical
from ebreplicate.store.store import Store
from ebreplicate.training import distributed
from ebreplicate.training.loop import fit

RECIPE = Recipe(epochs=3, batch_size=26, lr=0.05, milestones=(2,), l1=0.01, augment="crop-flip")
# 60 images in batches of 26, 26 and 8; two processes share a batch of 25, the third of 59 images, as 5 and 4.


def in_two_processes(work):
    """Fork two processes that each run `work(rank)` as torch.distributed.run would start them; their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {"TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}

    def child(rank):
        os.environ.update({**common, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        work(rank)

    fork = multiprocessing.get_context("fork")  # a fresh interpreter would import torch for seconds
    children = [fork.Process(target=child, args=(rank,)) for rank in (0, 1)]
    for process in children:
        process.start()
    for process in children:
        process.join(120)
    return [process.exitcode for process in children]


class WithoutStatistics(nn.Module):
    """A small network whose batch norms normalise by their running statistics, which do not move."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.bn, self.fc = nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.Linear(8, 10)

    def train(self, mode=True):
        super().train(mode)
        self.bn.eval()
        return self

    def forward(self, x):
        return self.fc(self.bn(self.conv(x)).relu().mean((2, 3)))


def curve():
    """Losses, accuracies and weights of a training, in memory and from files."""
    out = []
    for name, augment, root in (("digits", "crop-flip", NOWHERE), ("folders", "imagenet", Path(os.environ["IMAGES"]))):
        images = arrays.load(name, root, 59, 41)
        model = WithoutStatistics()
        state = fit(model, images, replace(RECIPE, augment=augment), seed=1)
        rows = [[row[n] for n in ("train_loss", "test_loss", "test_accuracy", "test_top5")] for row in state.history]
        out.append([*rows, [p.double().sum().item() for p in model.parameters()]])
    return out


def test_two_processes_have_the_loss_curve_of_one(tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGES", str(tmp_path / "data"))
    alone = curve()  # and makes the images

    def work(rank):
        with distributed.group(CPU):
            (tmp_path / f"{rank}.json").write_text(json.dumps(curve()))

    assert in_two_processes(work) == [0, 0]
    together = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert together[0] == together[1]  # both processes know the same
    for ours, theirs in zip(together[0], alone, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert a == pytest.approx(b, rel=1e-5, abs=1e-5)


@pytest.fixture
def three(monkeypatch):
    """Be the second of three processes."""
    monkeypatch.setattr(distributed, "world", lambda: 3)
    monkeypatch.setattr(distributed, "rank", lambda: 1)


def test_shares_are_disjoint_and_cover_the_batch(monkeypatch):
    order = list(range(100, 150))
    taken = []
    for rank in range(3):
        monkeypatch.setattr(shares, "world", lambda: 3)
        monkeypatch.setattr(shares, "rank", lambda rank=rank: rank)
        taken.append(order[shares.share(10, 21)])
    assert sorted(i for part in taken for i in part) == list(range(110, 121))
    assert [len(s) for s in taken] == [4, 4, 3]


@pytest.mark.usefixtures("three")
def test_weights_turn_the_mean_of_means_into_the_mean():
    losses = [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [9.0, 10.0, 11.0]]
    means = [sum(part) / len(part) * distributed.weight(len(part), 11) for part in losses]
    assert sum(means) / 3 == pytest.approx(sum(sum(part) for part in losses) / 11)


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(("images", "batch", "fits"), [(62, 20, False), (63, 20, True), (60, 20, True), (2, 20, False)])
def test_batches_that_cannot_be_shared_are_refused(images, batch, fits):
    if fits:
        distributed.check_batches(images, batch)
        return
    with pytest.raises(UserError, match=r"^--processes: the last batch of an epoch has 2 of \d+ images"):
        distributed.check_batches(images, batch)


def test_the_command_line_trains_in_two_processes_and_leaves_one_record(tmp_path):
    """With softly pruned filters, L1 and batch statistics; the second process writes nothing."""
    spec = replace(tiny_search(replace(TINY, epochs=2)), soft_ratio=0.3)
    arguments = ["search", canonical(spec), "--keep-epochs", "1", "--device", "cpu", "--processes", "2"]

    def work(rank):
        os.chdir(tmp_path)
        raise SystemExit(main([*arguments, "--results", "results" if rank == 0 else "other"]))

    assert in_two_processes(work) == [0, 0]
    assert [p for p in (tmp_path / "other").rglob("*") if p.is_file()] == []
    store = Store(tmp_path / "results")
    record, folder = store.read(spec), store.folder(spec)
    assert record["status"] == "ok"
    assert record["provenance"]["processes"] == 2
    assert len((folder / "history.csv").read_text().splitlines()) == 3
    weights = {f"epoch_{e:04d}.pt" for e in {1, record["metrics"]["best_epoch"]}}
    names = {p.name for p in folder.rglob("*") if p.is_file()}
    assert names == {"spec.json", "record.json", "history.csv", "scores.npy"} | weights


def resumed(snapshot):
    """Losses and weights of a training that goes on from a snapshot after its first epoch."""
    images, model = arrays.load("folders", Path(os.environ["IMAGES"]), 59, 41), WithoutStatistics()
    recipe = replace(RECIPE, augment="imagenet")
    state = fit(model, images, recipe, seed=1, resume=torch.load(snapshot, weights_only=True))
    return [[row["train_loss"], row["test_loss"]] for row in state.history], [p.detach() for p in model.parameters()]


@pytest.mark.slow
@pytest.mark.parametrize("first", [1, 2])
def test_a_training_resumes_with_another_number_of_processes(first, tmp_path, monkeypatch):
    """One epoch in `first` processes and two in the other number are, step by step, one training in one process."""
    monkeypatch.setenv("IMAGES", str(tmp_path / "data"))
    snapshot = tmp_path / "snapshot.pt"

    def begin():
        images = arrays.load("folders", Path(os.environ["IMAGES"]), 59, 41)
        lead = distributed.leads()
        save = (lambda state, _: torch.save(state, snapshot)) if lead else None
        fit(WithoutStatistics(), images, replace(RECIPE, augment="imagenet"), seed=1, until=1, checkpoint=save)

    def work(rank, part):
        with distributed.group(CPU):
            part()

    def go_on():
        found = resumed(snapshot)
        if distributed.leads():
            torch.save(found, tmp_path / "resumed.pt")

    model = WithoutStatistics()
    images = arrays.load("folders", Path(os.environ["IMAGES"]), 59, 41)  # made before two processes want it
    whole = fit(model, images, replace(RECIPE, augment="imagenet"), seed=1)
    for part, processes in ((begin, first), (go_on, 3 - first)):
        if processes == 1:
            part()
        else:
            assert in_two_processes(lambda rank, part=part: work(rank, part)) == [0, 0]
    losses, weights = torch.load(tmp_path / "resumed.pt")
    assert [pytest.approx(row, rel=1e-5) for row in losses] == [
        [r["train_loss"], r["test_loss"]] for r in whole.history
    ]
    for ours, theirs in zip(weights, model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-4, atol=1e-6)


def test_an_interrupted_command_goes_on_in_one_process(tmp_path, monkeypatch):
    """A sparse training that was asked to stop after its first epoch in two processes ends as a record of one."""
    recipe = replace(TINY, epochs=2, l1=0.0)
    spec = Sparse("vgg16", "digits", recipe, 0, 0.0625, 60, 40, method="rigl", sparsity=0.8, interval=1)
    arguments = ["sparse", canonical(spec), "--results", str(tmp_path), "--device", "cpu"]

    def work(rank):
        interrupt.wanted = lambda: True
        raise SystemExit(main([*arguments, "--processes", "2"]))

    assert in_two_processes(work) == [75, 75]
    store = Store(tmp_path)
    assert store.read(spec) is None
    assert main(arguments) == 0
    record = store.read(spec)
    assert record["provenance"]["processes"] == 1
    assert record["metrics"]["epochs"] == 2
    assert record["metrics"]["nnz"] == round(0.2 * record["metrics"]["prunable"])
    assert len((store.folder(spec) / "history.csv").read_text().splitlines()) == 3


def test_several_processes_are_started_by_torchs_own_runner(tmp_path, monkeypatch):
    class Replaced(Exception):
        pass

    def execve(path, arguments, environment):
        raise Replaced(path, arguments, environment)

    monkeypatch.setattr(os, "execve", execve)
    command = ["search", canonical(tiny_search()), "--results", str(tmp_path), "--processes", "3"]
    with pytest.raises(Replaced) as caught:
        main(command)
    path, arguments, _ = caught.value.args
    assert path == sys.executable
    assert arguments[1:4] == ["-m", "torch.distributed.run", "--standalone"]
    assert arguments[4:8] == ["--nproc-per-node", "3", "-m", "ebreplicate"]
    assert arguments[8:] == command


def test_no_processes_are_refused_before_anything_is_trained(capsys, tmp_path):
    spec = canonical(Search("vgg16", "digits"))
    assert main(["search", spec, "--results", str(tmp_path), "--processes", "0"]) == 2
    assert "error: --processes: must be at least 1, got 0" in capsys.readouterr().err

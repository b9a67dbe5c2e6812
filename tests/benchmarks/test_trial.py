"""The first minutes on a GPU (benchmarks/trial.py): what is compared and planned, and that no step stops the others."""

import csv
import signal
import sys
import tarfile
import time
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import trial
from benchmarks.setting import Setting
from benchmarks.table import Row
from benchmarks.timing import Elapsed
from ebreplicate.errors import UserError
from ebreplicate.store.store import Store


@pytest.fixture
def short(tmp_path):
    """A trial of a minute on the CPU."""
    return trial.Trial(tmp_path / "out", tmp_path, "cpu", True, "bf16", 60.0, time.monotonic() + 60.0)


def search(folder, scores, losses):
    """A finished search, as far as a comparison looks at it."""
    folder.mkdir()
    np.save(folder / "scores.npy", np.array(scores, np.float32))
    rows = [f"{loss},0.5,{i}" for i, loss in enumerate(losses)]
    (folder / "history.csv").write_text("\n".join(["train_loss,test_loss,train_seconds", *rows]) + "\n")
    return folder


def test_searches_are_compared_to_the_last_bit(tmp_path):
    scores, losses = [[0.5, 0.5], [0.25, 0.75], [0.125, 1.0]], [1.5, 1.25]
    first = search(tmp_path / "a", scores, losses)
    assert trial.compared(first, search(tmp_path / "b", scores, losses)) == trial.SAME
    moved = [*scores[:2], [0.125, np.nextafter(np.float32(1), np.float32(2))]]
    assert trial.compared(first, search(tmp_path / "c", moved, losses)) == "DIFFERENT from epoch 2 on"
    other = search(tmp_path / "d", scores, [1.5000001, 1.25])
    assert trial.compared(first, other) == "DIFFERENT from epoch 1 on"


def test_the_paper_step_is_vgg16_at_full_size_and_two_tickets_of_epoch_20(short):
    scale = trial.scale_of(replace(short, smoke=False))
    dense = scale.search("vgg16", "cifar10", 0)
    assert (dense.width, dense.recipe.epochs, dense.train_images) == (1.0, 160, 50_000)
    drawn = trial.tickets(scale)
    assert [(run.ticket.ratio, run.ticket.at) for run in drawn] == [(0.3, 20), (0.5, 20)]
    assert {run.ticket.search for run in drawn} == {dense}
    assert {run.precision for run in (dense, *drawn)} == {"bf16"}
    assert {run.recipe.epochs for run in drawn} == {160}


def read(short):
    with (short.output / "trial.csv").open() as f:
        return [(r["network"], r["measure"], r["value"]) for r in csv.DictReader(f)]


def test_a_step_that_fails_stops_no_other_and_loses_no_row(short, capsys):
    def fails(_):
        yield Row("n", "before", 1.5)
        raise RuntimeError("out of memory\nand much more")

    rows = []
    assert trial.run(short, {"first": fails, "second": lambda _: iter([Row("n", "after", 2.5)])}, rows) == 1
    failure = ("first", "step", "FAILED: out of memory")
    assert read(short) == [("n", "before", "1.5"), failure, ("n", "after", "2.5")]
    assert "# second" in capsys.readouterr().out


def test_a_command_that_takes_too_long_is_told_to_stop_and_one_that_fails_says_why(short):
    process = short.begin([sys.executable, "-S", "-c", "import time; time.sleep(60)"], "slow")
    assert short.finish(process, "slow", 0.1) == trial.CONTINUE
    assert process.returncode == -signal.SIGTERM
    process = short.begin([sys.executable, "-S", "-c", "print('once'); raise SystemExit('no data')"], "loud")
    with pytest.raises(trial.Failed, match="exit code 1: no data"):
        short.finish(process, "loud", 30.0)


class Plain:
    """A plain loop whose epochs take four seconds, the first ten."""

    def __init__(self, name, setting):
        self.epochs = iter([10.0, 4.0])

    def __call__(self):
        return Elapsed(next(self.epochs), 1.0)


def test_an_epoch_is_timed_in_every_way_beside_the_plain_loop(monkeypatch):
    def way(name, setting, data, precision, on, compiled):
        def epoch():
            if compiled and precision == "tf32":
                raise UserError("Recipe.compiled: no compiler")
            return Elapsed(2.0 if on else 8.0, 1.0)

        return None, epoch

    monkeypatch.setattr(trial.gpu, "way", way)
    monkeypatch.setattr(trial, "Alone", Plain)
    rows = []
    trial.epochs("vgg16", Setting("cpu", 8, 16), 60.0, rows.append)
    found = {row.measure: row.value for row in rows}
    assert found["epoch, plain"] == 4
    assert found["plain / bf16, graphs on"] == 2
    assert found["plain / fp32, compiled, graphs off"] == 0.5
    assert found["epoch, tf32, compiled, graphs on"] == "FAILED: Recipe.compiled: no compiler"
    assert sum(measure.startswith("epoch, ") for measure in found) == 13  # plain; precision x graphs x compiled
    rows.clear()
    trial.epochs("vgg16", Setting("cpu", 8, 16), -1.0, rows.append)
    assert {row.value for row in rows[1:]} == {"not measured: no time left"}


def test_a_run_that_the_time_ends_is_said_and_begins_no_ticket_and_no_comparison(short, monkeypatch):
    monkeypatch.setattr(trial.Trial, "begin", lambda self, command, log, **_: command)
    monkeypatch.setattr(trial.Trial, "finish", lambda self, process, log, seconds: trial.CONTINUE)
    assert [row.value for row in trial.paper(short)] == ["stopped at the time limit; the same command begins it"]
    folder = Store(short.output / "results").folder(trial.scale_of(short).search("vgg16", "cifar10", 0))
    folder.mkdir(parents=True)
    (folder / "checkpoint.pt").touch()
    assert [row.value for row in trial.paper(short)] == ["stopped at the time limit; the same command continues it"]
    with pytest.raises(trial.Failed, match=r"captured-vgg16: not done after 8 s"):
        next(trial.capture(short))


def test_the_paper_step_tells_accuracies_and_goes_on_beside_a_failure(short, monkeypatch):
    record = {"status": "ok", "metrics": {"last_accuracy": 93.5}, "cost": {"seconds": 80.0}}

    def finish(self, process, log, seconds):
        if "-r0.5-" in log:
            raise trial.Failed("exit code 1: no memory")
        return 0

    monkeypatch.setattr(trial.Trial, "begin", lambda self, command, log, **_: command)
    monkeypatch.setattr(trial.Trial, "finish", finish)
    monkeypatch.setattr(Store, "done", lambda self, spec: True)
    monkeypatch.setattr(Store, "read", lambda self, spec: record)
    rows = [(row.network, row.value) for row in trial.paper(short)]
    assert rows == [
        *(("vgg16", value) for value in ("ok", 93.5, 80.0)),
        *(("ticket 0.3", value) for value in ("ok", 93.5, 80.0)),
        ("ticket 0.5", "FAILED: exit code 1: no memory"),
    ]


def test_the_archive_leaves_weights_out(tmp_path):
    folder = tmp_path / "out" / "results"
    folder.mkdir(parents=True)
    for name in ("record.json", "epoch_0020.pt", ".lock"):
        (folder / name).touch()
    with tarfile.open(trial.pack(tmp_path / "out")) as archive:
        assert sorted(archive.getnames()) == ["out", "out/results", "out/results/record.json"]


@pytest.mark.slow
def test_the_rehearsal_stops_and_resumes_a_search(tmp_path):
    arguments = ["--output", str(tmp_path / "out"), "--device", "cpu", "--smoke", "--only", "resume"]
    assert trial.main(arguments) == 0
    with (tmp_path / "out" / "trial.csv").open() as f:
        found = {r["measure"]: r["value"] for r in csv.DictReader(f)}
    assert found["scores and losses, resumed and not"] == trial.SAME

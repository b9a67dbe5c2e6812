"""The benchmark at a tiny size: what it compares, how it computes ratios, what it writes."""

import csv
import io
import itertools
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import CPU, images
from torch import nn

from benchmarks import alone, gpu, timing
from benchmarks.__main__ import main, training
from benchmarks.alone import Alone
from benchmarks.cases import Library, cases, curve_difference, deep_mask, even_mask, promised
from benchmarks.plain import Plain, select_like_authors
from benchmarks.setting import Setting, network, pictures
from benchmarks.table import judged, row, write
from benchmarks.timing import Elapsed, Spread, Times, interleave, ratios
from ebreplicate.data.arrays import Data
from ebreplicate.errors import UserError
from ebreplicate.training.loop import State

SMALL = Setting(CPU, batch_size=8, images=16, workers=0, width=0.125)


@pytest.fixture
def clock(monkeypatch):
    """A clock that only cases move."""
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(timing.time, "process_time", lambda: 2 * now[0])
    return now


def test_cases_take_turns_and_the_first_round_is_not_counted(clock):
    order, slow = [], itertools.count(1)

    def case(name, seconds):
        order.append(name)
        clock[0] += seconds

    times = interleave({"a": lambda: case("a", next(slow)), "b": lambda: case("b", 0.5)}, rounds=3)
    assert "".join(order) == "ab" + "ba" + "ab" + "ba"
    assert times["a"].wall == [2, 3, 4]
    assert times["b"].wall == [0.5] * 3
    assert times["a"].cpu == [4, 6, 8]


def test_of_a_case_that_settles_the_second_time_counts(clock):
    seconds = iter([9, 8, 7, 6])

    def case():
        clock[0] += next(seconds)

    assert interleave({"a": case}, rounds=1, settle=True)["a"].wall == [6]


def test_a_case_in_a_process_of_its_own_says_its_own_times(clock):
    times = interleave({"a": lambda: Elapsed(7.0, 9.0)}, rounds=2)
    assert (times["a"].wall, times["a"].cpu) == ([7, 7], [9, 9])


def test_ratios_divide_neighbours_not_medians():
    assert ratios([2, 30, 4], [1, 10, 4]) == Spread(2, 1, 3, 3)


def test_a_target_is_judged_on_the_median():
    assert row("n", "m", Spread(1.2, 0.9, 2, 3), "x", ">=1.2").met == "yes"
    assert row("n", "m", Spread(1.1, 0.9, 2, 3), "x", ">=1.2").met == "no"
    assert row("n", "m", Spread(0.4, 0.3, 9, 3), "%", "<=0.5").met == "yes"
    assert row("n", "m", Spread(0.4, 0.3, 9, 3), "%").met == ""


def test_gain_of_a_ticket_is_a_share_of_what_its_flops_promise():
    times = {"plain": Times([4.0], [1.0]), "fp32": Times([2.0], [1.0]), "ticket, even": Times([1.4], [1.0])}
    found = {r.measure: r.value for r in training("vgg16", SMALL, times, {"ticket, even": 0.5})}
    assert found["ticket, even: time saved"] == pytest.approx(30)
    assert found["ticket, even: time saved / FLOPs saved"] == pytest.approx(60)
    assert found["plain / fp32"] == pytest.approx(2)
    assert found["fp32: seconds a step"] == pytest.approx(1)  # two steps of 8 images


@pytest.mark.parametrize("name", ["vgg16", "preresnet20"])
def test_the_plain_loop_trains_the_same_network(name):
    """The same losses as this library on the same batches, in fp32 indeed; with the authors' selection as well."""
    torch.backends.cudnn.allow_tf32 = True
    assert curve_difference(name, SMALL, steps=2) < 1e-4
    assert not torch.backends.cudnn.allow_tf32
    plain = network(name, SMALL).eval()
    x = images(2)
    expected = plain(x)
    torch.testing.assert_close(select_like_authors(plain)(x), expected)


def test_the_plain_loop_sees_the_augmented_images_of_an_epoch():
    class Seen(Plain):
        def step(self, x, y):
            self.batches.append((x, y))
            return 2.0, 0

    data = pictures(20)
    plain = Seen(nn.Linear(1, 1), data, 8, CPU, workers=0)
    plain.batches = []
    assert plain.epoch() == pytest.approx(2)
    assert [len(y) for _, y in plain.batches] == [8, 8, 4]
    assert sorted(torch.cat([y for _, y in plain.batches]).tolist()) == sorted(data.train.labels.tolist())
    black = -data.mean[0] / data.std[0]  # a crop beyond the border is black before normalisation, as here
    assert min(x.min().item() for x, _ in plain.batches) == pytest.approx(black, rel=1e-5)


def test_masks_remove_half_of_the_channels_and_the_deep_one_fewer_flops():
    model = network("vgg16", replace(SMALL, width=0.25))
    for draw in (even_mask, deep_mask):
        assert draw(model, 0.5).float().mean().item() == pytest.approx(0.5, abs=0.01)
    saved = promised("vgg16", replace(SMALL, width=0.25))
    assert saved["ticket, even"] == pytest.approx(0.75, abs=0.05)  # half the inputs of half the outputs
    assert 0.3 < saved["ticket, deep"] < saved["ticket, even"]


def test_every_case_trains_an_epoch(monkeypatch, capsys):
    tuned = []
    monkeypatch.setattr(alone, "tune_allocator", lambda: tuned.append(True))
    for case, call in cases("preresnet20", replace(SMALL, images=8)).items():
        if isinstance(call, Alone):  # what its process does
            monkeypatch.setattr("sys.stdin", io.StringIO("epoch\nepoch\n"))
            alone.main(json.loads(json.dumps(call.order)))
            said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
            assert [s["wall"] > 0 and s["cpu"] > 0 for s in said] == [True, True], case
        else:
            found = call()
            assert found.wall > 0, case
            assert found.cpu > 0, case
    assert tuned == [True]


@pytest.mark.slow
def test_a_plain_loop_that_fails_is_not_waited_for(capfd):
    with pytest.raises(RuntimeError, match="exit code 1"):
        Alone("nonexistent", SMALL)()
    assert "nonexistent" in capfd.readouterr().err


@pytest.mark.slow
def test_one_command_writes_the_table_with_the_machine(tmp_path, capsys):
    path = tmp_path / "deep" / "cpu.csv"
    small = ["--networks", "vgg16", "--width", "0.0625", "--batch-size", "8", "--rounds", "1", "--threads", "1"]
    only = ["--only", "fp32"]
    assert main(["--device", "cpu", *small, *only, "--curve-steps", "1", "--workers", "0", "--csv", str(path)]) == 0
    with path.open() as f:
        found = {(r["network"], r["measure"]): r for r in csv.DictReader(f)}
    assert float(found["vgg16", "plain / fp32"]["value"]) > 0
    assert found["vgg16", "plain / fp32"]["target"] == ""  # targets are for full width and batches of 256
    assert found["vgg16", "mask distances, 160 x 160 x 4"]["met"] == "yes"
    assert found["machine", "threads"]["value"] == "1"
    said = capsys.readouterr().out
    assert "plain / fp32" in said
    assert "version of torch" in said


def test_a_row_without_a_number_is_written_blank(tmp_path):
    write([row("n", "m", Spread(1.234567, 1, 2, 3), "x")], tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().splitlines()[1] == "n,m,1.2346,1,2,3,x,,"


def test_several_trainings_at_once_are_counted_together(monkeypatch):
    fork = torch.multiprocessing.get_context("fork")
    monkeypatch.setattr(gpu.multiprocessing, "get_context", lambda _: fork)
    monkeypatch.setattr(
        gpu, "train_once", lambda rank, name, setting, barrier, ends: ends.__setitem__(rank, 0.5 + rank)
    )
    assert gpu.together("vgg16", SMALL, 2) == pytest.approx(2 * 16 / 1.5)


def test_an_epoch_with_and_without_graphs_and_compiled(monkeypatch):
    asked = []

    def run(library):
        asked.append((os.environ["EBREPLICATE_CUDA_GRAPH"], library.recipe.compiled))
        library.beginnings.append(20.0 if len(asked) == 1 else 4.0)  # a second time much is found in files
        return Elapsed({"0": 3.0, "1": 2.0}[asked[-1][0]] - library.recipe.compiled, 1.0)

    monkeypatch.setattr(gpu.Library, "__call__", run)
    rows = {r.measure: r.value for r in gpu.epochs("vgg16", SMALL, rounds=1)}
    on, off, compiled = ("1", False), ("0", False), ("1", True)
    assert asked == [compiled, on, off, compiled, compiled, off, on]
    seconds = {"epoch, bf16, graphs on": 2, "epoch, bf16, graphs off": 3, "epoch, bf16, compiled, graphs on": 1}
    gains = {"epoch: graphs off / on": 1.5, "epoch: graphs on / compiled": 2}
    assert rows == seconds | gains | {"compiling takes": 20, "compiling is repaid after": 20}
    assert "EBREPLICATE_CUDA_GRAPH" not in os.environ


def test_where_nothing_can_be_compiled_the_rest_is_measured(monkeypatch):
    def run(library):
        if library.recipe.compiled:
            raise UserError("Recipe.compiled: no compiler")
        return Elapsed(2.0, 1.0)

    monkeypatch.setattr(gpu.Library, "__call__", run)
    rows = {r.measure: r.value for r in gpu.epochs("vgg16", SMALL, rounds=1)}
    assert rows["epoch, bf16, compiled"] == "Recipe.compiled: no compiler"
    assert rows["epoch: graphs off / on"] == 1
    assert not any(measure.startswith("compiling") for measure in rows)


def test_compiling_that_gains_nothing_is_never_repaid(monkeypatch):
    def run(library):
        library.beginnings.append(9.0)
        return Elapsed(2.0, 1.0)

    monkeypatch.setattr(gpu.Library, "__call__", run)
    rows = {r.measure: r.value for r in gpu.epochs("vgg16", SMALL, rounds=1)}
    assert rows["compiling is repaid after"] == float("inf")


def test_on_a_gpu_the_second_of_two_epochs_counts(monkeypatch):
    """The first chooses kernels and captures the step, once a run."""

    class OnGpu(Data):
        device = torch.device("cuda")

    data = pictures(16)
    library = Library(network("vgg16", SMALL), data, SMALL, "fp32")
    library.data = OnGpu(data.train, data.test)
    spans = []

    def fit(model, data, recipe, *, seed, start, until, precision, observers):
        spans.append((start, until))
        state = State(model, recipe, start, start)
        for seconds in (5.0, 2.0):
            state.history.append({"train_seconds": seconds})
            observers[0](state)
        return state

    monkeypatch.setattr("benchmarks.cases.fit", fit)
    assert (library().wall, library().wall) == (2, 2)
    assert library.beginnings == [3, 3]
    assert spans == [(0, 2), (2, 4)]


def test_docs_show_the_committed_measurements():
    root = Path(__file__).parents[2]
    table = judged(root / "results/benchmarks/cpu.csv")
    assert len(table.splitlines()) > 15
    assert table in (root / "docs/speed.md").read_text()

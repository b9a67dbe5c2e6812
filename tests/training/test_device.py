"""Choosing a device and taking a slot on it; the GPU is a stand-in."""

import contextlib
import os
import select
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from snake import ROOT

from ebreplicate.errors import UserError
from ebreplicate.training import device, provenance
from ebreplicate.training.device import slot


class Waiting(Exception):
    pass


@pytest.fixture
def gpus(monkeypatch, tmp_path):
    """Two GPUs that this process can see; who waits for a slot raises Waiting. Gives the devices made current."""
    current = []

    def wait(_seconds):
        raise Waiting

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda i: SimpleNamespace(uuid=f"gpu-{i}"))
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    monkeypatch.setattr(device.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(device.time, "sleep", wait)
    for name in ("EBREPLICATE_GPU_SLOTS", "CUDA_VISIBLE_DEVICES", device.HELD):
        monkeypatch.delenv(name, raising=False)
    return current


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_auto_is_the_cpu_and_cuda_is_refused():
    with slot("auto") as chosen:
        assert chosen == torch.device("cpu")
    with pytest.raises(UserError, match=r"^device: cuda was asked for, but torch sees no GPU"), slot("cuda"):
        pass


@pytest.mark.usefixtures("no_gpu")
def test_a_gpu_that_torch_cannot_use_is_an_error_unless_the_cpu_was_asked_for(monkeypatch):
    monkeypatch.setattr(provenance, "gpus", lambda: ["Tesla V100"])
    monkeypatch.setattr(provenance, "driver", lambda: "535.104")
    monkeypatch.setattr(torch.version, "cuda", "13.2")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(UserError, match=r"there is Tesla V100 with driver 535\.104, which torch .* cannot use"), slot():
        pass
    with slot("cpu") as chosen:
        assert chosen == torch.device("cpu")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with slot("auto") as chosen:
        assert chosen == torch.device("cpu")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(torch.version, "cuda", None)  # torch's CPU build
    with slot("auto") as chosen:
        assert chosen == torch.device("cpu")


def test_an_unknown_device_is_refused():
    with pytest.raises(UserError, match=r"^device: expected auto, cpu or cuda, got 'tpu'"), slot("tpu"):
        pass


def test_the_cpu_takes_no_slot(gpus):
    with slot("cpu") as chosen:
        assert chosen == torch.device("cpu")
    assert gpus == []


def test_runs_take_one_gpu_each_and_then_wait(gpus):
    with slot() as first, slot() as second:
        assert {first, second} == {torch.device("cuda", 0), torch.device("cuda", 1)}
        with pytest.raises(Waiting), slot():
            pass
    with slot() as again:  # a slot that was given back
        assert again == first
    assert gpus == [0, 1, 0]


def test_a_run_that_fails_gives_its_slot_back(gpus):
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), slot():
            raise ZeroDivisionError
    assert gpus == [0, 0, 0]


def test_more_slots_spread_over_the_gpus_before_they_share(gpus, monkeypatch):
    monkeypatch.setenv("EBREPLICATE_GPU_SLOTS", "2")
    with slot(), slot(), slot(), slot(), pytest.raises(Waiting), slot():
        pass
    assert gpus == [0, 1, 0, 1]


def released(before):
    """Close the copies of locks that `hold` left open for the rest of the process."""
    for number in {int(f) for f in os.listdir("/proc/self/fd")} - before:
        with contextlib.suppress(OSError):
            os.close(number)


@pytest.fixture
def holding():
    before = {int(f) for f in os.listdir("/proc/self/fd")}
    yield
    released(before)


@pytest.mark.usefixtures("holding")
def test_a_training_of_several_processes_holds_all_of_its_gpus_or_none(gpus, monkeypatch):
    with slot(), pytest.raises(Waiting):  # one of two is free
        device.hold("auto", 2)
    with slot() as one, slot() as other:  # and it was not kept
        assert {one.index, other.index} == {0, 1}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-5,GPU-3")
    assert device.hold("auto", 2) == {device.HELD: "1", "CUDA_VISIBLE_DEVICES": "GPU-5,GPU-3"}
    with pytest.raises(Waiting), slot():
        pass
    monkeypatch.setenv(device.HELD, "1")  # its processes take no further slots
    monkeypatch.setenv("LOCAL_RANK", "1")
    with slot() as mine:
        assert mine == torch.device("cuda", 1)


@pytest.mark.usefixtures("gpus", "holding")
def test_processes_of_one_training_get_different_gpus_where_one_has_several_slots(monkeypatch):
    monkeypatch.setenv("EBREPLICATE_GPU_SLOTS", "2")
    with slot():
        assert device.hold("cuda", 2)["CUDA_VISIBLE_DEVICES"] == "1,0"
        with slot() as last:
            assert last.index == 1
        with slot(), pytest.raises(Waiting), slot():
            pass


@pytest.mark.usefixtures("gpus")
def test_more_processes_than_gpus_are_refused():
    with pytest.raises(UserError, match=r"^--processes: 3 need a GPU each, but torch sees 2"):
        device.hold("auto", 3)


@pytest.mark.usefixtures("no_gpu")
def test_processes_on_a_cpu_hold_nothing():
    assert device.hold("auto", 2) == {}


@pytest.mark.slow
def test_slots_stay_held_by_what_the_process_becomes_and_end_with_it(tmp_path):
    """Two processes that both want both GPUs, each replaced by another program once it has them."""
    code = """
import os, sys, types, tempfile, torch
from ebreplicate.training import device, provenance
torch.cuda.is_available, torch.cuda.device_count = lambda: True, lambda: 2
torch.cuda.get_device_properties = lambda i: types.SimpleNamespace(uuid=f"gpu-{i}")
print("asks", flush=True)
device.hold("auto", 2)
print("held", flush=True)
os.execv(sys.executable, [sys.executable, "-c", "input()"])
"""
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}

    def start():
        command = [sys.executable, "-c", code]
        # Unbuffered: a line that came with another must not be out of sight of `select`.
        return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    with start() as first:
        assert [first.stdout.readline() for _ in range(2)] == [b"asks\n", b"held\n"]
        with start() as second:
            assert second.stdout.readline() == b"asks\n"
            assert not select.select([second.stdout], [], [], 1)[0]  # it waits ...
            first.communicate(b"\n", timeout=60)
            assert second.stdout.readline() == b"held\n"  # ... until the first has ended
            second.communicate(b"\n", timeout=60)


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", ""])
def test_a_number_of_slots_that_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv("EBREPLICATE_GPU_SLOTS", text)
    with pytest.raises(UserError, match=r"^EBREPLICATE_GPU_SLOTS: expected a positive integer"), slot():
        pass


@pytest.mark.parametrize("kind", ["cuda", "cpu"])
def test_a_training_on_a_gpu_is_held_to_deterministic_algorithms(kind, monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    filling = torch.utils.deterministic.fill_uninitialized_memory
    try:
        device.deterministic(torch.device(kind))
        assert torch.are_deterministic_algorithms_enabled() == (kind == "cuda")
        assert torch.utils.deterministic.fill_uninitialized_memory == (kind == "cpu" and filling)
        assert os.environ.get("CUBLAS_WORKSPACE_CONFIG") == (":4096:8" if kind == "cuda" else None)
        assert torch.backends.cudnn.deterministic
    finally:
        torch.use_deterministic_algorithms(False)
        torch.utils.deterministic.fill_uninitialized_memory = filling

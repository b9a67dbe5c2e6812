"""Where a record comes from: what is told of a machine with GPUs, and of one without, and nothing that is private."""

import sys
import types

import pytest
import torch
from helpers import CPU, TINY, tiny_search

from ebreplicate.plan.spec import Retrain, Ticket, key
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

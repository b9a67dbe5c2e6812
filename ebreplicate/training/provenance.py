"""Where a record comes from: code, versions, command, and the class of machine. Never a host, a user or a path."""

import contextlib
import datetime
import os
import platform
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import torch

from ebreplicate.specs.fields import Spec
from ebreplicate.specs.spec import key
from ebreplicate.store.checkout import git
from ebreplicate.training import distributed

Answer = TypeVar("Answer")
PACKAGES = ("ebreplicate", "torch", "torchvision", "numpy", "fvcore")


def code() -> tuple[str | None, bool | None]:
    """Commit of this code, and whether its Python files are as committed; None, None outside a checkout."""
    status = git("status", "--porcelain=v2", "--branch", "--untracked-files=no", "--", ":/*.py")
    if status is None:
        return None, None
    lines = status.splitlines()
    (commit,) = (line.removeprefix("# branch.oid ") for line in lines if line.startswith("# branch.oid "))
    return commit, all(line.startswith("#") for line in lines)


def cpu_name() -> str:
    """Model of the CPU."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _nvml(ask: Callable[[Any], Answer]) -> Answer | None:
    """What `ask` gets from the NVIDIA driver's library, or None where there is none. It makes no CUDA context."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        return ask(pynvml)
    except pynvml.NVMLError:
        return None


def driver() -> str | None:
    """Version of the NVIDIA driver, or None where there is none."""
    return _nvml(lambda nvml: str(nvml.nvmlSystemGetDriverVersion()))


def gpus() -> list[str]:
    """Models of the machine's NVIDIA GPUs, visible to this process or not."""

    def names(nvml: Any) -> list[str]:
        every = range(nvml.nvmlDeviceGetCount())
        return [str(nvml.nvmlDeviceGetName(nvml.nvmlDeviceGetHandleByIndex(i))) for i in every]

    return _nvml(names) or []


def memory_gib() -> int | None:
    """Physical memory of the machine in GiB, or None where the system does not report it."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (ValueError, OSError):
        return None


def host_class() -> str:
    """What kind of machine this is, for example "x86_64 Linux, 2 cores, 24 GiB, no GPU"."""
    models, memory = gpus(), memory_gib()
    kinds = [f"{models.count(name)} x {name}" for name in dict.fromkeys(models)]
    parts = [f"{platform.machine()} {platform.system()}", f"{os.cpu_count()} cores"]
    return ", ".join([*parts, *([f"{memory} GiB"] if memory else []), " and ".join(kinds) or "no GPU"])


def command(spec: Spec, device: torch.device, threads: int, processes: int) -> str:
    """The command that makes the run again from its folder: stage, name, and the options that decide the last bits."""
    several = f" --processes {processes}" if processes > 1 else ""
    where = "" if spec.stage == "draw" else f" --device {device.type}"
    return f"ebreplicate {spec.stage} {key(spec)}{where} --threads {threads}{several}"


def provenance(spec: Spec, device: torch.device, started: float) -> dict[str, Any]:
    """Where the record of `spec` comes from: computed on `device` since the time `started` (seconds of the clock)."""
    return facts(device, started) | {
        "precision": getattr(spec, "precision", "fp32"),  # a draw computes in fp32
        "command": command(spec, device, torch.get_num_threads(), distributed.world()),
    }


def facts(device: torch.device, started: float) -> dict[str, Any]:
    """Code, versions, machine class and times of anything computed on `device` since `started`."""
    commit, clean = code()
    on_gpu = device.type == "cuda"

    def utc(t: float) -> str:
        return datetime.datetime.fromtimestamp(t, datetime.UTC).isoformat(timespec="seconds")

    return {
        "commit": commit,
        "clean": clean,
        "versions": {p: metadata.version(p) for p in PACKAGES},
        "python": platform.python_version(),
        "device": torch.cuda.get_device_name(device) if on_gpu else cpu_name(),
        "cpu": cpu_name(),
        "cuda": torch.version.cuda if on_gpu else None,
        "driver": driver() if on_gpu else None,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),  # they decide the last bits
        "processes": distributed.world(),
        "system": f"{platform.system()} {platform.machine()}",
        "host_class": host_class(),
        "started": utc(started),
        "ended": utc(max(started, time.time())),  # a clock that is set back ends no run before it began
    }

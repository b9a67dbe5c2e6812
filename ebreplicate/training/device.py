"""Choosing a device and taking a slot on it."""

import contextlib
import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import torch

from ebreplicate import interrupt
from ebreplicate.errors import UserError

HELD = "EBREPLICATE_HELD"
"""Set in the processes of one training whose slots are held by the process that launched them."""


def _on_gpu(name: str) -> bool:
    """Whether the device `name` is a GPU here; raises UserError for one that is unknown or absent."""
    if name not in ("auto", "cpu", "cuda"):
        raise UserError(f"device: expected auto, cpu or cuda, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device: cuda was asked for, but torch sees no GPU; use --device auto or cpu")
    if name == "auto" and not torch.cuda.is_available():
        _check_usable()
    return name != "cpu" and torch.cuda.is_available()


def _check_usable() -> None:
    """Raise UserError where there is a GPU that this torch should use and cannot: its driver, or the GPU, is too old.

    Days of training on a CPU would be the alternative. A torch without CUDA, and a CUDA_VISIBLE_DEVICES that names no
    GPU, ask for the CPU.
    """
    from ebreplicate.training import provenance

    if torch.version.cuda is None or os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1", "NoDevFiles"):
        return
    models = provenance.gpus()
    if models:
        raise UserError(
            f"device: there is {models[0]} with driver {provenance.driver()}, which torch {torch.__version__} (CUDA "
            f"{torch.version.cuda}) cannot use: CUDA 13 takes driver 580 and compute capability 7.5 or newer. Update "
            "the driver, install torch 2.11 for CUDA 12.6 (docs/cluster.md), or say --device cpu"
        )


@contextlib.contextmanager
def slot(name: str = "auto") -> Iterator[torch.device]:
    """Yield the device to train on; on a GPU, hold one of its slots until the block ends.

    Snakemake's resources neither limit by default nor assign a GPU, so the slot is a file lock per visible device
    (EBREPLICATE_GPU_SLOTS of them, default 1): jobs beyond that wait. An assignment in CUDA_VISIBLE_DEVICES is honoured
    because only visible devices are counted. Raises UserError for a device that there is not, and Interrupted if asked
    to stop while it waits.
    """
    if not _on_gpu(name):
        yield torch.device("cpu")
        return
    with contextlib.ExitStack() as held:
        if HELD in os.environ:
            index = int(os.environ["LOCAL_RANK"])
        else:
            ((index, lock),) = _take(1)
            held.enter_context(lock)
        torch.cuda.set_device(index)
        yield torch.device("cuda", index)


@contextlib.contextmanager
def on(device: torch.device | str) -> Iterator[torch.device]:
    """Yield a device that one holds already; given a name, `slot` of that name."""
    if isinstance(device, str):
        with slot(device) as held:
            yield held
    else:
        yield device


def hold(name: str, processes: int) -> dict[str, str]:
    """Hold a slot on as many GPUs as a training has processes, until this process, or what it becomes by exec, ends.

    Returns what to add to the environment of the processes, which then see these GPUs alone: nothing, on a CPU. Raises
    UserError if there are fewer GPUs.
    """
    if not _on_gpu(name):
        return {}
    if processes > torch.cuda.device_count():
        raise UserError(f"--processes: {processes} need a GPU each, but torch sees {torch.cuda.device_count()}")
    taken = _take(processes)
    for _, lock in taken:
        with lock:
            os.set_inheritable(os.dup(lock.fileno()), True)  # the copy stays locked, and open across exec
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    named = [visible[i] if len(visible) > i and visible[i] else str(i) for i, _ in taken]
    return {HELD: "1", "CUDA_VISIBLE_DEVICES": ",".join(named)}


def _take(count: int) -> list[tuple[int, IO[str]]]:
    """Slots on `count` different GPUs: index and locked file of each, as soon as so many are free.

    All or none are held, so that two trainings of several GPUs never wait for each other. Of those that see the same
    GPUs one at a time takes any, and is served before the next, so that single runs do not keep a training of several
    out for ever. Raises Interrupted if asked to stop while it waits.
    """
    text = os.environ.get("EBREPLICATE_GPU_SLOTS", "1")
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"EBREPLICATE_GPU_SLOTS: expected a positive integer (runs per GPU), got {text!r}")
    folder = Path(tempfile.gettempdir()) / f"ebreplicate-gpu-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    uuids = [str(torch.cuda.get_device_properties(i).uuid) for i in range(torch.cuda.device_count())]
    slots = [(folder / f"{uuid}.{n}.lock", i) for n in range(int(text)) for i, uuid in enumerate(uuids)]
    queue = folder / f"{hashlib.sha256(''.join(sorted(uuids)).encode()).hexdigest()[:16]}.queue"
    with contextlib.ExitStack() as turn:
        first = None
        while True:
            first = first or _locked(queue, turn)
            with contextlib.ExitStack() as held:
                taken: dict[int, IO[str]] = {}
                for path, index in slots if first else ():
                    if index not in taken and len(taken) < count:
                        lock = _locked(path, held)
                        taken |= {index: lock} if lock else {}
                if len(taken) == count:
                    held.pop_all()
                    return list(taken.items())
            if interrupt.wanted():
                raise interrupt.Interrupted("stopped while it waited for a GPU")
            time.sleep(0.5)


def _locked(path: Path, held: contextlib.ExitStack) -> IO[str] | None:
    """Lock a file until `held` ends; None if it is locked."""
    lock = path.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return held.enter_context(lock)


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute on `count` CPU threads until the block ends."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def deterministic(device: torch.device) -> None:
    """Have torch compute with deterministic algorithms, and refuse what has none, so that a continued run ends with the
    bits of one that never stopped.

    On a GPU, which has others. cuBLAS asks for a fixed workspace by an environment variable; it is read at the first
    product of matrices. Memory is not filled before use, as torch would by default: that doubles the launches a step.
    """
    torch.backends.cudnn.deterministic = True
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def tune_allocator() -> None:
    """Keep freed activations in the process (glibc): fresh pages for every tensor cost a CPU step a fifth of its time,
    or, of large maps, more than all else (docs/speed.md).

    Must run before large tensors exist. Elsewhere than on glibc this does nothing.
    """
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        m_trim_threshold, m_mmap_threshold, never, one_gib = -1, -3, -1, 1 << 30
        libc.mallopt(m_trim_threshold, never)  # the end of a step frees more than any threshold
        libc.mallopt(m_mmap_threshold, one_gib)

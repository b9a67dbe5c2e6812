"""Choosing a device and taking a slot on it."""

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from ebreplicate.errors import UserError


@contextlib.contextmanager
def slot(name: str = "auto") -> Iterator[torch.device]:
    """Yield the device to train on; on a GPU, hold one of its slots until the block ends.

    Snakemake's resources neither limit by default nor assign a GPU, so the slot is a file lock per visible device
    (EBREPLICATE_GPU_SLOTS of them, default 1): jobs beyond that wait. An assignment in CUDA_VISIBLE_DEVICES is honoured
    because only visible devices are counted. Raises UserError for a device that there is not.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise UserError(f"device: expected auto, cpu or cuda, got {name!r}")
    if name == "cpu" or not torch.cuda.is_available():
        if name == "cuda":
            raise UserError("device: cuda was asked for, but torch sees no GPU; use --device auto or cpu")
        yield torch.device("cpu")
        return
    text = os.environ.get("EBREPLICATE_GPU_SLOTS", "1")
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"EBREPLICATE_GPU_SLOTS: expected a positive integer (runs per GPU), got {text!r}")
    slots = int(text)
    folder = Path(tempfile.gettempdir()) / f"ebreplicate-gpu-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    visible = range(torch.cuda.device_count())
    candidates = [(torch.cuda.get_device_properties(i).uuid, i, s) for s in range(slots) for i in visible]
    while True:
        for uuid, index, number in candidates:
            with (folder / f"{uuid}.{number}.lock").open("w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    continue
                torch.cuda.set_device(index)
                yield torch.device("cuda", index)
                return
        time.sleep(0.5)


def tune_allocator() -> None:
    """Keep freed activations in the process (glibc): fresh pages for every tensor cost a fifth of a CPU step here.

    Must run before large tensors exist. Elsewhere than on glibc this does nothing.
    """
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        m_trim_threshold, m_mmap_threshold, one_gib = -1, -3, 1 << 30
        libc.mallopt(m_trim_threshold, one_gib)
        libc.mallopt(m_mmap_threshold, one_gib)

"""The machine: whether it has a GPU, and errors of its resources (disk full, out of memory). No torch."""

import errno
import shutil

AGAIN = "then run the same command again: it goes on from what is there"
REMEDIES = {
    errno.ENOSPC: f"make room, {AGAIN}",
    errno.EDQUOT: f"make room, {AGAIN}",
    errno.EFBIG: f"raise the limit on file sizes (ulimit -f), {AGAIN}",
    errno.EROFS: f"make it writable or choose another folder, {AGAIN}",
    errno.EACCES: f"get permission or choose another folder, {AGAIN}",
    errno.EPERM: f"get permission or choose another folder, {AGAIN}",
    errno.EIO: f"check the disk, {AGAIN}",
    errno.EMFILE: f"raise the limit on open files (ulimit -n), {AGAIN}",
    errno.ENFILE: f"close other programs, {AGAIN}",
    errno.ENOMEM: f"free memory or use a larger machine, {AGAIN}",
    errno.ENAMETOOLONG: "choose a shorter path",
}
OUT_OF_MEMORY = (
    *("can't allocate memory", "out of memory", "cannot allocate memory", "dataloader worker"),
    *("could not create a primitive", "could not execute a primitive"),
    *("cublas_status_alloc_failed", "cudnn_status_alloc_failed"),
)
"""Parts of torch's RuntimeErrors for memory refused by the system or a GPU, or a killed worker process. The last four
are all that its convolution and matrix libraries report."""


def out_of_resources(error: BaseException) -> str | None:
    """One line naming the exhausted resource and the fix; None for every other error."""
    if isinstance(error, OSError) and error.errno in REMEDIES:
        what = f"{error.filename}: " if error.filename else ""
        return f"{what}{error.strerror}; {REMEDIES[error.errno]}"
    message = str(error).strip().splitlines()[0] if str(error).strip() else ""
    refused = isinstance(error, RuntimeError) and any(words in message.lower() for words in OUT_OF_MEMORY)
    if isinstance(error, MemoryError) or refused:
        return f"out of memory ({message or 'the system refused it'}); {REMEDIES[errno.ENOMEM]}"
    return None


def gpus() -> int:
    """How many GPUs NVIDIA's driver sees here."""
    try:
        import pynvml
    except ImportError:
        return 0
    try:
        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError:
        return 0


def has_gpu() -> bool:
    """Whether there is a GPU here, or this is a cluster's login node (SLURM), whose nodes may have some."""
    return shutil.which("sbatch") is not None or gpus() > 0

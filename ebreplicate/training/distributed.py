"""One training in several processes, one device each (torch.distributed.run, DistributedDataParallel).

Every process sees its share of each global batch, gradients are averaged, and so each takes the same steps. Batch norm
normalises over the process's own share, as the authors' DataParallel does per device (no SyncBN). Only rank 0 writes.
"""

import contextlib
import inspect
import math
import os
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, distributed, nn

from ebreplicate.data.shares import rank as rank
from ebreplicate.data.shares import world as world
from ebreplicate.errors import UserError


def launch(argv: list[str], processes: int, environment: dict[str, str]) -> None:
    """Replace this process by torch.distributed.run with `processes` of the command line `argv`; does not return."""
    runner = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m", "ebreplicate"]
    os.execve(sys.executable, [sys.executable, *runner, *argv], os.environ | environment)


def launched() -> bool:
    """True in a process that torch.distributed.run started."""
    return "TORCHELASTIC_RUN_ID" in os.environ


@contextlib.contextmanager
def group(device: torch.device) -> Iterator[None]:
    """Join the other processes of this training, if there are any, until the block ends."""
    if not launched():
        yield
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def leads() -> bool:
    """True in the process that writes: rank 0, or the only one."""
    return rank() == 0


def weight(mine: int, whole: int) -> float:
    """Factor on this process's mean loss that makes the average over processes the mean over the global batch."""
    return mine * world() / whole


def check_batches(images: int, batch_size: int) -> None:
    """Raise UserError if some batch of an epoch has fewer images than there are processes."""
    smallest = min(images % batch_size or batch_size, images)
    if smallest < world():
        raise UserError(
            f"--processes: the last batch of an epoch has {smallest} of {images} images (batch_size {batch_size}), too "
            f"few for {world()} processes; choose another number of processes"
        )


def parallel(model: nn.Module) -> nn.Module:
    """The model to call in a training step: one that averages gradients over processes, or `model` itself."""
    if world() == 1:
        return model
    wrapper = nn.parallel.DistributedDataParallel
    # Statistics are averaged after the epoch instead; torch 2.15 renamed the switch.
    names = inspect.signature(wrapper).parameters
    switch = "forward_sync_buffers" if "forward_sync_buffers" in names else "broadcast_buffers"
    off: dict[str, Any] = {switch: False}
    return wrapper(model, **off)


def total(value: Tensor) -> Tensor:
    """Sum of `value`, of any shape, over processes, in place."""
    if world() > 1:
        distributed.all_reduce(value)
    return value


def total_float(value: float, device: torch.device) -> float:
    """Sum of a number over processes; nan if it is nan in one."""
    return value if world() == 1 else total(torch.tensor(value, dtype=torch.float64, device=device)).item()


def agreed(flag: bool, device: torch.device) -> bool:
    """True in every process if `flag` is true in any: what one is asked to do, all do together."""
    return total_float(float(flag), device) > 0


@torch.no_grad()
def average_statistics(model: nn.Module) -> None:
    """Give every process the mean of the running statistics, each of which saw its own share of the images."""
    if world() == 1:
        return
    for buffer in model.buffers():
        if buffer.is_floating_point():
            buffer.copy_(total(buffer.clone()) / world())


def energy(joules: float | None, source: str | None, device: torch.device) -> float | None:
    """Joules of all devices of the training; None if one has no counter. The CPU's counter is of the whole machine."""
    if world() == 1 or source == "rapl":
        return joules
    summed = total_float(math.nan if joules is None else joules, device)
    return None if math.isnan(summed) else summed

"""What only a GPU shows: seconds of a CIFAR epoch, a captured graph, synchronisation, several runs on one device.

Written without a GPU at hand: the parts that are plain processes and clocks are tested on a CPU, the rest is not.
"""

import math
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.synchronize import Barrier
from typing import Any

import torch
from torch import multiprocessing

from benchmarks.cases import Library
from benchmarks.setting import Setting, network, pictures
from benchmarks.table import Row, row
from benchmarks.timing import Elapsed, interleave, ratios, spread
from ebreplicate.data.arrays import Data
from ebreplicate.errors import UserError

EPOCH = 50_000
"""Images of a CIFAR epoch."""
SECONDS = {"vgg16": "<=0.5", "preresnet101": "<=1.5"}


@contextmanager
def graphs(on: bool) -> Iterator[None]:
    """Steps inside are captured as CUDA graphs, or not."""
    before = os.environ.get("EBREPLICATE_CUDA_GRAPH")
    os.environ["EBREPLICATE_CUDA_GRAPH"] = str(int(on))
    try:
        yield
    finally:
        del os.environ["EBREPLICATE_CUDA_GRAPH"]
        if before is not None:
            os.environ["EBREPLICATE_CUDA_GRAPH"] = before


def way(
    name: str, setting: Setting, data: Data, precision: str, on: bool, compiled: bool = False
) -> tuple[Library, Callable[[], Elapsed]]:
    """This library's training of a network in one precision, with or without graphs, compiled or not; its epoch."""
    run = Library(network(name, setting), data, setting, precision, compiled)

    def epoch() -> Elapsed:
        with graphs(on):
            return run()

    return run, epoch


def epochs(name: str, setting: Setting, rounds: int) -> list[Row]:
    """Seconds of an epoch in bf16, in turns: with and without captured graphs, and compiled; what compiling costs."""
    case = partial(way, name, setting, pictures(setting.images), "bf16")
    compiled, compile_and_run = case(True, True)
    cases = {"graphs on": case(True)[1], "graphs off": case(False)[1], "compiled, graphs on": compile_and_run}
    rows = list[Row]()
    try:
        compile_and_run()
    except UserError as e:
        rows.append(Row(name, "epoch, bf16, compiled", str(e)))
        del cases["compiled, graphs on"]
    times = interleave(cases, rounds)
    target = SECONDS.get(name, "") if setting.images == EPOCH and setting.standard else ""
    rows += [row(name, f"epoch, bf16, {how}", spread(t.wall), "s", target) for how, t in times.items()]
    plain = times.pop("graphs on").wall
    rows.append(row(name, "epoch: graphs off / on", ratios(times.pop("graphs off").wall, plain), "x"))
    for fused in times.values():
        rows.append(row(name, "epoch: graphs on / compiled", ratios(plain, fused.wall), "x"))
        cost, gain = max(compiled.beginnings), spread(plain).value - spread(fused.wall).value
        rows.append(Row(name, "compiling takes", cost, unit="s"))
        rows.append(Row(name, "compiling is repaid after", cost / gain if gain > 0 else math.inf, unit="epochs"))
    return rows


def waits(name: str, setting: Setting) -> Row:
    """How often a training waits for the device."""
    run = Library(network(name, setting), pictures(setting.images), setting, "bf16")
    run()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            run()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    steps = -(-setting.images // setting.batch_size)
    return Row(name, f"synchronising calls in 2 epochs of {steps} steps, capture and evaluation included", len(seen))


def train_once(rank: int, name: str, setting: Setting, barrier: Barrier, ends: Any) -> None:
    """Train process `rank`'s network, once to warm up and once, together with the others, to be timed in seconds."""
    torch.set_num_threads(1)
    run = Library(network(name, setting), pictures(setting.images), setting, "bf16")
    run()
    barrier.wait()
    ends[rank] = run().wall


def together(name: str, setting: Setting, processes: int) -> float:
    """Images a second of `processes` trainings at once on the device."""
    context = multiprocessing.get_context("spawn")
    barrier, ends = context.Barrier(processes), context.Array("d", processes)
    workers = [context.Process(target=train_once, args=(r, name, setting, barrier, ends)) for r in range(processes)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    if any(w.exitcode for w in workers):
        raise RuntimeError(f"{processes} trainings of {name} at once: a process failed")
    return processes * setting.images / max(ends)


def rows(name: str, setting: Setting, rounds: int) -> list[Row]:
    """Everything that is measured on a GPU alone."""
    alone = together(name, setting, 1)
    shared = [Row(name, "1 run on the GPU: images a second", alone, unit="1/s")]
    for n in (2, 4):
        several = together(name, setting, n)
        shared.append(Row(name, f"{n} runs on one GPU / 1: images a second", several / alone, unit="x"))
    return [*epochs(name, setting, rounds), waits(name, setting), *shared]

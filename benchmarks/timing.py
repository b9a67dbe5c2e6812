"""Interleaved timing: every case once a round, so that a machine that slows down slows all of them alike."""

import contextlib
import ctypes
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Times:
    """Seconds of one case, a value a round: by the clock, and of this process on all its threads."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Elapsed:
    """Seconds that a case took in a process of its own, by that process."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of repeated values."""

    value: float
    low: float
    high: float
    repeats: int


def spread(values: list[float]) -> Spread:
    """Summary of repeated values."""
    return Spread(statistics.median(values), min(values), max(values), len(values))


def timed(call: Callable[[], object]) -> Elapsed:
    """Seconds that `call` took: what it says itself, if that is an `Elapsed`."""
    cpu, wall = time.process_time(), time.perf_counter()
    there = call()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return there if isinstance(there, Elapsed) else Elapsed(wall, cpu)


def interleave(cases: dict[str, Callable[[], object]], rounds: int, settle: bool = False) -> dict[str, Times]:
    """Time every case `rounds` times, in turns; a round before that, which is not counted, warms them up.

    Every other round goes through the cases backwards, so that none always follows the same neighbour. With `settle`,
    a case runs twice in its turn and the second time counts, as in a training, where a step follows its like: the first
    takes up memory, which is given back after the turn, because a case of another size would leave it in pieces.
    """
    times = {name: Times() for name in cases}
    for number in range(-1, rounds):
        for name in list(cases)[:: 1 if number % 2 else -1]:
            if settle:
                cases[name]()
            took = timed(cases[name])
            if settle:
                _give_back()
            if number >= 0:
                times[name].wall.append(took.wall)
                times[name].cpu.append(took.cpu)
    return times


def _give_back() -> None:
    """Free memory that this process keeps (glibc)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def ratios(slow: list[float], fast: list[float]) -> Spread:
    """How many times faster `fast` is, a ratio a round: neighbours in time are divided by each other."""
    return spread([s / f for s, f in zip(slow, fast, strict=True)])


def repeated(call: Callable[[], object], times: int) -> Spread:
    """Seconds of `call`, after one uncounted call."""
    call()
    values = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        values.append(time.perf_counter() - began)
    return spread(values)

"""Progress of the commands that look at many runs: a line on stderr, which a terminal shows in place."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO, TypeVar

T = TypeVar("T")
ON_TERMINAL, IN_LOG = 0.5, 10.0
"""Least seconds between two lines."""


def steps(
    things: Sequence[T], what: str, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[T]:
    """Yield the things one by one; say how many are done and how long the rest may take. `what`: "runs checked"."""
    out = stream or sys.stderr
    terminal = out.isatty()
    began = told = clock()
    for done, thing in enumerate(things):
        now = clock()
        if done and now - told >= (ON_TERMINAL if terminal else IN_LOG):
            told, left = now, (now - began) / done * (len(things) - done)
            text = f"{done:,} of {len(things):,} {what}, about {left:.0f} s left"
            out.write(f"\r\033[K{text}" if terminal else f"{text}\n")
            out.flush()
        yield thing
    if terminal and things:
        out.write("\r\033[K")
        out.flush()

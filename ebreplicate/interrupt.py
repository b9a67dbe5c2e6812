"""Stop a training, on SIGTERM or at a time limit, so that the next invocation resumes it. No torch.

A request is only noted here; the loop asks after every epoch, writes its checkpoint and raises `Interrupted`, which the
command line turns into the exit code CONTINUE.
"""

import math
import os
import signal
import time
from types import FrameType

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
CONTINUE = 75
"""Exit code "continue me": run the same command again (sysexits.h: temporary failure)."""


def duration(text: str) -> float:
    """Seconds of a duration such as "90", "90s", "30m", "8h" or "1.5h". Raises ValueError for anything else."""
    number = text.strip().rstrip("smhd")
    unit = text.strip()[len(number) :]
    try:
        seconds = float(number) * UNITS[unit]
    except (ValueError, KeyError):
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise ValueError(f"expected a duration such as 90s, 30m or 8h, got {text!r}")
    return seconds


class Interrupted(Exception):
    """A training stopped on request; its checkpoint lies in its run folder."""


ECHO_SECONDS = 5.0
"""A second SIGTERM within this time counts as the same one: schedulers signal every process of a job, and some
of those forward it."""

_deadline: float | None = None
_signalled: float | None = None
"""Time of the first request to stop."""


def request() -> None:
    """Ask this process to stop."""
    global _signalled
    _signalled = time.monotonic() if _signalled is None else _signalled


def _on_signal(number: int, _frame: FrameType | None) -> None:
    if _signalled is not None and time.monotonic() - _signalled > ECHO_SECONDS:  # whoever asks again means now
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    request()


def install(seconds: float | None = None) -> None:
    """Take SIGTERM as a request to stop, and stop after `seconds` from now where that is given."""
    global _deadline, _signalled
    _deadline, _signalled = None if seconds is None else time.monotonic() + seconds, None
    signal.signal(signal.SIGTERM, _on_signal)


def wanted() -> bool:
    """True if this process was asked to stop."""
    return _signalled is not None or (_deadline is not None and time.monotonic() >= _deadline)

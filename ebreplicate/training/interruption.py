"""Stopping a training so that the next invocation continues it: a time budget, or SIGTERM. No torch.

A request is only noted here; the loop asks after every epoch, writes its checkpoint and raises `Interrupted`, which the
command line turns into the exit code CONTINUE.
"""

import signal
import time
from types import FrameType

CONTINUE = 75
"""Exit code "continue me": run the same command again (sysexits.h: temporary failure)."""


class Interrupted(Exception):
    """A training stopped on request; its checkpoint lies in its run folder."""


_deadline: float | None = None
_signalled = False


def request() -> None:
    """Ask this process to stop."""
    global _signalled
    _signalled = True


def _on_signal(_number: int, _frame: FrameType | None) -> None:
    request()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # whoever asks twice means now


def install(seconds: float | None = None) -> None:
    """Take SIGTERM as a request to stop, and stop after `seconds` from now where that is given."""
    global _deadline, _signalled
    _deadline, _signalled = None if seconds is None else time.monotonic() + seconds, False
    signal.signal(signal.SIGTERM, _on_signal)


def wanted() -> bool:
    """True if this process was asked to stop."""
    return _signalled or (_deadline is not None and time.monotonic() >= _deadline)

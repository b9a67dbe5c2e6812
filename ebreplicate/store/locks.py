"""Per-run advisory file lock, released when the holding process exits. No torch.

The package filelock does not serve here: it keeps its descriptor to itself, so that a program that replaces this one
cannot inherit the lock; it does not notice that the folder was moved during the wait, as `merge` does it; and on a file
system without locks it raises an error or takes another kind of lock, where two jobs may well do the same work.
"""

import contextlib
import errno
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ebreplicate import interrupt

NAME = ".lock"
AGAIN = ".regrow.lock"
"""Name of the lock of a finished search that is retrained to rebuild its checkpoints."""
BUSY = 69
"""Exit code of a command that was asked not to wait for another one at the same run (sysexits.h: unavailable)."""
POLL_SECONDS = 0.05


class Busy(Exception):
    """Another process holds the lock of the run `folder`, which is needed here, and this one was asked not to wait."""

    def __init__(self, folder: Path):
        super().__init__(f"{folder.name}: another process is working on it")


def _acquired(lock: IO[str]) -> bool:
    """Try to take `lock`; False if another process holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        if e.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        # A file system without locks: two jobs would do the same work, and each file they write is still whole.
        print(f"{lock.name}: cannot be locked ({e.strerror}); going on without", file=sys.stderr)
    return True


def _in_place(lock: IO[str], path: Path) -> bool:
    """Return False if the folder was replaced during the wait: the lock is then on a deleted file."""
    try:
        return os.path.samestat(os.fstat(lock.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _wait_for(lock: IO[str]) -> None:
    while not _acquired(lock):  # a wait inside flock would not hear that it should stop
        if interrupt.wanted():
            raise interrupt.Interrupted("stopped while it waited for another process")
        time.sleep(POLL_SECONDS)


@contextlib.contextmanager
def held(folder: Path, wait: bool = False, inherited: bool = False, name: str = NAME) -> Iterator[bool]:
    """Hold the lock `name` of a run folder until the block ends: True, or False if another process has it.

    With `wait`, wait for it, which a line on stderr says. `inherited`: a program that replaces this one keeps it.
    Raises Interrupted if asked to stop while it waits.
    """
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("w") as lock:
            if not _acquired(lock):
                if not wait:
                    yield False
                    return
                print(f"{folder.name}: another process is working on it; waiting", file=sys.stderr, flush=True)
                _wait_for(lock)
            if not _in_place(lock, folder / name):
                continue
            os.set_inheritable(lock.fileno(), inherited)
            yield True
            return


def free(folder: Path, name: str = NAME) -> bool:
    """True if nobody holds the lock `name` of a run folder now."""
    if not (folder / name).is_file():
        return True
    with held(folder, name=name) as mine:
        return mine

"""The checkpoint of an unfinished run, from which the same command goes on."""

import math
import os
import sys
import time
from pathlib import Path
from typing import Any

from ebreplicate.errors import UserError
from ebreplicate.files import CHECKPOINT
from ebreplicate.store import snapshots
from ebreplicate.training import distributed


def checkpoint_seconds() -> float:
    """Least time between two checkpoints of a run: EBREPLICATE_CHECKPOINT_SECONDS, 60 by default.

    Raises UserError for a value that is no number of seconds.
    """
    text = os.environ.get("EBREPLICATE_CHECKPOINT_SECONDS", "60")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise UserError(f"EBREPLICATE_CHECKPOINT_SECONDS: expected seconds, 0 for every epoch, got {text!r}")
    return seconds


SNAPSHOT = {"model", "optimizer", "hooks", "epoch", "history"}
"""What a snapshot holds for `fit`."""


class Checkpoint:
    """The resumable snapshot of an unfinished run; written at most every `every` seconds, removed at the end.

    By default EBREPLICATE_CHECKPOINT_SECONDS, or a minute.
    """

    def __init__(self, folder: Path, key: str, every: float | None = None):
        self.path, self.key, self.written = folder / CHECKPOINT, key, time.monotonic()
        self.every = checkpoint_seconds() if every is None else every

    def load(self) -> dict[str, Any] | None:
        """Snapshot of this run, or None; a damaged or foreign one is discarded with a line: a run can start over."""
        try:
            snapshot = snapshots.load(self.path)
            if not isinstance(snapshot, dict) or snapshot.get("key") != self.key:
                raise snapshots.Damaged("of another run")
            if not set(snapshot) >= SNAPSHOT:
                raise snapshots.Damaged("of another version")
            return snapshot
        except FileNotFoundError:
            return None
        except (OSError, snapshots.Damaged) as e:
            print(f"{self.path}: checkpoint discarded ({e}); starting over", file=sys.stderr)
            return None

    def save(self, snapshot: dict[str, Any], now: bool = False) -> bool:
        """Write the snapshot, atomically, if it is time to or `now`; True if it was written."""
        if not distributed.leads() or (not now and time.monotonic() - self.written < self.every):
            return False
        snapshots.save(self.path, {**snapshot, "key": self.key})
        self.written = time.monotonic()
        return True

    def clear(self) -> None:
        """Remove the snapshot of a finished run."""
        if distributed.leads():
            self.path.unlink(missing_ok=True)

"""What a run leaves behind: its folder, `spec.json`, `record.json`, `history.csv`. No torch.

`record.json` is written last and atomically: a folder without it is an unfinished run, never a broken one.
"""

import csv
import io
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ebreplicate.errors import UserError
from ebreplicate.plan import spec as specs

STATUSES = ("ok", "diverged", "no-ticket")
FIELDS = {"key", "stage", "status", "metrics", "cost", "provenance"}


def atomic_write(path: Path, content: str | bytes) -> None:
    """Write `content` to `path` so that a reader sees the old file or the whole new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as f:
            f.write(content.encode() if isinstance(content, str) else content)
            f.flush()
            os.fsync(f.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


class Store:
    """The run folders under one results root."""

    def __init__(self, results: Path | str = "results"):
        self.root = Path(results)

    def folder(self, spec: specs.Spec) -> Path:
        """Folder of the run `spec`."""
        return self.root / "runs" / spec.stage / specs.key(spec)

    def record_path(self, spec: specs.Spec) -> Path:
        """Path of the record that marks the run as done."""
        return self.folder(spec) / "record.json"

    def check_writable(self) -> None:
        """Raise UserError unless run folders can be made here, before anything is trained."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as e:
            raise UserError(f"results folder {str(self.root)!r}: not writable ({e.strerror}); choose another") from None

    def done(self, spec: specs.Spec) -> bool:
        """True if the run has left its record."""
        return self.record_path(spec).is_file()

    def read(self, spec: specs.Spec) -> dict[str, Any] | None:
        """Record of the run, or None if it has not been run; raises UserError for a record that is not its own."""
        path = self.record_path(spec)
        if not path.is_file():
            return None
        return read_record(path, specs.key(spec))

    def write(self, spec: specs.Spec, record: dict[str, Any], history: Iterable[dict[str, Any]] = ()) -> None:
        """Write spec, history and, last, the record."""
        folder = self.folder(spec)
        atomic_write(folder / "spec.json", specs.canonical(spec) + "\n")
        rows = list(history)
        if rows:
            text = io.StringIO()
            columns = dict.fromkeys(name for row in rows for name in row)
            writer = csv.DictWriter(text, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
            atomic_write(folder / "history.csv", text.getvalue())
        body = {"key": specs.key(spec), "stage": spec.stage, **record}
        atomic_write(folder / "record.json", json.dumps(body, indent=1, allow_nan=False) + "\n")


class ReadOnlyStore(Store):
    """The store of a process that trains along: it reads what was left, and rank 0 writes."""

    def write(self, spec: specs.Spec, record: dict[str, Any], history: Iterable[dict[str, Any]] = ()) -> None:
        """Nothing."""


def read_record(path: Path, key: str) -> dict[str, Any]:
    """Read and check one record; raises UserError naming the file and what is wrong with it."""
    try:
        record = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as e:
        raise UserError(f"{path}: unreadable record ({e}); delete the folder to run it again") from None
    if not isinstance(record, dict) or not set(record) >= FIELDS:
        raise UserError(f"{path}: not a record (fields {sorted(FIELDS)} expected); delete the folder to run it again")
    if record["key"] != key:
        raise UserError(f"{path}: record of another run, {record['key']!r}; delete the folder to run it again")
    if record["status"] not in STATUSES:
        raise UserError(f"{path}: status {record['status']!r} is none of {', '.join(STATUSES)}")
    return record

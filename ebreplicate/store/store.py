"""The store of runs: each has a folder with `spec.json`, `history.csv` and, once finished, `record.json`. No torch.

`record.json` is written last and atomically: a folder without it is an unfinished run, never a broken one.
"""

import contextlib
import csv
import io
import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ebreplicate import files
from ebreplicate.errors import UserError, shown
from ebreplicate.files import CHECKPOINT, TEMPORARY, atomic_write, digest
from ebreplicate.specs import spec as specs
from ebreplicate.specs.fields import Spec
from ebreplicate.specs.graph import other_names
from ebreplicate.store import locks
from ebreplicate.store.schema import STATUSES, field_problem

FIELDS = {"key", "stage", "status", "metrics", "cost", "provenance"}
DIGESTED = (
    *("history.csv", "evaluations.csv", "scores.npy", "taylor.npy", "displacement.npy", "mask.npy"),
    *("correct.npy", "bits.npy"),
)
"""Files whose SHA-256 goes into the record, where they exist when it is written."""


def _table(rows: list[dict[str, Any]]) -> str:
    """Rows as CSV, floats with six digits."""
    text = io.StringIO()
    writer = csv.DictWriter(text, dict.fromkeys(name for row in rows for name in row), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    return text.getvalue()


def figures_root(results: Path) -> Path:
    """Where the figures of a results root are: `figures` beside `results`, and inside a root of any other name, so that
    two roots in one folder have figures of their own."""
    return results.parent / "figures" if results.name == "results" else results / "figures"


class Store:
    """The run folders under one results root.

    `patient`: whether to wait for a run that another process is working on; otherwise `locks.Busy` is raised.
    `writes`: whether records are written; of a training in several processes, only rank 0 writes.
    """

    def __init__(self, results: Path | str = "results", patient: bool = True, writes: bool = True):
        self.root, self.patient, self.writes = Path(results), patient, writes

    def folder(self, spec: Spec) -> Path:
        """Folder of the run `spec`."""
        return self.root / "runs" / spec.stage / specs.key(spec)

    def record_path(self, spec: Spec) -> Path:
        """Path of the record that marks the run as done."""
        return self.folder(spec) / "record.json"

    @contextlib.contextmanager
    def claim(self, spec: Spec, wait: bool = True, inherited: bool = False) -> Iterator[bool]:
        """Hold the lock of the run until the block ends; False if another process has it (see `locks.held`).

        The holder is the only writer of an unfinished run, so half-written files of killed processes are
        removed.
        """
        folder = self.folder(spec)
        with locks.held(folder, wait, inherited) as mine:
            if mine and self.done(spec):
                (folder / CHECKPOINT).unlink(missing_ok=True)  # killed between the record and this
            elif mine:
                for half in (*folder.glob(f"{TEMPORARY}*"), *(folder / "weights").glob(f"{TEMPORARY}*")):
                    half.unlink(missing_ok=True)
            yield mine

    def await_other(self, spec: Spec) -> None:
        """If another process is working on the run, wait until it has finished or stopped; see `patient`."""
        if self.done(spec) or locks.free(self.folder(spec)):
            return
        if not self.patient:
            raise locks.Busy(self.folder(spec))
        with locks.held(self.folder(spec), wait=True):
            pass

    def tidy(self, spec: Spec) -> None:
        """Remove the checkpoint of a finished run, if its process was killed between the record and that."""
        if (self.folder(spec) / CHECKPOINT).exists():
            with self.claim(spec, wait=False):
                pass

    def check_writable(self) -> None:
        """Raise UserError unless run folders can be made here, before anything is trained."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as e:
            raise UserError(f"results folder {str(self.root)!r}: not writable ({e.strerror}); choose another") from None

    def done(self, spec: Spec) -> bool:
        """True if the run is finished: its record exists."""
        return self.record_path(spec).is_file()

    def read(self, spec: Spec) -> dict[str, Any] | None:
        """Record of the run, or None if it is not finished; raises UserError for a record of another run."""
        path = self.record_path(spec)
        if not path.is_file():
            return None
        record = read_record(path, specs.key(spec))
        if record["stage"] != spec.stage:
            raise UserError(f"{path}: record of a {record['stage']!r}; delete the folder to run it again")
        return record

    def read_same(self, spec: specs.Retrain, epoch: int) -> dict[str, Any] | None:
        """Record of the same training, of a ticket drawn at `epoch`, under another name; None if there is none.

        One that was trained as a run that is no longer here (forgotten, or `spec` itself) is none.
        """
        for other in other_names(spec, epoch):
            drawn = self.read(other.ticket) if self.done(other) else None
            record = self.read(other) if drawn and drawn["metrics"]["epoch"] == epoch else None
            trained = record and self.folder(other).with_name(Path(record.get("trained_as", record["key"])).name)
            if trained and (trained / "record.json").is_file():
                return record
        return None

    def part(self, spec: Spec, name: str, axes: int) -> Any:
        """Array `name` that the run saved; raises UserError if it is unreadable or its digest is not the record's.

        Of a training that is recorded under another name, what was saved under that one.
        """
        folder, record = self.folder(spec), self.read(spec) or {}
        try:
            if "trained_as" in record:
                trained = Path(record["trained_as"]).name
                folder = folder.parent / trained
                record = read_record(folder / "record.json", trained)
            path = folder / name
            said = record.get("files", {}).get(name)
            if said is not None and digest(path) != said:
                raise ValueError("its SHA-256 is not the record's")
            return files.array(path, axes)
        except (OSError, ValueError) as e:
            what = f"{name} of {spec.stage} {specs.key(spec)}"
            raise UserError(f"{what}: unreadable ({e}); delete its folder to run it again") from None

    def write(
        self,
        spec: Spec,
        record: dict[str, Any],
        history: Iterable[dict[str, Any]] = (),
        evaluations: Iterable[dict[str, Any]] = (),
    ) -> None:
        """Write spec, history, evaluations on held-out images and, last, the record."""
        if not self.writes:
            return
        folder = self.folder(spec)
        atomic_write(folder / "spec.json", specs.canonical(spec) + "\n")
        for name, rows in (("history.csv", list(history)), ("evaluations.csv", list(evaluations))):
            if rows:
                atomic_write(folder / name, _table(rows))
            else:
                (folder / name).unlink(missing_ok=True)
        files = {name: digest(folder / name) for name in DIGESTED if (folder / name).is_file()}
        body = {"key": specs.key(spec), "stage": spec.stage, **record}
        body |= {"files": files} if files else {}
        atomic_write(folder / "record.json", json.dumps(body, indent=1, allow_nan=False) + "\n")


def read_record(path: Path, key: str) -> dict[str, Any]:
    """Read and check one record; raises UserError naming the file and what is wrong with it."""
    try:
        record = files.strict_json(files.regular_text(path))
    except (OSError, ValueError) as e:
        raise UserError(f"{path}: unreadable record ({e}); delete the folder to run it again") from None
    if not isinstance(record, dict) or not set(record) >= FIELDS:
        raise UserError(f"{path}: not a record (fields {sorted(FIELDS)} expected); delete the folder to run it again")
    if record["key"] != key:
        other = shown(record["key"])
        raise UserError(f"{path}: record of another run, {other}; delete the folder to run it again")
    if record["status"] not in list(STATUSES):  # a list: any JSON value may stand here, hashable or not
        raise UserError(f"{path}: status {shown(record['status'])} is none of {', '.join(STATUSES)}")
    problem = field_problem(record)
    if problem:
        raise UserError(f"{path}: {problem}; delete the folder to run it again")
    return record

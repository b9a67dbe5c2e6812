"""The files of a finished run from another machine or person: which there are, whether complete, how they differ.

No torch.
"""

import csv
import os
import re
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ebreplicate import files
from ebreplicate.errors import UserError, shown
from ebreplicate.files import digest
from ebreplicate.specs.fields import Spec
from ebreplicate.store.store import Store

AXES = {"scores.npy": 2, "taylor.npy": 2, "displacement.npy": 2, "mask.npy": 1, "correct.npy": 1, "bits.npy": 3}
RECORD = Path("record.json")
TAKEN = ("spec.json", "history.csv", "evaluations.csv", *AXES, "weights", "record.json")
"""What a finished run consists of, the record last."""
WEIGHTS = re.compile(r"epoch_[0-9]{4,}\.pt")
LARGEST, LARGEST_WEIGHTS = 64 << 20, 16 << 30
"""Bytes of a file that is taken. A search of 160 epochs over 100,000 channels has 64 million of scores."""


def parts(folder: Path) -> list[Path]:
    """Files to be taken of a run folder, relative to it, the record last; raises UserError for any but plain files of
    plausible size.

    A link would bring in what it points to, wherever that is; a pipe would never end.
    """
    if folder.is_symlink() or folder.parent.is_symlink():
        raise UserError(f"{folder}: a link, not a folder")
    found = [Path(name) for name in TAKEN if os.path.lexists(folder / name)]
    weights = folder / "weights"
    if weights.is_dir() and not weights.is_symlink():
        found.remove(Path("weights"))
        found[:0] = sorted(Path("weights", p.name) for p in weights.iterdir() if WEIGHTS.fullmatch(p.name))
    for part in found:
        path = folder / part
        about = path.lstat()
        if not stat.S_ISREG(about.st_mode):
            raise UserError(f"{path}: not a plain file")
        limit = LARGEST_WEIGHTS if part.suffix == ".pt" else LARGEST
        if about.st_size > limit:
            raise UserError(f"{path}: {about.st_size:,} bytes, more than the {limit:,} such a file can have")
    return found


def check_complete(folder: Path, record: dict[str, Any]) -> None:
    """Raise UserError naming what is missing from a run folder, as after an interrupted copy."""
    for name, said in record.get("files", {}).items():
        if name not in TAKEN or not (folder / name).is_file() or digest(folder / name) != said:
            raise UserError(f"{folder}: {shown(name)} is missing, or not what the record says")
    problems = list(_incomplete(folder, record))
    if problems:
        raise UserError(f"{folder}: not complete: {'; '.join(problems)}")


def _incomplete(folder: Path, record: dict[str, Any]) -> Iterator[str]:
    for path in (folder / "weights").glob("*.pt"):
        if not zipfile.is_zipfile(path):
            yield f"weights/{path.name} is not whole"
    named = record.get("files") or record["stage"] == "graph"  # a run on the unpruned graph saves no other file
    if not named and record["status"] != "no-ticket" and "trained_as" not in record:
        yield "its record names no file"


def array(path: Path) -> Any:
    """One of the arrays of a run."""
    return files.array(path, AXES[path.name])


def _rows(folder: Path, name: str = "history.csv") -> list[dict[str, str]]:
    """Rows of a run's CSV without the columns of seconds."""
    rows = csv.DictReader(files.regular_text(folder / name).splitlines())
    return [{k: v for k, v in row.items() if k and not k.endswith("_seconds")} for row in rows]


def _outcome(record: dict[str, Any]) -> dict[str, Any]:
    """The fields of a record that are independent of date, speed and name of the run."""
    flops = {k: v for k, v in record["cost"].items() if k.endswith("flops")}
    return {"status": record["status"], **record["metrics"], **flops}


def differences(spec: Spec, ours: Store, theirs: Store) -> list[str]:
    """Names of the fields and files in which a finished run differs between two stores."""
    a, b = (_outcome(store.read(spec) or {}) for store in (ours, theirs))
    found = [name for name in sorted({*a} | {*b}) if a.get(name) != b.get(name)]
    here, there = ours.folder(spec), theirs.folder(spec)
    for name in ("history.csv", "evaluations.csv", *AXES):
        read = (lambda path: array(path).tobytes()) if name in AXES else (lambda path: _rows(path.parent, path.name))
        both = (here / name).is_file() and (there / name).is_file()
        if both and read(here / name) != read(there / name):
            found.append(name)
    return found

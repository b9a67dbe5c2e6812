"""Results of several machines in one folder: complete runs are taken, conflicting ones refused by name. No torch."""

import os
import re
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Any

from ebreplicate import locking
from ebreplicate.errors import UserError, shown
from ebreplicate.plan import spec as specs
from ebreplicate.reading import regular_text
from ebreplicate.records import Store, digest, read_record

TAKEN = ("spec.json", "history.csv", "scores.npy", "taylor.npy", "mask.npy", "weights", "record.json")
"""What a finished run consists of, the record last."""
WEIGHTS = re.compile(r"epoch_[0-9]{4,}\.pt")
LARGEST, LARGEST_WEIGHTS = 64 << 20, 16 << 30
"""Bytes of a file that is taken. A search of 160 epochs over 100,000 channels has 64 million of scores."""


def runs_under(root: Path) -> list[Path]:
    """Folders of finished runs under a results root."""
    return sorted(path.parent for path in (root / "runs").glob("*/*/record.json"))


def checked_run(folder: Path) -> specs.Spec:
    """The spec of a run folder, its name, key and record agreeing; raises UserError naming what does not."""
    try:
        spec = specs.from_json(regular_text(folder / "spec.json"))
    except (OSError, ValueError) as e:
        raise UserError(f"{folder}: no readable spec.json ({e})") from None
    except UserError as e:
        raise UserError(f"{folder}: spec.json: {e}") from None
    if folder.name != specs.key(spec) or folder.parent.name != spec.stage:
        raise UserError(f"{folder}: its spec.json is of another run, {spec.stage}/{specs.key(spec)}")
    Store(folder.parents[2]).read(spec)
    return spec


def _parts(folder: Path) -> list[Path]:
    """What is to be taken of a run folder; raises UserError for anything but plain files of plausible size.

    A link would bring in what it points to, wherever that is; a pipe would never end.
    """
    if folder.is_symlink() or folder.parent.is_symlink():
        raise UserError(f"{folder}: a link, not a folder")
    parts = [folder / name for name in TAKEN if os.path.lexists(folder / name)]
    weights = folder / "weights"
    if weights in parts and not weights.is_symlink() and weights.is_dir():
        parts.remove(weights)
        parts[:0] = sorted(path for path in weights.iterdir() if WEIGHTS.fullmatch(path.name))
    for part in parts:
        found = part.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise UserError(f"{part}: not a plain file")
        limit = LARGEST_WEIGHTS if part.suffix == ".pt" else LARGEST
        if found.st_size > limit:
            raise UserError(f"{part}: {found.st_size:,} bytes, more than the {limit:,} such a file can have")
    return parts


def _same(spec: specs.Spec, ours: Store, theirs: Store) -> bool:
    """True if both folders hold the same outcome; when and where it was computed may differ."""
    a, b = ours.read(spec), theirs.read(spec)
    return a is not None and b is not None and all(a[k] == b[k] for k in ("key", "status", "metrics"))


def _check_files(folder: Path, record: dict[str, Any]) -> None:
    """Raise UserError unless the files that a record vouches for are those beside it."""
    for name, said in record.get("files", {}).items():
        if name not in TAKEN or not (folder / name).is_file() or digest(folder / name) != said:
            raise UserError(f"{folder}: {shown(name)} is missing, or not what the record says")


def _copy(source: Path, spec: specs.Spec, target: Path) -> None:
    """Copy a run folder so that it appears whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".merge-") as folder:
        whole = Path(folder) / target.name
        for part in _parts(source):
            to = whole / part.relative_to(source)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(part, to, follow_symlinks=False)
        _check_files(whole, read_record(whole / "record.json", specs.key(spec)))  # what was copied, not what was there
        with locking.held(target) as mine:
            if not mine:
                raise UserError(f"{target}: is being run here; merge again when it is done")
            shutil.rmtree(target)  # an unfinished run of the same name: its checkpoint is of no use any more
            whole.rename(target)


def merge(other: Path, into: Path) -> str:
    """Take every finished run of `other` that `into` lacks; returns a summary.

    `other` may be anybody's: only plain files under the names of runs are taken, each whole. Raises UserError, after
    everything else has been taken, naming the runs that both have with different outcomes and those that are damaged in
    `other`; nothing of `into` is ever replaced but unfinished runs.
    """
    if not (other / "runs").is_dir():
        raise UserError(f"{other}: no runs here; expected a results folder with runs/<stage>/<key>/record.json")
    ours, theirs = Store(into), Store(other)
    ours.check_writable()
    taken, had, refused = 0, 0, []
    for folder in runs_under(other):
        try:
            _parts(folder)
            spec = checked_run(folder)
            if not ours.done(spec):
                _copy(folder, spec, ours.folder(spec))
                taken += 1
            elif _same(spec, ours, theirs):
                had += 1
            else:
                refused.append(f"{folder}: another outcome than {ours.folder(spec)}")
        except UserError as e:
            refused.append(str(e))
    summary = f"{taken} runs taken, {had} already here"
    if refused:
        raise UserError(f"{summary}, {len(refused)} refused:\n  " + "\n  ".join(refused))
    return summary

"""Merge finished runs from another results directory. No torch.

Incomplete runs are skipped; runs with conflicting results are reported by name and left out.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ebreplicate.errors import UserError
from ebreplicate.files import regular_text
from ebreplicate.specs import spec as specs
from ebreplicate.specs.fields import Spec
from ebreplicate.store import locks
from ebreplicate.store.run_files import RECORD, check_complete, differences, parts
from ebreplicate.store.store import Store, read_record

STAGING = ".merge"
"""Folder under runs/ in which a run is put together, new/<stage>/<key>; old/<stage>/<key> while they change places."""


def runs_under(root: Path) -> list[Path]:
    """Folders of finished runs under a results root."""
    return sorted(path.parent for path in (root / "runs").glob("*/*/record.json"))


def checked_run(folder: Path) -> tuple[Spec, dict[str, Any] | None]:
    """Spec and record of a run folder, its name, key and record agreeing; raises UserError naming what does not.

    The record is None where the run is not finished.
    """
    try:
        spec: Spec = specs.from_json(regular_text(folder / "spec.json"))
    except (OSError, ValueError) as e:
        raise UserError(f"{folder}: no readable spec.json ({e})") from None
    except UserError as e:
        raise UserError(f"{folder}: spec.json: {e}") from None
    if folder.name != specs.key(spec) or folder.parent.name != spec.stage:
        raise UserError(f"{folder}: its spec.json is of another run, {spec.stage}/{specs.key(spec)}")
    return spec, Store(folder.parents[2]).read(spec)


def _copy(source: Path, target: Path) -> None:
    """Copy a file atomically and flush it to disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.merge")
    try:
        shutil.copyfile(source, partial, follow_symlinks=False)
        with partial.open("rb") as f:
            os.fsync(f.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _staged(source: Path, spec: Spec, wanted: list[Path], whole: Path) -> None:
    """Copy parts of a run to `whole`; raises UserError unless what was copied, not what was there, is as it should."""
    for part in wanted:
        _copy(source / part, whole / part)
    check_complete(whole, read_record(whole / RECORD, specs.key(spec)))


def _take(source: Path, spec: Spec, target: Path, staging: Path) -> None:
    """Copy a run atomically; an unfinished run of the same name is replaced."""
    name = target.relative_to(staging.parent)
    whole, old = staging / "new" / name, staging / "old" / name
    _staged(source, spec, parts(source), whole)
    with locks.held(target) as mine:
        if not mine:
            raise UserError(f"{target}: is being run here; merge again when it is done")
        if (target / RECORD).exists():
            raise UserError(f"{target}: has just been finished here; merge again")
        old.parent.mkdir(parents=True, exist_ok=True)
        target.rename(old)
        whole.rename(target)


def _complete(source: Path, spec: Spec, target: Path, staging: Path) -> bool:
    """Copy the files of a finished run that are missing here (usually weights); True if there were any."""
    found = parts(source)
    lacking = [part for part in found if not os.path.lexists(target / part)]
    if lacking:
        whole = staging / "new" / target.relative_to(staging.parent)
        _staged(source, spec, [p for p in found if p in lacking or p.parent.name != "weights"], whole)
        for part in lacking:
            _copy(whole / part, target / part)
    return bool(lacking)


def clear_staging(staging: Path) -> None:
    """Undo an interrupted merge: move an unfinished run back to its place."""
    for old in (staging / "old").glob("*/*"):
        target = staging.parent / old.relative_to(staging / "old")
        if not target.exists():
            old.rename(target)
    if staging.is_dir():
        shutil.rmtree(staging)


@contextlib.contextmanager
def _alone(runs: Path) -> Iterator[Path]:
    """Yield the staging folder of `runs` while no other merge works there."""
    with locks.held(runs, wait=True):
        clear_staging(runs / STAGING)
        try:
            yield runs / STAGING
        finally:
            clear_staging(runs / STAGING)


def merge(other: Path, into: Path) -> str:
    """Take every finished run of `other` that `into` lacks, and of those it has, the files it lacks; returns a summary.

    `other` may be anybody's: only plain files under the names of runs are taken, each whole. Raises UserError, after
    everything else has been taken, naming the runs that both have with different outcomes and those that are damaged or
    incomplete in `other`; nothing of `into` is ever replaced but unfinished runs. An interrupted merge is gone on with
    by another one; several into one folder take turns.
    """
    if not (other / "runs").is_dir():
        raise UserError(f"{other}: no runs here; expected a results folder with runs/<stage>/<key>/record.json")
    ours, theirs = Store(into), Store(other)
    ours.check_writable()
    counts, refused = {"taken": 0, "completed": 0, "already here": 0}, []
    with _alone(into / "runs") as staging:
        for folder in runs_under(other):
            try:
                counts[_merge_run(folder, ours, theirs, staging)] += 1
            except UserError as e:
                refused.append(str(e))
            except OSError as e:
                raise UserError(f"{folder}: {e.strerror or e}; merge again to go on ({_summary(counts)})") from None
            finally:
                shutil.rmtree(staging / "new", ignore_errors=True)
    if refused:
        raise UserError(f"{_summary(counts)}, {len(refused)} refused:\n  " + "\n  ".join(refused))
    return _summary(counts)


def _merge_run(folder: Path, ours: Store, theirs: Store, staging: Path) -> str:
    """Merge one run; the count it belongs to. Raises UserError where it is refused."""
    parts(folder)  # before anything of it is read
    spec, record = checked_run(folder)
    target = ours.folder(spec)
    if not ours.done(spec):
        _take(folder, spec, target, staging)
        return "taken"
    check_complete(folder, record or {})
    differing = differences(spec, ours, theirs)
    if differing:
        raise UserError(f"{folder}: another outcome than {target} ({', '.join(differing)})")
    return "completed" if _complete(folder, spec, target, staging) else "already here"


def _summary(counts: dict[str, int]) -> str:
    return ", ".join(f"{n} {'runs ' if name == 'taken' else ''}{name}" for name, n in counts.items())

"""Results of several machines in one folder: complete runs are taken, conflicting ones refused by name. No torch."""

import shutil
import tempfile
from pathlib import Path

from ebreplicate.errors import UserError
from ebreplicate.plan import spec as specs
from ebreplicate.reading import regular_text
from ebreplicate.records import Store

TAKEN = ("spec.json", "history.csv", "scores.npy", "taylor.npy", "mask.npy", "weights", "record.json")
"""What a finished run consists of, the record last."""


def runs_under(root: Path) -> list[Path]:
    """Folders of finished runs under a results root."""
    return sorted(path.parent for path in (root / "runs").glob("*/*/record.json"))


def checked_run(folder: Path) -> specs.Spec:
    """The spec of a run folder, its name, key and record agreeing; raises UserError naming what does not."""
    try:
        spec = specs.from_json(regular_text(folder / "spec.json"))
    except (OSError, ValueError) as e:
        raise UserError(f"{folder}: no readable spec.json ({e})") from None
    if folder.name != specs.key(spec) or folder.parent.name != spec.stage:
        raise UserError(f"{folder}: its spec.json is of another run, {spec.stage}/{specs.key(spec)}")
    Store(folder.parents[2]).read(spec)
    return spec


def _same(spec: specs.Spec, ours: Store, theirs: Store) -> bool:
    """True if both folders hold the same outcome; when and where it was computed may differ."""
    a, b = ours.read(spec), theirs.read(spec)
    return a is not None and b is not None and all(a[k] == b[k] for k in ("key", "status", "metrics"))


def _copy(source: Path, target: Path) -> None:
    """Copy a run folder so that it appears whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".merge-") as folder:
        whole = Path(folder) / target.name
        whole.mkdir()
        for name in TAKEN:
            part = source / name
            if part.is_dir():
                shutil.copytree(part, whole / name)
            elif part.is_file():
                shutil.copyfile(part, whole / name)
        if target.is_dir():  # an unfinished run of the same name: its checkpoint is of no use any more
            shutil.rmtree(target)
        whole.rename(target)


def merge(other: Path, into: Path) -> str:
    """Take every finished run of `other` that `into` lacks; returns a summary.

    Raises UserError, after everything else has been taken, naming the runs that both have with different outcomes and
    those that are damaged in `other`; nothing of `into` is ever replaced but unfinished runs.
    """
    if not (other / "runs").is_dir():
        raise UserError(f"{other}: no runs here; expected a results folder with runs/<stage>/<key>/record.json")
    ours, theirs = Store(into), Store(other)
    ours.check_writable()
    taken, had, refused = 0, 0, []
    for folder in runs_under(other):
        try:
            spec = checked_run(folder)
            if not ours.done(spec):
                _copy(folder, ours.folder(spec))
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

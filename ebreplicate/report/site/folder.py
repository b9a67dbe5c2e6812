"""A generated folder that appears whole, replaces only what it wrote itself, and never touches anything else."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from ebreplicate.errors import UserError

MANIFEST = ".ebreplicate-site"
"""Names every file of a site, one a line: what it does not name is somebody else's."""


def _files(root: Path) -> set[str]:
    return {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_symlink() or not p.is_dir()}


def check(output: Path) -> None:
    """Raise UserError unless `output` is absent, empty, or an earlier site with nothing added."""
    if not output.exists() and not output.is_symlink():
        return
    if not output.is_dir():
        raise UserError(f"--output: {str(output)!r} is a file; name a folder to write")
    found = _files(output)
    if not found:
        return
    if MANIFEST not in found:
        raise UserError(f"--output: {str(output)!r} holds files that are not a site's; name a new or empty folder")
    added = sorted(found - {MANIFEST, *(output / MANIFEST).read_text(errors="replace").splitlines()})
    if added:
        names = ", ".join(added[:3]) + (f" and {len(added) - 3} more" if len(added) > 3 else "")
        raise UserError(f"--output: {str(output)!r} holds files that the site did not write ({names}); move them away")


def replace(output: Path, build: Callable[[Path], int]) -> int:
    """Have `build` fill a new folder, then put it in the place of `output`; returns what `build` did.

    A failure while building leaves `output` as it was. Raises UserError for an `output` that is not a site's.
    """
    check(output)
    target = output.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    except OSError as e:
        raise UserError(
            f"--output: cannot write beside {str(output)!r} ({e.strerror}); choose another folder"
        ) from None
    try:
        new = scratch / "new"
        new.mkdir()
        done = build(new)
        (new / MANIFEST).write_text("".join(f"{name}\n" for name in sorted(_files(new))))
        if target.exists():
            target.rename(scratch / "old")
        try:
            new.rename(target)
        except OSError:
            if (scratch / "old").exists():
                (scratch / "old").rename(target)
            raise
        return done
    finally:
        shutil.rmtree(scratch, ignore_errors=True)

"""A run against itself as it was committed: numbers that agree with each other can still have been moved together."""

import hashlib
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ebreplicate import checkout
from ebreplicate.plan.spec import Spec
from ebreplicate.records import Store
from ebreplicate.report.check_history import close
from ebreplicate.report.check_origin import has_history
from ebreplicate.run_files import AXES, RECORD, differences

RUNS = "results/runs"
PARTS = (RECORD.name, "history.csv", *AXES)
TIMES = ("started", "ended")


@cache
def committed() -> dict[str, str]:
    """Object name of every part of a run, by results/runs/<stage>/<key>/<part>, where it was added last.

    A run that is rightly made again is removed in one commit and added in another; one edited in place stays known.
    """
    if not has_history():
        return {}
    log = ("log", "--no-renames", "--diff-filter=A", "--raw", "--no-abbrev", "--format=", "--", f":/{RUNS}")
    found: dict[str, str] = {}
    for line in (checkout.git(*log) or "").splitlines():
        about, path = line.split("\t", 1)
        found.setdefault(path, about.split()[3])  # the newest commit comes first
    return found


def object_name(content: bytes) -> str:
    """What git calls this content (SHA-1)."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _changed(folder: Path) -> dict[str, str]:
    """Parts of a run that are not as they were committed, with the object names of what was."""
    known = {part: committed().get(f"{RUNS}/{folder.parent.name}/{folder.name}/{part}") for part in PARTS}
    there = {part: name for part, name in known.items() if name and (folder / part).is_file()}
    return {part: name for part, name in there.items() if object_name((folder / part).read_bytes()) != name}


def _moved(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Names in a record that say something else than they did; names that are new are of a newer version."""
    parts = ("metrics", "cost", "provenance")
    return [f"{p}.{n}" for p in parts for n, value in before[p].items() if not close(now[p].get(n), value, 0.0)]


def committed_problems(spec: Spec, folder: Path, store: Store) -> Iterator[str]:
    """A run that was committed with another outcome. In other folders only one that claims to be that very training:
    whoever runs the spec again, on another machine, may find other numbers.
    """
    changed, now = _changed(folder), store.read(spec)
    if not changed or now is None:
        return
    with tempfile.TemporaryDirectory() as scratch:
        was = Store(scratch)
        was.folder(spec).mkdir(parents=True)
        for part in PARTS:
            name = committed().get(f"{RUNS}/{folder.parent.name}/{folder.name}/{part}")
            if name:
                (was.folder(spec) / part).write_bytes(checkout.blob(name))
        before = was.read(spec)
        if before is None:
            return
        found: list[str] = []
        if all(before["provenance"].get(n) == now["provenance"].get(n) for n in TIMES):
            found = [*_moved(before, now), *(part for part in changed if part != RECORD.name)]
        if (checkout.ROOT / RUNS).resolve() == folder.parents[1].resolve():
            found += [name for name in differences(spec, was, store) if name not in found]
    if found:
        yield f"is not what was committed: {', '.join(found)}; `git log -- {RUNS}/{spec.stage}/{folder.name}` has it"

"""Where a record comes from: code that can be looked up, at times that can have been; and no history told twice."""

import datetime
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from ebreplicate.checkout import git
from ebreplicate.errors import shown
from ebreplicate.plan.plan import search_of
from ebreplicate.plan.spec import Retrain, Spec, key
from ebreplicate.records import Store, digest

STAND_INS = ("digits", "digits100", "folders")
"""Data that say nothing about the paper: code of records on them need not be committed."""
A_DAY = datetime.timedelta(days=1)
"""Clocks of machines differ, and can be set back."""


@cache
def has_history() -> bool:
    """Whether this package lies in a git checkout that knows its past."""
    tracked = git("ls-files", "--error-unmatch", "checkout.py") is not None
    return tracked and git("rev-parse", "--is-shallow-repository") == "false"


@cache
def committed_at(commit: str) -> datetime.datetime | None:
    """When a commit was made; None if it is not among the ancestors of the one that is checked out."""
    if git("merge-base", "--is-ancestor", commit, "HEAD") is None:
        return None
    said = git("show", "--no-patch", "--format=%cI", commit)
    return datetime.datetime.fromisoformat(said) if said else None


def _times(provenance: dict[str, Any]) -> tuple[datetime.datetime, datetime.datetime]:
    began, ended = (datetime.datetime.fromisoformat(provenance[n]) for n in ("started", "ended"))
    if began.tzinfo is None or ended.tzinfo is None:
        raise ValueError("a time without its zone")
    return began, ended


def _command_problems(spec: Spec, command: object, name: str) -> Iterator[str]:
    """A command that is not of the run called `name`. The first records told its stage at most."""
    words = str(command).split()[1:3]
    if "/" in str(command) or "\\" in str(command):
        yield f"provenance: command tells a path, {shown(command)}"
    elif words != [spec.stage, name][: len(words)]:
        yield f"provenance: command is of another run, {shown(command)}"


def provenance_problems(spec: Spec, record: dict[str, Any]) -> Iterator[str]:
    """A record of code that nobody can look up, of a time that cannot be, of another run's command, or telling a path.

    Stand-in data may be of any code: they say nothing about the paper.
    """
    provenance = record["provenance"]
    yield from _command_problems(spec, provenance.get("command", ""), record.get("trained_as", key(spec)))
    try:
        began, ended = _times(provenance)
    except (KeyError, TypeError, ValueError) as e:
        yield f"provenance: no times of start and end ({type(e).__name__}: {e})"
        return
    if ended < began:
        yield f"provenance: ended {provenance['ended']}, before it started"
    if ended > datetime.datetime.now(datetime.UTC) + A_DAY:
        yield f"provenance: ended {provenance['ended']}, which is to come"
    if search_of(spec).dataset in STAND_INS:
        return
    if provenance.get("clean") is not True:
        yield "was made from code that is not committed (provenance.clean is not true)"
    commit = provenance.get("commit")
    if not isinstance(commit, str) or not re.fullmatch(r"[0-9a-f]{40}", commit):
        yield "provenance: names no commit"
    elif has_history():
        made = committed_at(commit)
        if made is None:
            yield f"provenance: commit {commit} is not in the history of this repository"
        elif began < made - A_DAY:
            yield f"provenance: started {provenance['started']}, before its commit was made"


def identity(spec: Spec, store: Store) -> str:
    """What two trainings must share to have one history: the same network, start, data and recipe."""
    if not isinstance(spec, Retrain):
        return key(spec)
    drawn = (store.read(spec.ticket) or {"metrics": {}})["metrics"]
    mask = store.folder(spec.ticket) / "mask.npy"
    network = drawn.get("channels") if spec.init == "reinit" else (drawn.get("epoch"), mask.is_file() and digest(mask))
    how = (spec.recipe, spec.init, spec.rewind, spec.schedule, spec.seed, spec.precision)
    return repr((key(search_of(spec)), network, how))


def repeated_histories(histories: dict[str, tuple[str, list[dict[str, float]]]]) -> Iterator[str]:
    """Runs whose losses are those of another run, from name to (identity, history).

    No two trainings agree in all losses by chance.
    """
    first: dict[tuple[float, ...], str] = {}
    for name, (own, rows) in histories.items():
        losses = tuple(row[k] for row in rows for k in ("train_loss", "test_loss"))
        other = first.setdefault(losses, name)
        if len(rows) > 1 and histories[other][0] != own:
            yield f"{name}: its history is that of {other}"

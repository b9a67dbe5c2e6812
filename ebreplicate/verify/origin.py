"""Where a record comes from: code that can be looked up, at times that can have been."""

import datetime
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from ebreplicate.errors import shown
from ebreplicate.specs.fields import Spec
from ebreplicate.specs.graph import root_of
from ebreplicate.specs.spec import key
from ebreplicate.store.checkout import git

STAND_INS = ("digits", "digits100", "folders", "blocks", "grammar")
"""Data that say nothing about the paper: code of records on them need not be committed."""
TEXTS = ("python", "device", "system", "command", "started", "ended")
COUNTS = ("threads", "cores")
OTHERS = ("commit", "clean", "cuda", "versions")
LATER = "instructions"
"""A text that records of earlier versions lack."""
A_DAY = datetime.timedelta(days=1)
"""Clocks of machines differ, and can be set back."""


@cache
def has_history() -> bool:
    """Whether this package lies in a git checkout that knows its past."""
    return git("rev-parse", "--is-shallow-repository") == "false"


@cache
def committed_at(commit: str) -> datetime.datetime | None:
    """When a commit was made; None if it is not among the ancestors of the one that is checked out."""
    if git("merge-base", "--is-ancestor", commit, "HEAD") is None:
        return None
    date = git("show", "--no-patch", "--format=%cI", commit)
    return datetime.datetime.fromisoformat(date) if date else None


def _times(provenance: dict[str, Any]) -> tuple[datetime.datetime, datetime.datetime]:
    began, ended = (datetime.datetime.fromisoformat(provenance[n]) for n in ("started", "ended"))
    if began.tzinfo is None or ended.tzinfo is None:
        raise ValueError("a time without its zone")
    return began, ended


def _command_problems(spec: Spec, command: object, name: str) -> Iterator[str]:
    """A command that is not of the run called `name`."""
    words, own = str(command).split()[:3], ["ebreplicate", spec.stage, name]
    if "/" in str(command) or "\\" in str(command):
        yield f"provenance: command contains a path, {shown(command)}"
    elif words != own:
        yield f"provenance: command is of another run, {shown(command)}"


def fact_problems(provenance: dict[str, Any]) -> Iterator[str]:
    """What is missing of code and machine, or is not as the program writes it."""
    for name in (*TEXTS, *COUNTS, *OTHERS):
        if name not in provenance:
            yield f"provenance: lacks {name}"
    for name in (*TEXTS, LATER):
        if name in provenance and not (isinstance(provenance[name], str) and provenance[name]):
            yield f"provenance: {name} is {shown(provenance[name])}, not a text"
    for name in COUNTS:
        if name in provenance and not (type(provenance[name]) is int and provenance[name] > 0):
            yield f"provenance: {name} is {shown(provenance[name])}, not a count"
    versions = provenance.get("versions", {"torch": ""})
    if not (isinstance(versions, dict) and "torch" in versions and all(isinstance(v, str) for v in versions.values())):
        yield f"provenance: versions are {shown(versions)}, not those of the packages"


def provenance_problems(spec: Spec, record: dict[str, Any]) -> Iterator[str]:
    """A record of code that nobody can look up, of a time that cannot be, of another run's command, or with a path.

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
    root = root_of(spec)
    if root.dataset in STAND_INS or getattr(root, "stand_in", False):
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

"""Errors whose message is meant for the user."""

import difflib
import reprlib
from collections.abc import Iterable
from typing import Any


class UserError(Exception):
    """Bad input: the message names the field and the fix; the command line prints it alone and exits with 2."""


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 120
_SHORT.maxlong, _SHORT.maxdict, _SHORT.maxlist, _SHORT.maxtuple = 60, 8, 12, 12


def shown(value: Any) -> str:
    """repr of a value for a message, shortened."""
    return _SHORT.repr(value)


def clipped(text: str, length: int = 300) -> str:
    """A text for a message, shortened."""
    return text if len(text) <= length else f"{text[:length]} ..."


def unknown(kind: str, name: object, known: Iterable[str]) -> UserError:
    """Build the error for a name that is not in `known`, with the nearest spelling first."""
    names = sorted(known)
    near: list[str] = []
    if isinstance(name, str) and 0 < len(name) < 200:
        near = difflib.get_close_matches(name, names, n=1) or [other for other in names if other.startswith(name)]
    hint = f"did you mean {' or '.join(map(repr, near[:3]))}? " if near else ""
    return UserError(f"{kind}: unknown name {shown(name)}; {hint}known: {', '.join(names)}")

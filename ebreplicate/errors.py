"""The one exception a user is meant to read."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input: the message names the field and the fix; the command line prints it alone and exits with 2."""


def unknown(kind: str, name: object, known: Iterable[str]) -> UserError:
    """Build the error for a name that is not in `known`, with the nearest spelling first."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UserError(f"{kind}: unknown name {name!r}; {hint}known: {', '.join(names)}")

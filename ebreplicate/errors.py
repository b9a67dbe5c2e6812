"""Errors whose message is meant for the user, and those of the machine's resources (disk full, out of memory)."""

import difflib
import errno
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


AGAIN = "then run the same command again: it goes on from what is there"
MOVE = "move it away or choose another folder"
REMEDIES = {
    errno.ENOSPC: f"make room, {AGAIN}",
    errno.EDQUOT: f"make room, {AGAIN}",
    errno.EFBIG: f"raise the limit on file sizes (ulimit -f), {AGAIN}",
    errno.EROFS: f"make it writable or choose another folder, {AGAIN}",
    errno.EACCES: f"get permission or choose another folder, {AGAIN}",
    errno.EPERM: f"get permission or choose another folder, {AGAIN}",
    errno.EIO: f"check the disk, {AGAIN}",
    errno.EMFILE: f"raise the limit on open files (ulimit -n), {AGAIN}",
    errno.ENFILE: f"close other programs, {AGAIN}",
    errno.ENOMEM: f"free memory or use a larger machine, {AGAIN}",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.EEXIST: f"{MOVE}, {AGAIN}",
    errno.ENOTDIR: f"a file is where a folder belongs: {MOVE}, {AGAIN}",
    errno.EISDIR: f"a folder is where a file belongs: {MOVE}, {AGAIN}",
}
OUT_OF_MEMORY = (
    *("can't allocate memory", "out of memory", "cannot allocate memory", "dataloader worker"),
    *("could not create a primitive", "could not execute a primitive"),
    *("cublas_status_alloc_failed", "cudnn_status_alloc_failed"),
)
"""Parts of torch's RuntimeErrors for memory refused by the system or a GPU, or a killed worker process. The last four
are all that its convolution and matrix libraries report."""


def out_of_resources(error: BaseException) -> str | None:
    """One line naming the exhausted resource and the fix; None for every other error."""
    if isinstance(error, OSError) and error.errno in REMEDIES:
        what = f"{error.filename}: " if error.filename else ""
        return f"{what}{error.strerror}; {REMEDIES[error.errno]}"
    message = str(error).strip().splitlines()[0] if str(error).strip() else ""
    refused = isinstance(error, RuntimeError) and any(words in message.lower() for words in OUT_OF_MEMORY)
    if isinstance(error, MemoryError) or refused:
        return f"out of memory ({message or 'the system refused it'}); {REMEDIES[errno.ENOMEM]}"
    return None

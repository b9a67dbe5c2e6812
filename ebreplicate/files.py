"""Read untrusted files (size limit, regular files only, strict JSON) and write files atomically. No torch.

These functions raise OSError or ValueError with a reason; the caller knows which file it was and what to do about it.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

TEXT_LIMIT = 64 << 20
"""Largest text file that is read, bytes; a record has some kilobytes."""


def regular_bytes(path: Path, limit: int) -> bytes:
    """Content of a regular file of at most `limit` bytes; pipes and devices, which may never end, are refused."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as f:
        if not stat.S_ISREG(os.fstat(f.fileno()).st_mode):
            raise ValueError("not a regular file")
        content = f.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"larger than {limit:,} bytes")
    return content


def regular_text(path: Path, limit: int = TEXT_LIMIT) -> str:
    """UTF-8 text of a regular file."""
    return regular_bytes(path, limit).decode()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} stands twice")
    return out


def strict_json(text: str) -> Any:
    """Parse JSON strictly: no NaN or Infinity, no duplicate name, no lone surrogate, no deep nesting."""
    try:
        value = json.loads(text, object_pairs_hook=_once)
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def array(path: Path, axes: int) -> "np.ndarray":
    """Load a .npy file of `axes` dimensions; nothing is unpickled, no more memory allocated than the file holds."""
    import numpy as np  # not while planning

    if not path.is_file():
        raise FileNotFoundError(2, "no such file", str(path))
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except EOFError:
        raise ValueError("empty") from None
    if not isinstance(mapped, np.ndarray):
        mapped.close()
        raise ValueError("an archive of arrays, not one array")
    if mapped.ndim != axes:
        raise ValueError(f"{mapped.ndim} axes where {axes} belong")
    return np.array(mapped)


TEMPORARY, CHECKPOINT = ".part-", "checkpoint.pt"


def atomic_write(path: Path, content: str | bytes) -> None:
    """Write `content` to `path` atomically: a reader sees the old file or the new one, never a part."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        file, temporary = _part_of(path)
        with file as f:
            f.write(content.encode() if isinstance(content, str) else content)
            f.flush()
            os.fsync(f.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)  # while it is marked: no other writer takes it for abandoned
        _sync(path.parent)
    except BaseException as e:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink(missing_ok=True)
        if isinstance(e, OSError) and e.errno is not None:
            raise OSError(e.errno, e.strerror, str(path)) from None  # name the file, not its temporary
        raise


def _sweep(path: Path) -> None:
    """Remove temporary files of `path` whose process was killed; those being written are locked."""
    with os.scandir(path.parent) as entries:
        halves = [e.path for e in entries if e.name.startswith(f"{TEMPORARY}{path.name}.")]
    for half in halves:
        remove_abandoned(Path(half))


def _part_of(path: Path) -> tuple[IO[bytes], str]:
    """A new file beside `path`, marked as being written, and its name."""
    while True:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f"{TEMPORARY}{path.name}.")
        file = os.fdopen(handle, "wb")
        if mark(file):
            return file, temporary
        file.close()


def _sync(folder: Path) -> None:
    """Flush a folder's entries to disk, where the file system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def mark(file: IO[bytes]) -> bool:
    """Lock a temporary file until it is closed; False if `remove_abandoned` has removed it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        return e.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return os.fstat(file.fileno()).st_nlink > 0


def remove_abandoned(path: Path) -> None:
    """Remove a temporary file, unless a process holds the lock of `mark`."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)

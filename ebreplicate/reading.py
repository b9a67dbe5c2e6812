"""Reading files that other people may have written: bounded, regular, strict. No torch; nothing is unpickled.

These functions raise OSError or ValueError with a reason; the caller knows which file it was and what to do about it.
"""

import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

TEXT_LIMIT = 64 << 20
"""Bytes of the largest text that is read; a record of ours has some kilobytes."""


def regular_bytes(path: Path, limit: int) -> bytes:
    """Content of a regular file of at most `limit` bytes. A pipe or a device would keep its reader for ever."""
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
    """JSON as its standard has it: no NaN or Infinity, no name twice, no half of a surrogate pair, no deep nesting."""
    try:
        value = json.loads(text, object_pairs_hook=_once)
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def array(path: Path, axes: int) -> "np.ndarray":
    """Array of a .npy file, its shape of `axes` axes; nothing is unpickled, no more allocated than the file has."""
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

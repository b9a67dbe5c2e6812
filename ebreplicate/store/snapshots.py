"""Save and load weights and checkpoints: verified by digest, unpickled into tensors and plain values only.

torch does not compare the checksums of its own archives when it reads them, so a flipped bit would become a weight.
Each file therefore carries the SHA-256 of what torch wrote, as the comment of the zip archive that it is; any torch
reads it.
"""

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import torch

from ebreplicate.files import atomic_write, regular_bytes

LIMIT = 16 << 30
"""Bytes of the largest file that is read."""
MARK = b"sha256:"
_COMMENT = len(MARK) + 64


class Damaged(ValueError):
    """The file is damaged or not ours; the message says why."""


def packed(value: Any) -> bytes:
    """`value` as torch writes it, with its SHA-256 for the archive's comment."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    body = buffer.getvalue()  # a zip archive, whose last two bytes are the length of its comment: none
    return body[:-2] + _COMMENT.to_bytes(2, "little") + MARK + hashlib.sha256(body).hexdigest().encode()


def save(path: Path, value: Any) -> None:
    """Write `value`, atomically."""
    atomic_write(path, packed(value))


def _check(content: bytes) -> None:
    """Raise Damaged unless `content` is an archive of torch's with its own digest."""
    comment = content[-_COMMENT:]
    body = content[: -_COMMENT - 2] + b"\0\0"
    if not comment.startswith(MARK):
        raise Damaged("it carries no SHA-256")
    if comment[len(MARK) :] != hashlib.sha256(body).hexdigest().encode():
        raise Damaged("its content is not what its SHA-256 says")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OSError) as e:
        raise Damaged(f"no archive ({e})") from None
    if unpacked > len(content):  # torch stores, it does not compress
        raise Damaged("an archive larger than its file")


def load(path: Path) -> Any:
    """Load what `save` wrote, tensors on the CPU; raises Damaged for anything else, OSError if it is unreadable."""
    try:
        content = regular_bytes(path, LIMIT)
        _check(content)
        return torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
    except (OSError, Damaged):
        raise
    except Exception as e:  # torch raises many kinds
        raise Damaged(f"{type(e).__name__}: {str(e).strip().splitlines()[0] if str(e).strip() else ''}") from None

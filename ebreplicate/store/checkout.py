"""What git knows of this package's code."""

import functools
import subprocess
from pathlib import Path


def git(*arguments: str) -> str | None:
    """Output of a git command in this package's checkout, or None outside one.

    A copy that lies in somebody else's repository (an unpacked archive, an environment inside a project) is outside:
    the repository must track this file.
    """
    return _git(*arguments) if _tracked() else None


@functools.cache
def _tracked() -> bool:
    return _git("ls-files", "--error-unmatch", "--", Path(__file__).name) is not None


def _git(*arguments: str) -> str | None:
    here = Path(__file__).parent
    try:
        done = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()

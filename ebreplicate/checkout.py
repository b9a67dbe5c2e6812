"""What git knows of this package's code."""

import subprocess
from pathlib import Path


def git(*arguments: str) -> str | None:
    """Output of a git command in this package's checkout, or None outside one."""
    here = Path(__file__).parent
    try:
        done = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()

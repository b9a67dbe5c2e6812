"""Handwritten digits that scikit-learn ships, from which the datasets without a download are made."""

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ebreplicate.errors import UserError


def scanned_digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's 1,797 digits in their own order: images, float64 (n, 8, 8) in [0, 16], and labels, int64 (n,).

    Read from its file: importing scikit-learn takes longer than a training at smoke. Raises UserError where it is not
    installed, or installed without the file.
    """
    found = find_spec("sklearn")
    home = Path((found and found.origin) or "sklearn").parent
    try:
        with gzip.open(home / "datasets" / "data" / "digits.csv.gz", "rt") as file:
            rows = np.loadtxt(file, delimiter=",")
    except OSError as e:
        raise UserError(f"digits: not found in scikit-learn ({e}); reinstall it: `make venv`") from None
    return rows[:, :-1].reshape(-1, 8, 8), rows[:, -1].astype(np.int64)

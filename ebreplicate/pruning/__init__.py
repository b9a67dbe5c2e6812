"""Scores to masks, the Early-Bird detector, and channel surgery: a library for any network with `nn.BatchNorm2d`.

docs/your-network.md shows it in a training loop. It needs torch and numpy only; Torch-Pruning, to make networks of
other packages smaller, is optional. Torch is imported at first use, not here.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "global_mask": "masks",
    "mask_distance": "masks",
    "distance_matrix": "masks",
    "rescue_empty_layers": "masks",
    "prunable_scores": "channels",
    "batch_norms": "channels",
    "bn_widths": "channels",
    "masked": "channels",
    "shrink": "surgery",
    "EarlyBird": "earlybird",
    "emergence_epoch": "earlybird",
    "EarlyPruning": "indicator",
    "epi_epoch": "indicator",
    "EarlyCroP": "displacement",
    "displacement_epoch": "displacement",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = globals()[name] = getattr(import_module(f"ebreplicate.pruning.{_HOME[name]}"), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

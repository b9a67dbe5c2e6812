"""Reproducibility benchmark for *Drawing Early-Bird Tickets* (You et al., ICLR 2020).

`ebreplicate.pruning` is a library for networks of one's own; `load_ticket` gives the networks that finished runs made.
"""

__version__ = "0.1.0"
__all__ = ["load_ticket"]


def __getattr__(name: str) -> object:
    if name == "load_ticket":  # not before it is used: planning imports no torch
        from ebreplicate.trained import load_ticket

        return load_ticket
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

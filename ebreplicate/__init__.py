"""Reproducibility benchmark for *Drawing Early-Bird Tickets* (You et al., ICLR 2020)."""

__version__ = "0.1.0"

"""Runs of the re-derived training FLOPs: none, the tables follow from arithmetic."""

from ebreplicate.specs.fields import Spec
from ebreplicate.specs.scale import Scale


def runs(scale: Scale) -> list[Spec]:
    """No runs, at any scale."""
    return []

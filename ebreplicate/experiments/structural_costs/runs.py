"""Runs of the re-derived training FLOPs: none, the tables follow from arithmetic."""

from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Spec


def runs(scale: Scale) -> list[Spec]:
    """No runs, at any scale."""
    return []

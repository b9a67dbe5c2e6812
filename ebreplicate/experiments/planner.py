"""Which runs the items of a scale ask for."""

from collections.abc import Iterable

from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.specs.fields import Spec
from ebreplicate.specs.scale import Scale


def requests(scale: Scale, items: Iterable[str] | None = None) -> list[Spec]:
    """Every run that the named experiments (default: all) ask for at `scale`."""
    return [spec for item in (items or EXPERIMENTS) for spec in EXPERIMENTS.load(item).runs(scale)]

"""A run of an item in which arms are compared seed by seed. No torch."""

from typing import NamedTuple

from ebreplicate.specs.fields import Spec


class Planned(NamedTuple):
    """One run, and the arm and the seed that it is of."""

    arm: str
    seed: int
    spec: Spec

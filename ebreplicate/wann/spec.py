"""What a run of this room is: a search, or the test of the released champion. No torch, no numpy."""

from dataclasses import dataclass
from typing import ClassVar

from ebreplicate.errors import unknown
from ebreplicate.specs.fields import need
from ebreplicate.specs.spec import Alone

TASKS = {"swing-up": "CartPoleSwingUp", "digits": "8x8 digits"}
IMAGES = 1437
"""Of digits, those that a search may see."""


@dataclass(frozen=True)
class WeightAgnostic(Alone):
    """A search for weight agnostic networks, and the test of its champion; or the test of the released champion alone.

    `generations`: 0 for the released champion, which is of the swing-up task. `population`: networks a generation;
    `cases`: starts (swing-up) or images (digits) that a generation is evaluated on; `elite`: share that passes
    unchanged; `tournament`: networks of which the best one has a child; `initial`: probability that a connection is
    enabled at the start; `tests`: trials of the champion (starts; of digits, random weights).
    """

    task: str
    seed: int = 0
    generations: int = 0
    population: int = 64
    cases: int = 3
    elite: float = 0.05
    tournament: int = 4
    initial: float = 0.5
    tests: int = 100

    stage = "wann"
    model: ClassVar[str] = "weight agnostic network"

    def _validate(self) -> None:
        if self.task not in TASKS:
            raise unknown("WeightAgnostic.task", self.task, TASKS)
        most = IMAGES if self.task == "digits" else 1000
        for name, least, highest in (
            ("seed", 0, 2**32 - 1),
            ("generations", 0, 100_000),
            ("population", 2, 10_000),
            ("cases", 1, most),
            ("elite", 0, 0.8),
            ("tournament", 1, 1000),
            ("initial", 0, 1),
            ("tests", 1, 10_000),
        ):
            value = getattr(self, name)
            fits = least <= value <= highest
            need(fits, f"WeightAgnostic.{name}", f"must lie in {least:g}..{highest:g}, got {value}")
        searched = self.generations > 0 or self.task == "swing-up"
        need(searched, "WeightAgnostic.generations", f"must be at least 1: no champion of {self.task!r} was released")

    @property
    def dataset(self) -> str:
        """The task by its printed name, where other runs have a dataset."""
        return TASKS[self.task]

    @property
    def slug(self) -> str:
        """Human-readable part of the key."""
        how = f"g{self.generations}-p{self.population}" if self.generations else f"released-t{self.tests}"
        return f"wann-{self.task}-{how}-s{self.seed}"

    @property
    def batch(self) -> str:
        """Runs of one seed share a job."""
        return f"wann_s{self.seed}"

    @property
    def detail(self) -> str:
        """What sets the run apart from others of its task and seed, in words."""
        return f"{self.generations:,} generations of {self.population}" if self.generations else "the released champion"

    @property
    def stand_in(self) -> bool:
        """Whether it says nothing about the paper: fewer trials than anybody would print."""
        return self.tests < 10


SPEC = WeightAgnostic

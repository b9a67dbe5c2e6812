"""Which weights a run leaves behind: a matter of what follows it, not of what it computes. No torch."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Keep:
    """Which weights a training must leave for what follows it: those of epochs, and where tickets emerge.

    `ratios`: by the mask distance; `epi`: by the early pruning indicator, as method:ratio. `taylor`: whether the Taylor
    scores of every epoch are left as well; the mask distance is then watched on them too.
    """

    epochs: set[int] = field(default_factory=set)
    ratios: set[float] = field(default_factory=set)
    epi: set[str] = field(default_factory=set)
    taylor: bool = False

    @property
    def flags(self) -> str:
        """Command-line flags of the training."""
        kept: dict[str, set[Any]] = {"epochs": self.epochs, "ratios": self.ratios, "epi": self.epi}
        flags = [f"--keep-{name} {' '.join(map(str, sorted(v)))}" for name, v in kept.items() if v]
        return " ".join(flags + ["--keep-taylor"] * self.taylor)

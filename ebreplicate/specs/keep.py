"""Which weights a run saves: those that later runs need. They do not change what it computes. No torch."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Keep:
    """Which weights a training must leave for what follows it: those of epochs, and where tickets emerge.

    `ratios`: by the mask distance; `epi`: by the early pruning indicator, as method:ratio. `taylor`: whether the Taylor
    scores of every epoch are saved as well; the mask distance is then watched on them too.
    """

    epochs: set[int] = field(default_factory=set)
    ratios: set[float] = field(default_factory=set)
    epi: set[str] = field(default_factory=set)
    taylor: bool = False

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold, sorted."""
        kept: dict[str, set[Any]] = {"epochs": self.epochs, "ratios": self.ratios, "epi": self.epi}
        return {**{name: sorted(values) for name, values in kept.items() if values}, "taylor": self.taylor}

    @classmethod
    def from_dict(cls, kept: dict[str, Any]) -> "Keep":
        """The inverse of `to_dict`."""
        epochs, ratios, epi = (set(kept.get(name, ())) for name in ("epochs", "ratios", "epi"))
        return cls(epochs, ratios, epi, bool(kept.get("taylor")))

    def __or__(self, other: "Keep") -> "Keep":
        """What both ask for."""
        ratios, epi = self.ratios | other.ratios, self.epi | other.epi
        return Keep(self.epochs | other.epochs, ratios, epi, self.taylor or other.taylor)

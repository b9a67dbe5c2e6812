"""Which weights a run leaves behind: a matter of what follows it, not of what it computes. No torch."""

from dataclasses import dataclass, field


@dataclass
class Keep:
    """Which weights a training must leave for what follows it: those of epochs, and where tickets emerge.

    `ratios`: by the mask distance; `epi`: by the early pruning indicator, as method:ratio.
    """

    epochs: set[int] = field(default_factory=set)
    ratios: set[float] = field(default_factory=set)
    epi: set[str] = field(default_factory=set)

    @property
    def flags(self) -> str:
        """Command-line flags of the training."""
        kept = {"epochs": self.epochs, "ratios": self.ratios, "epi": self.epi}
        return " ".join(f"--keep-{name} {' '.join(map(str, sorted(v)))}" for name, v in kept.items() if v)

"""Architecture search and pruning in one training: its settings and schedules. No torch.

Source: You et al., SuperTickets, ECCV 2022, by the released code (RICE-EIC/SuperTickets @ 36d7edd;
docs/supertickets.md).
"""

from dataclasses import dataclass

from ebreplicate.errors import unknown
from ebreplicate.specs.fields import Spec, need

STALE, ZEROED, RESET = "stale", "zeroed", "reset"
CONNECTIVITIES = (STALE, ZEROED, RESET)
"""What becomes of a pruned weight: it keeps its value and competes again; it stays zero; it becomes zero and trains
on."""
MAGNITUDE, RANDOM = "magnitude", "random"
RANKINGS = (MAGNITUDE, RANDOM)
SIZES = ("alive_channels", "alive_weights", "unmasked_weights", "forward_products")
"""Hidden channels left; weights of the network without the others; of these, those that are not pruned; and
multiply-adds by them in an image's forward pass."""


@dataclass(frozen=True)
class Joint(Spec):
    """A supernet's channels are searched by an L1 term, and its weights pruned in rounds, while it trains.

    `rho`: strength of the resource-weighted L1 term, reached linearly over `warmup` epochs. `shrink`: epochs between
    removals of channels. `target`: fraction of the weights that is zero in the end (0: none is pruned), in rounds of
    `increment` more every `interval` epochs. `connectivity`: what becomes of pruned weights. `ranking`: what is pruned
    first, the smallest or any.
    """

    rho: float
    warmup: int
    shrink: int
    target: float = 0.0
    interval: int = 1
    increment: float = 0.1
    connectivity: str = STALE
    ranking: str = MAGNITUDE

    def _validate(self) -> None:
        need(self.rho >= 0, "Joint.rho", f"must not be negative, got {self.rho}")
        need(self.warmup >= 0, "Joint.warmup", f"must not be negative, got {self.warmup}")
        for name in ("shrink", "interval"):
            need(getattr(self, name) >= 1, f"Joint.{name}", f"must be at least 1 epoch, got {getattr(self, name)}")
        need(0 <= self.target < 1, "Joint.target", f"must lie in [0, 1), got {self.target}")
        need(0 < self.increment <= 1, "Joint.increment", f"must lie in (0, 1], got {self.increment}")
        if self.connectivity not in CONNECTIVITIES:
            raise unknown("Joint.connectivity", self.connectivity, CONNECTIVITIES)
        if self.ranking not in RANKINGS:
            raise unknown("Joint.ranking", self.ranking, RANKINGS)

    def rho_at(self, epoch: float) -> float:
        """Strength of the L1 term after `epoch` epochs, a fraction within one."""
        return self.rho * min(1.0, epoch / self.warmup) if self.warmup else self.rho

    def is_round(self, epoch: int) -> bool:
        """Whether weights are pruned after so many epochs."""
        return self.target > 0 and epoch % self.interval == 0

    def pruned_at(self, epoch: int) -> float:
        """Fraction that is pruned at the round after `epoch` epochs."""
        return min(self.target, round(self.increment * (epoch // self.interval), 10))

    @property
    def slug(self) -> str:
        """Part of the key of a training."""
        rounds = f"-p{self.target:g}-every{self.interval}-{self.connectivity}" if self.target else ""
        return f"joint{self.rho:g}{rounds}" + ("-random" if self.ranking == RANDOM else "")

    @property
    def words(self) -> str:
        """For a reader."""
        pruned = f", {self.target:g} of the weights pruned from epoch {self.interval} on ({self.connectivity})"
        return f"channels searched with an L1 term of {self.rho:g}" + (pruned if self.target else "")

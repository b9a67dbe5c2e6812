"""Bit-widths of quantised training: which schedules there are, what they give, and what a step costs. No torch.

Sources: CPT's and FracTrain's released code (RICE-EIC/CPT @ eb9cdaa, RICE-EIC/FracTrain @ dc4fa5b), and, of learned
bits, ViTALiTy's unused quantiser (docs/learned-precision.md).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ebreplicate.errors import unknown
from ebreplicate.specs.fields import Spec, need

STATIC, CYCLIC, PROGRESSIVE, LEARNED = "static", "cyclic", "progressive", "learned"
SCHEDULES = (STATIC, CYCLIC, PROGRESSIVE, LEARNED)
MOST = 32
CYCLES = 32
"""Of a training, in the cyclic schedule (CPT)."""
WINDOW = 5
"""Epochs whose losses the progressive schedule compares (FracTrain)."""
SCALE_EPOCHS = 10
"""First epochs, whose mean loss is the unit of the losses."""
THRESHOLD, DECAY, DECAYS = 0.05, 0.3, 2
"""Of the progressive schedule: differences up to the threshold end a stage; it is multiplied by the decay after the
first and again after the second turning point."""


@dataclass(frozen=True)
class Bits(Spec):
    """Bit-widths of every convolution's operands in training (`forward`) and of the gradient of its output.

    "static": one number each. "cyclic": `forward` rises from the first to the second in each of 32 cycles (CPT, ICLR
    2021). "progressive": stages, as many of `forward` as of `backward`, the next one where the loss no longer falls
    (PFQ of FracTrain, NeurIPS 2020). "learned": a number for each layer between the two of `forward`, from the smaller
    on (LDP, a reconstruction); `cost` weighs the training's BitOPs, relative to the largest bits, in its loss.
    """

    schedule: str
    forward: tuple[int, ...]
    backward: tuple[int, ...]
    cost: float = 0.0

    def _validate(self) -> None:
        if self.schedule not in SCHEDULES:
            raise unknown("Bits.schedule", self.schedule, SCHEDULES)
        for name in ("forward", "backward"):
            for i, bits in enumerate(getattr(self, name)):
                need(1 <= bits <= MOST, f"Bits.{name}[{i}]", f"must lie in 1..{MOST} bits, got {bits}")
        most = len(self.forward) if self.schedule == PROGRESSIVE else 1 if self.schedule == STATIC else 2
        stages = len(self.forward) >= 2 if self.schedule == PROGRESSIVE else len(self.forward) == most
        need(stages, "Bits.forward", f"{self.schedule!r} takes {most if most < 3 else 'two or more'}: {self.forward}")
        rising = list(self.forward) == sorted(set(self.forward))
        need(rising, "Bits.forward", f"must increase strictly, got {list(self.forward)}")
        alike = len(self.backward) == (len(self.forward) if self.schedule == PROGRESSIVE else 1)
        need(alike, "Bits.backward", f"does not fit {self.schedule!r} of {len(self.forward)}: {list(self.backward)}")
        need(self.cost >= 0, "Bits.cost", f"must not be negative, got {self.cost}")
        need(self.schedule == LEARNED or not self.cost, "Bits.cost", f"means nothing with {self.schedule!r}")

    @property
    def slug(self) -> str:
        """Human-readable part of a run's key."""
        forward, backward = ("-".join(map(str, bits)) for bits in (self.forward, self.backward))
        return f"{self.schedule}{forward}g{backward}" + (f"c{self.cost:g}" if self.cost else "")

    @property
    def words(self) -> str:
        """What a reader is shown."""
        forward, backward = (" to ".join(map(str, sorted({b[0], b[-1]}))) for b in (self.forward, self.backward))
        term = f", cost term {self.cost:g}" if self.cost else ""
        return f"{self.schedule} {forward} bits, gradients {backward}{term}"


def cyclic_bits(low: int, high: int, step: int, steps: int) -> int:
    """Bits at the 0-based `step` of `steps`: a rising half cosine in each of 32 cycles (CPT, section 3.2 and code)."""
    phase = CYCLES * step % steps / steps
    return round(low + (high - low) / 2 * (1 - math.cos(math.pi * phase)))


def stage_of(losses: Sequence[float], stages: int) -> int:
    """Stage (0-based) of the progressive schedule after epochs of these mean training losses (FracTrain's PFQ).

    A stage ends when the loss differs from each of the four before it by at most the threshold, in units of the mean
    loss of the first ten epochs; then the losses seen are forgotten.
    """
    stage, seen, threshold = 0, list[float](), THRESHOLD
    for epoch, loss in enumerate(losses, start=1):
        seen.append(loss)
        first = losses[: min(epoch, SCALE_EPOCHS)]
        unit = math.fsum(first) / len(first)
        last = seen[-WINDOW:]
        settled = len(last) == WINDOW and all(abs(other - loss) <= threshold * unit for other in last[:-1])
        if settled and stage < stages - 1:
            stage += 1
            threshold *= DECAY if stage <= DECAYS else 1.0
            seen.clear()
    return stage


def operations(forward: float, backward: float) -> float:
    """Bit operations of a multiplication in training, averaged over its three passes: forward, and the two of the
    backward pass, whose other factor has the gradient's bits."""
    return (forward * forward + 2 * forward * backward) / 3


def cyclic_saving(low: int, high: int, backward: int, steps: int) -> float:
    """BitOPs that the cyclic schedule saves over static `high` bits, in percent of them."""
    spent = math.fsum(operations(cyclic_bits(low, high, step, steps), backward) for step in range(steps)) / steps
    return 100 * (1 - spent / operations(high, backward))

"""What the claims compare: arms and ratios of each, and the differences by seed, paired image by image."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ebreplicate.experiments.common import per_image
from ebreplicate.experiments.common.judgement import BETTER, NO_WORSE
from ebreplicate.experiments.early_bird import runs
from ebreplicate.experiments.early_bird.runs import EARLY, EB_TRAIN, FINAL, FIRST, MAIN, SECOND, draw_name
from ebreplicate.specs.scale import Scale

if TYPE_CHECKING:
    from ebreplicate.store.store import Store

PRIMARY, SECONDARY = "primary", "secondary"
UNSEEN, OFFICIAL, CURVE = "unseen", "official", "curve"
"""Images: all that training did not see; the whole test set; the test images of the learning curve."""
WHOLE = "all"
"""The part of a contrast that is judged; its other parts, a ratio or an arm, are exploratory."""
Values = Callable[[dict[str, Any]], Any]
"""From a row of the table to its outcome: one value an image (N,), or one in all; None if there is none."""


@dataclass(frozen=True)
class Compared:
    """One claim of the analysis plan: the mean of the arms `first` minus that of `second`, over the core's ratios or
    the one of the other arms. Without `second` it is about emergence. `gate`: an arm of a bad draw, shown beside the
    claim: `first` minus it says whether the network can see one."""

    name: str
    statement: str
    source: str
    test: str
    first: tuple[str, ...]
    second: tuple[str, ...] = ()
    core: bool = True
    model: str = MAIN
    family: str = PRIMARY
    gate: str = ""

    def ratios(self, scale: Scale) -> tuple[float, ...]:
        """Pruning ratios of its cells."""
        grid = runs.grid_of(scale)
        return grid.ratios if self.core else (grid.ratio,)

    def seeds(self, scale: Scale) -> tuple[int, ...]:
        """Seeds for which all of its arms are planned."""
        few = not self.core or draw_name(FIRST) in self.second
        return (runs.few_of if few else runs.seeds_of)(scale, self.model)

    def parts(self, scale: Scale) -> Iterator[tuple[str, tuple[float, ...], tuple[str, ...], tuple[str, ...]]]:
        """(name, ratios, first arms, second arms) of the whole contrast and then of its parts: an arm alone is held
        against its own partner where the second arms are as many."""
        ratios = self.ratios(scale)
        yield WHOLE, ratios, self.first, self.second
        if len(ratios) > 1:
            yield from ((f"ratio {ratio:g}", (ratio,), self.first, self.second) for ratio in ratios)
        if len(self.first) > 1:
            alike = len(self.second) == len(self.first)
            partners = [(arm,) for arm in self.second] if alike else [self.second] * len(self.first)
            yield from ((a, ratios, (a,), b) for a, b in zip(self.first, partners, strict=True))
        if self.gate:
            yield f"{' and '.join(self.first)} minus {self.gate}", ratios, self.first, (self.gate,)


EARLY_ARMS = tuple(draw_name(epoch) for epoch in EARLY)
LOW_ARMS = tuple(draw_name(epoch, low=True) for epoch in EARLY)
FIGURE, TABLE = "paper, Fig. 1", "paper, Table 2"
CLAIMS = (
    Compared(
        "p1-draw-epoch-matters",
        "The draw epoch matters: tickets drawn after 12.5 and 25 % of training are more accurate than those drawn "
        "after the first epoch, at equal ratio (their networks are larger). If not, the next five are exploratory.",
        FIGURE,
        BETTER,
        EARLY_ARMS,
        (draw_name(FIRST),),
    ),
    Compared(
        "p2-early-as-good-as-final",
        "Early tickets are as good as final ones, each trained on from the weights of its draw.",
        f"{FIGURE} and title",
        NO_WORSE,
        EARLY_ARMS,
        (draw_name(FINAL),),
    ),
    Compared(
        "p3-early-mask-as-good",
        "The early mask is as good as the final mask, both on the weights of 12.5 % of training.",
        f"{FIGURE} and title",
        NO_WORSE,
        EARLY_ARMS[:1],
        (runs.MASK_ONLY,),
    ),
    Compared(
        "p4-eb-train-matches-dense",
        "EB Train matches dense training at equal epochs.",
        f"abstract; {TABLE}",
        NO_WORSE,
        (EB_TRAIN,),
        (runs.DENSE,),
    ),
    Compared(
        "p5-eb-train-matches-slimming",
        "EB Train matches network slimming, which trains twice as long.",
        TABLE,
        NO_WORSE,
        (EB_TRAIN,),
        (draw_name(FINAL),),
    ),
    Compared(
        "p6-masks-settle-before-decay",
        "Masks settle before the first learning-rate decay, at half of training (paper: tickets emerge after 6 to "
        "19 %).",
        "paper, section 3 and Fig. 3",
        BETTER,
        (EB_TRAIN,),
    ),
    Compared(
        "s1-early-matches-dense",
        "Early tickets match dense training.",
        f"{FIGURE} (dashed baselines)",
        NO_WORSE,
        EARLY_ARMS,
        (runs.DENSE,),
        family=SECONDARY,
    ),
    Compared(
        "s2-channels-matter",
        "Which channels stay matters, not only how many a layer: EB Train beats random channels of the same widths.",
        "ours: the control for structure against selection",
        BETTER,
        (EB_TRAIN,),
        (runs.RANDOM,),
        core=False,
        family=SECONDARY,
    ),
    Compared(
        "s3-eb-train-matches-reinit",
        "EB Train matches its re-initialised ticket, trained for all epochs.",
        TABLE,
        NO_WORSE,
        (EB_TRAIN,),
        (runs.REINIT,),
        core=False,
        family=SECONDARY,
    ),
    Compared(
        "s4-eb-train-matches-weight-pruning",
        "EB Train matches weight pruning (SNIP and the one-shot lottery ticket) at equal nominal ratio: of channels "
        "here, of weights there.",
        TABLE,
        NO_WORSE,
        (EB_TRAIN,),
        (runs.SNIP, runs.LOTTERY),
        core=False,
        family=SECONDARY,
    ),
    Compared(
        "s5-large-rate-better-tickets",
        "A large learning rate of the search gives better early tickets than a tenth of it.",
        "paper, Table 1",
        BETTER,
        EARLY_ARMS,
        LOW_ARMS,
        core=False,
        family=SECONDARY,
    ),
    Compared(
        "s6-second-network",
        "P2 on the second network: a ticket drawn after 12.5 % of training is as good as the final one.",
        FIGURE,
        NO_WORSE,
        EARLY_ARMS[:1],
        (draw_name(FINAL),),
        core=False,
        model=SECOND,
        family=SECONDARY,
        gate=draw_name(FIRST),
    ),
)
EMERGENCE = "p6-masks-settle-before-decay"
DECAY = 50.0
"""Percent of training after which the rate falls first."""


def cells_of(claim: Compared, scale: Scale) -> list[tuple[float, str]]:
    """(ratio, arm) of every run that a claim compares in one seed; dense networks have ratio 0."""
    arms = (*claim.first, *claim.second)
    return [(0.0 if arm == runs.DENSE else ratio, arm) for ratio in claim.ratios(scale) for arm in arms]


def rows(scale: Scale, store: "Store", table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a contrast, part, set of images and seed that has all of its runs: see `table.table`."""
    found = {(row["model"], row["ratio"], row["arm"], row["seed"]): row for row in table}
    bits: dict[str, Any] = {}

    def unseen(row: dict[str, Any]) -> Any:
        if row["key"] not in bits:
            bits[row["key"]] = per_image.correct(row, store)
        return bits[row["key"]]

    def official(row: dict[str, Any]) -> Any:
        packed = unseen(row)
        return None if packed is None else packed[: row["official_images"]]

    out = []
    for claim in CLAIMS:
        if claim.name == EMERGENCE:
            out += _emergence(claim, scale, found)
            continue
        for images, values in ((UNSEEN, unseen), (OFFICIAL, official), (CURVE, _curve)):
            for part, ratios, *sides in claim.parts(scale):
                names = {"claim": claim.name, "model": claim.model, "part": part, "images": images}
                out += _part(found, ratios, sides, values, names)
    return out


def _curve(row: dict[str, Any]) -> float | None:
    """Accuracy of the last epoch on the test images of the learning curve; none without a training."""
    return row.get("last_accuracy") if row["status"] == "ok" else None


def _part(
    found: dict[tuple[str, float, str, int], dict[str, Any]],
    ratios: tuple[float, ...],
    sides: Sequence[tuple[str, ...]],
    values: Values,
    names: dict[str, Any],
) -> Iterator[dict[str, Any]]:
    """The differences of one part, first arms minus second, a row a seed; with images, the mean products of every two
    seeds' differences."""
    differences: dict[int, Any] = {}
    keys: dict[int, list[str]] = {}
    for seed in sorted({seed for *_, seed in found}):
        total: Any = 0.0
        keys[seed] = []
        for ratio in ratios:
            for arms, sign in zip(sides, (1, -1), strict=True):
                for arm in arms:
                    row = found.get((names["model"], 0.0 if arm == runs.DENSE else ratio, arm, seed))
                    value = None if row is None else values(row)
                    if row is None or value is None:
                        break
                    keys[seed].append(row["key"])
                    total = total + sign * np.asarray(value, np.float64) / len(arms) / len(ratios)
        if len(keys[seed]) == len(ratios) * sum(map(len, sides)):
            differences[seed] = total
    for seed, columns in per_image.columns(differences).items():
        more: dict[str, Any] = {"dataset": runs.DATASET, "seed": seed, "status": "contrast"}
        yield names | more | columns | {"key": " ".join(dict.fromkeys(keys[seed]))}


def _emergence(claim: Compared, scale: Scale, found: dict[tuple[str, float, str, int], dict[str, Any]]) -> Any:
    """How much earlier than the first decay tickets emerge, in percent of training: mean over ratios, by seed."""
    for part, ratios, (arm,), _ in claim.parts(scale):
        for seed in sorted({seed for *_, seed in found}):
            here = [found.get((claim.model, ratio, arm, seed), {}) for ratio in ratios]
            if all(row.get("emergence") is not None for row in here):
                mean = sum(row["emergence"] for row in here) / len(here)
                names: dict[str, Any] = {"claim": claim.name, "part": part, "images": CURVE, "model": claim.model}
                names |= {"dataset": runs.DATASET, "seed": seed, "status": "contrast"}
                yield names | {"difference": DECAY - mean, "key": " ".join(row["draw_key"] for row in here)}

"""The claims of the protocol (docs/supertickets.md); no printed value was available."""

import pandas as pd

from ebreplicate.experiments.common.compared import Compared, judged
from ebreplicate.experiments.common.experiment import COST, Claim
from ebreplicate.experiments.common.judgement import BETTER, NO_WORSE
from ebreplicate.experiments.common.margins import margin_of
from ebreplicate.experiments.supertickets.runs import AFTER, FROZEN, JOINT, RETRAINED
from ebreplicate.specs.scale import Scale

ABSTRACT = "SuperTickets, ECCV 2022, abstract"
PAGE = "docs/supertickets.md"
ACCURACY = (
    Compared(
        "st-beats-search-prune",
        "Without retraining, a network searched and pruned in one training is better than one searched, then pruned.",
        ABSTRACT,
        BETTER,
        ((JOINT, 1.0), (AFTER, -1.0)),
    ),
    Compared(
        "st-matches-retrained",
        "Without retraining, a network searched and pruned in one training is no worse than one searched, pruned and "
        "retrained.",
        ABSTRACT,
        NO_WORSE,
        ((JOINT, 1.0), (RETRAINED, -1.0)),
    ),
    Compared(
        "st-changing-masks",
        "Masks whose weights may come back give a better network than masks that only shrink.",
        ABSTRACT,
        BETTER,
        ((JOINT, 1.0), (FROZEN, -1.0)),
    ),
)
NUMBERS = (
    Compared(
        "st-half-the-training",
        "Searching and pruning in one training costs less than half of searching, pruning and retraining.",
        "ours, what one training saves",
        BETTER,
        ((RETRAINED, 0.5), (JOINT, -1.0)),
        unit="10^9 multiply-adds",
        column="training_products",
        kind=COST,
    ),
    Compared(
        "st-weights-return",
        "Pruned weights come back at the next round: mean of rounds.",
        "SuperTickets, ECCV 2022 (its code)",
        BETTER,
        ((JOINT, 1.0),),
        unit="% of the pruned weights",
        column="returned",
    ),
)


def claims(scale: Scale, table: pd.DataFrame) -> list[Claim]:
    """Claims about accuracy, and about numbers of the trainings, as a family each."""
    margin = margin_of(scale, "cifar10")
    accuracy = judged(ACCURACY, table, margin, "SuperTickets: accuracy", PAGE)
    return [*accuracy, *judged(NUMBERS, table, margin, "SuperTickets: numbers of the trainings", PAGE)]

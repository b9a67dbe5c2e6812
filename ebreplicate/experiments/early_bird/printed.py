"""The paper's numbers for the arms of this item, and the differences between them that its claims are about."""

import math
from statistics import fmean

from ebreplicate.experiments.early_bird.contrasts import Compared
from ebreplicate.experiments.early_bird.runs import DATASET, DENSE, DRAW, EB_TRAIN, FINAL, draw_name
from ebreplicate.experiments.fig1 import runs as fig1
from ebreplicate.experiments.table2.cells import differences as differences_of_table2
from ebreplicate.specs.scale import Scale

SLIMMING = "NS"
"""What Table 2 calls the final ticket, trained on."""


def accuracy(model: str, ratio: float, arm: str) -> float | None:
    """The paper's accuracy of an arm minus that of its dense network, in points; None where it has none.

    Draws and the dense network are of its Figure 1, the other arms of its Table 2.
    """
    if arm == DENSE:
        return 0.0
    found = DRAW.fullmatch(arm)
    if not found or found["rate"]:
        return differences_of_table2(DATASET, model).get((arm, ratio))
    points = fig1.printed(DATASET, model)
    dense = points[points.draw == "dense"].value.iloc[0]
    here = points[(points.draw == found["epoch"]) & ((points.prune_ratio - ratio).abs() < 1e-9)]
    return float(here.value.iloc[0] - dense) if len(here) else None


def difference(claim: Compared, scale: Scale) -> float:
    """The difference of a claim between the paper's numbers, in points; nan where one of them is not printed.

    EB Train is held against the final ticket of its own table there.
    """
    if not claim.second:  # emergence: the paper annotates other ratios
        return math.nan
    of_table = {draw_name(FINAL): SLIMMING} if EB_TRAIN in claim.first else {}
    means = []
    for arms in (claim.first, claim.second):
        values = [accuracy(claim.model, ratio, of_table.get(arm, arm)) for ratio in claim.ratios(scale) for arm in arms]
        if None in values:
            return math.nan
        means.append(fmean(value for value in values if value is not None))
    return means[0] - means[1]

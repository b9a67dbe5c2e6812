"""The claims of the protocol (docs/early-crop.md)."""

import pandas as pd

from ebreplicate.experiments.common.compared import Compared, judged
from ebreplicate.experiments.common.experiment import COST, Claim
from ebreplicate.experiments.common.judgement import BETTER, NO_WORSE
from ebreplicate.experiments.common.margins import margin_of
from ebreplicate.experiments.common.rows import by_seed, interval
from ebreplicate.experiments.common.verdicts import greater
from ebreplicate.experiments.early_crop.runs import (
    AT_INIT,
    CROP_AT_EB,
    DENSE,
    EARLY_CROP,
    EB_TRAIN,
    GAMMA_AT_CROP,
    LEAK,
)
from ebreplicate.specs.scale import Scale

ABSTRACT = "EarlyCroP, abstract (reconstruction from its code)"
OURS = "ours, between EarlyCroP and EB Train"
FAMILY = "EarlyCroP"
FIRES_EARLIER, COSTS_LESS = "early-crop-fires-earlier", "early-crop-costs-less"
COMPARED = (
    Compared(
        FIRES_EARLIER,
        "EarlyCroP's rule (its code's) fires before the mask distance settles, mean of the ratios.",
        OURS,
        BETTER,
        unit="% of training",
    ),
    Compared(
        "early-crop-criterion",
        "The CroP score, abs(theta . H g), chooses better channels than abs(gamma): mean over both epochs of pruning.",
        ABSTRACT,
        BETTER,
        ((EARLY_CROP, 0.5), (GAMMA_AT_CROP, -0.5), (CROP_AT_EB, 0.5), (EB_TRAIN, -0.5)),
    ),
    Compared(
        "early-crop-time",
        "EarlyCroP's epoch is no worse a time to prune than EB's: mean over both criteria.",
        OURS,
        NO_WORSE,
        ((EARLY_CROP, 0.5), (CROP_AT_EB, -0.5), (GAMMA_AT_CROP, 0.5), (EB_TRAIN, -0.5)),
    ),
    Compared(
        "early-crop-matches-eb-train",
        "EarlyCroP is no worse than EB Train at equal channels and equal total epochs.",
        ABSTRACT,
        NO_WORSE,
        ((EARLY_CROP, 1.0), (EB_TRAIN, -1.0)),
    ),
    Compared(
        "early-crop-not-before",
        "Early, not before: EarlyCroP is better than the same criterion on the untrained network.",
        ABSTRACT,
        BETTER,
        ((EARLY_CROP, 1.0), (AT_INIT, -1.0)),
    ),
    Compared(
        "early-crop-matches-dense",
        "EarlyCroP is no worse than dense training.",
        ABSTRACT,
        NO_WORSE,
        ((EARLY_CROP, 1.0), (DENSE, -1.0)),
    ),
    Compared(
        "early-crop-leak",
        "Scoring channels on test images, as the released trainer does, raises the accuracy on test images.",
        "EarlyCroP's released code",
        BETTER,
        ((LEAK, 1.0), (EARLY_CROP, -1.0)),
        unseen=False,
    ),
)


def claims(scale: Scale, table: pd.DataFrame) -> list[Claim]:
    """The seven judged claims, and what EarlyCroP costs."""
    return [*judged(COMPARED, table, margin_of(scale, "cifar10"), FAMILY), _costs_less(table)]


def _costs_less(table: pd.DataFrame) -> Claim:
    """Training FLOPs of EB Train minus EarlyCroP's, in percent of dense training: a ratio that is measured."""
    eb, crop, dense = (by_seed(table, "training_flops", arm=arm) for arm in (EB_TRAIN, EARLY_CROP, DENSE))
    shared = sorted(set(eb) & set(crop) & set(dense))
    saved = interval({s: 100 * (eb[s] - crop[s]) / dense[s] for s in shared})
    return Claim(
        COSTS_LESS,
        "EarlyCroP costs fewer training FLOPs than EB Train, its scoring included.",
        ABSTRACT,
        "training FLOPs of search, draw and rest of the schedule, in % of dense training; t-interval over seeds",
        greater(saved, f"{EB_TRAIN} minus {EARLY_CROP}", "% of dense training"),
        kind=COST,
    )

"""EarlyCroP beside early-bird tickets: when each rule fires, and which channels each criterion keeps (ICML 2022)."""

from ebreplicate.experiments.common.experiment import Experiment

EXPERIMENT = Experiment(
    item="early_crop",
    title="EarlyCroP (reconstruction): when to prune, and what",
    package=__name__,
    functions={"cells": None},
    category="Beyond the paper",
    caption=(
        "EarlyCroP prunes when the weights have stopped moving away from where they were, and keeps the channels on "
        "which the gradient flow depends; EB Train prunes when the mask settles, and keeps the largest scales. Left, "
        "how far each indicator is from its threshold over the epochs of one search; middle, where each fires; right, "
        "the accuracy of every combination of criterion and time after the rest of the schedule, minus that of the "
        "dense network of the same seed. A reconstruction from the released code: no printed number was available."
    ),
)

"""Detector study (ours): when three readings of the detector fire, and what drawing there costs in accuracy."""

from ebreplicate.experiments.common.experiment import Experiment

EXPERIMENT = Experiment(
    item="detector_study",
    title="Detector study: when does the ticket emerge?",
    package=__name__,
    category="Beyond the paper",
    caption=(
        "The paper's detector compares the newest channel mask with older ones and stops the search when they agree. "
        "Text and code describe different rules; this shows the epoch at which each fires, and how the accuracy of "
        "the ticket drawn there compares with the best ticket of Figure 1's grid, and EB Train, which goes on from "
        "there with the small network, with training the dense network all the way."
    ),
)

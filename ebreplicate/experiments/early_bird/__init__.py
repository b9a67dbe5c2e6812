"""The claims about early-bird tickets that a reduced scale can decide (docs/statistics.md), and the runs they need."""

from ebreplicate.experiments.common.experiment import Experiment

EXPERIMENT = Experiment(
    item="early_bird",
    title="Early-bird tickets: the claims that are judged",
    package=__name__,
    functions={"cells": None},
    category="Claims",
    caption=(
        "Do channels chosen early in training make as good a small network as channels chosen at the end? Each row is "
        "one way to get a small network: drawn early, drawn late, the late choice of channels on early weights, EB "
        "Train with its detector, and controls. The horizontal axis is its accuracy minus that of the dense network of "
        "the same seed, after the last epoch."
    ),
)

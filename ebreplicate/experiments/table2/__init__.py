"""Table 2: accuracy and training cost of EB Train beside its baselines, and the controls the paper leaves out."""

from ebreplicate.experiments.common.experiment import Experiment

EXPERIMENT = Experiment(
    item="table2",
    title="Table 2: EB Train against its baselines",
    package=__name__,
    functions={"cells": "cells:cells"},
    category="Paper tables",
    caption=(
        "Test accuracy of small networks found in eight ways, and what finding and training them costs. EB Train stops "
        "the dense training as soon as the channels to keep have settled; the baselines train the dense network to the "
        "end (network slimming, ThiNet), twice (one-shot lottery ticket), or prune single weights before training "
        "(SNIP). The controls ask what the gain is owed to: the choice of channels, the inherited weights, or the "
        "length of training."
    ),
)

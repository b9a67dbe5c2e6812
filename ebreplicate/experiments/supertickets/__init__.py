"""SuperTickets: architecture search and pruning in one training, beside search, pruning and retraining (ECCV 2022)."""

from ebreplicate.experiments.common.experiment import Experiment

EXPERIMENT = Experiment(
    item="supertickets",
    title="SuperTickets: search and prune in one training",
    package=__name__,
    functions={"cells": None},
    category="Methods beside the paper's",
    caption=(
        "A small supernet whose channels are removed by an L1 term and whose weights are pruned in rounds, in one "
        "training (two-in-one), beside one that is searched, then pruned, then retrained. Left, accuracy on unseen "
        "images; middle, weights that are left over the epochs; right, the share of pruned weights that come back at "
        "the next round. Without the branches and the transformer of the authors' supernet."
    ),
)

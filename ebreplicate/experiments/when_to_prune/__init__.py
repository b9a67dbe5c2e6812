"""When to prune: the Early Pruning Indicator beside the mask distance, and both beside the best draw (an oracle)."""

from ebreplicate.experiments.common.experiment import Experiment

EXPERIMENT = Experiment(
    item="when_to_prune",
    title="When to prune: EPI beside the mask distance",
    package=__name__,
    category="Beyond the paper",
    caption=(
        "Two indicators say when a network in training may be pruned: the mask distance of early-bird tickets asks "
        "whether the same channels would be kept, the early pruning indicator (EPI) only whether each layer would keep "
        "as many. Left and middle, how unsettled each finds the network over the epochs, with channels ranked by "
        "magnitude and by gradient; right, how much accuracy pruning there loses against the best draw epoch that a "
        "grid of retrains finds."
    ),
)

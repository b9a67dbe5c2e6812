"""Figure 1, existence of early-bird tickets: retrain accuracy against the epoch the ticket was drawn at."""

from ebreplicate.experiments.common.experiment import Experiment

EXPERIMENT = Experiment(
    item="fig1_existence",
    title="Figure 1: early-bird tickets exist",
    package=__name__,
    category="Paper figures",
    caption=(
        "Early in training, a network's batch-norm scales already tell which channels matter. Each point takes the "
        "channels that a training run would keep after so many epochs (horizontal: share of the search), cuts the "
        "network down to them, trains the small network, and shows its test accuracy minus that of the dense network "
        "(vertical, percentage points). If tickets drawn early do as well as tickets drawn at the end, most of the "
        "dense training was not needed to find them."
    ),
)

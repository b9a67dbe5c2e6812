"""Sparse training from scratch: RigL beside static, SNIP, small-dense, SET, SNFS and gradual pruning."""

from ebreplicate.experiments.common.experiment import Experiment

EXPERIMENT = Experiment(
    item="rigl_family",
    title="RigL and its family: sparse training from scratch",
    package=__name__,
    category="Beyond the paper",
    caption=(
        "Instead of training a dense network and pruning it, these methods train a network that is sparse from the "
        "first step. Static masks never change; SET, SNFS and RigL move weights to better places while training; "
        "gradual pruning starts dense. Left: accuracy against the fraction of zero weights. Right: accuracy against "
        "training FLOPs relative to the dense network."
    ),
)

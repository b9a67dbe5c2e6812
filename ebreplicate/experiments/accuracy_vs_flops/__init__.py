"""Accuracy against total training FLOPs (ours): every method and ratio one point, and which are worth their cost."""

from ebreplicate.experiments.common.experiment import Experiment

EXPERIMENT = Experiment(
    item="accuracy_vs_flops",
    title="Accuracy against total training FLOPs",
    package=__name__,
    category="Beyond the paper",
    caption=(
        "What a trained small network costs in all, search included (horizontal: training FLOPs over those of the "
        "unpruned network, logarithmic), and its accuracy minus that of the unpruned network (vertical, percentage "
        "points). The line joins the points that nothing else beats at their cost. Hollow points are the paper's; grey "
        "ones are controls that it does not have. The FLOPs of networks that are sparse from the first step count "
        "non-zero weights only, which dense hardware does not. Iterative lottery tickets pay for the dense network "
        "once a round."
    ),
)

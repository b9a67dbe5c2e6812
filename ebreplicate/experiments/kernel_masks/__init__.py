"""Kernel-wise soft masks for several tasks: KSM, a reconstruction in two readings, beside Piggyback (CVPR 2021)."""

from ebreplicate.experiments.common.experiment import Experiment

EXPERIMENT = Experiment(
    item="kernel_masks",
    title="Kernel-wise soft masks for several tasks (reconstruction of KSM)",
    package=__name__,
    category="Methods beside the paper's",
    caption=(
        "A trained network adapted to tasks of five classes each: by a mask over its frozen weights (Piggyback), over "
        "its kernels, binary or soft in the two readings of KSM, by batch norms and classifier alone, and by "
        "fine-tuning. Left, test accuracy after the last epoch by task; right, its mean over tasks against the bits "
        "that a task stores. KSM is a reconstruction: its paper's tables and code were not at hand."
    ),
)

"""Big-Sparse (Evci et al., ICML 2020, section 4.1.2) on MNIST, with the control that the paper lacks."""

from ebreplicate.experiments.common.experiment import Experiment

EXPERIMENT = Experiment(
    item="big_sparse",
    title="Big-Sparse: a larger sparse network",
    package=__name__,
    functions={"cells": None},
    category="Methods beside the paper's",
    caption=(
        "A dense LeNet-300-100 and a network three times as wide of which RigL leaves as many weights, on MNIST, "
        "trained once and five times as long: test accuracy after the last epoch against training FLOPs. The paper "
        "compares the larger network, trained longer, with the dense one, trained once as long."
    ),
)

"""EarlyCroP over single weights: LeNet-300-100 on MNIST with 98 % of its weights removed (ICML 2022)."""

from ebreplicate.experiments.common.experiment import Experiment

EXPERIMENT = Experiment(
    item="early_crop_mnist",
    title="EarlyCroP on MNIST (reconstruction): 98 % of the weights removed",
    package=__name__,
    functions={"cells": None},
    category="Methods beside the paper's",
    trains_on_cpu=True,
    caption=(
        "LeNet-300-100 loses 98 % of its weights: before training (CroP, the signed score of GraSP, SNIP, a random "
        "mask) or where the weights have stopped moving (EarlyCroP, by the rule of its code and by its paper's). Left, "
        "how far each rule is from its threshold over the epochs of one dense training; right, test accuracy after "
        "equal epochs in all, minus that of the dense network of the same seed. A reconstruction from its code."
    ),
)

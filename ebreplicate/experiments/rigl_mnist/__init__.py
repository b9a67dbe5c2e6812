"""RigL's own experiment on MNIST (Evci et al., ICML 2020, appendix B, Table 2, Figure 7)."""

from ebreplicate.experiments.common.experiment import Experiment

EXPERIMENT = Experiment(
    item="rigl_mnist",
    title="RigL on MNIST: whole pixels and neurons die",
    package=__name__,
    category="Methods beside the paper's",
    trains_on_cpu=True,
    caption=(
        "LeNet-300-100 is trained with 99 % of its first layer's weights zero. RigL moves its connections to where "
        "gradients are large: to the central pixels (above: connections at every pixel, mean over seeds), and away "
        "from whole pixels and neurons, which then can be removed. Below: test error against the inference FLOPs of "
        "what is left, beside the networks that SBP, L0 and VIB find by structured pruning (hollow: RigL's Table 2)."
    ),
)

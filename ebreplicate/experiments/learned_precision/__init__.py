"""Learned and dynamic precision: LDP (2022, a reconstruction) beside CPT (ICLR 2021), PFQ (NeurIPS 2020) and SBM."""

from ebreplicate.experiments.common.experiment import Experiment

EXPERIMENT = Experiment(
    item="learned_precision",
    title="Learned precision (reconstruction): bits of every layer and step",
    package=__name__,
    category="Methods beside the paper's",
    caption=(
        "Networks are trained with quantised convolutions: at constant bits, in cycles (CPT), in stages (PFQ), or in "
        "bits that every layer learns (LDP, a reconstruction from its abstract and an unused quantiser of its group). "
        "Left, the bits that each layer learned, epoch by epoch, in the first seed; middle, mean bits over the epochs; "
        "right, accuracy after the last epoch against the bit operations spent, as a share of static 8/8."
    ),
)

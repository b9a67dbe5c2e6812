"""Factorised layers with spectral initialisation and Frobenius decay, each alone and together (ICLR 2021)."""

from ebreplicate.experiments.common.experiment import Experiment

EXPERIMENT = Experiment(
    item="factorised_layers",
    title="Factorised layers: spectral initialisation and Frobenius decay",
    package=__name__,
    category="Methods beside the paper's",
    caption=(
        "ResNet-20 whose convolutions are products of two thin ones, trained from the start: with factors drawn anew "
        "or taken from the decomposition of a dense initial weight (SI), under weight decay of the factors or of their "
        "product (FD). Left, accuracy on unseen images beside a dense network, a narrow one and sparse training of as "
        "many parameters; right, the nuclear norm of the products over one training, below its bound."
    ),
)

"""RigL and its family on ImageNet: ResNet-50 and MobileNet-v1 at the sparsities and lengths that RigL prints."""

from ebreplicate.experiments.common.experiment import Experiment

EXPERIMENT = Experiment(
    item="rigl_imagenet",
    title="RigL and its family on ImageNet",
    package=__name__,
    category="Beyond the paper",
    caption=(
        "Networks trained sparse from the first step on ImageNet. Left: a ResNet-50 of which 80 % of the weights are "
        "zero, against how long it is trained. Middle and right: ResNet-50 and MobileNet-v1 against the fraction of "
        "zeros; large markers are trained five times as long. Hollow: what RigL's paper and README print."
    ),
)

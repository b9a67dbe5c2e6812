"""Table 3, ImageNet: EB Train beside the dense network, network slimming and soft filter pruning; ResNet18 and 50."""

from ebreplicate.experiments.common.experiment import Experiment

EXPERIMENT = Experiment(
    item="table3_imagenet",
    title="Table 3: ImageNet, ResNet18 and ResNet50",
    package=__name__,
    category="Paper tables",
    caption=(
        "Accuracy and training FLOPs of EB Train on ImageNet beside the unpruned network, network slimming after full "
        "training, soft filter pruning, and EB Train from fresh weights. The paper's ResNet18 points are hollow; its "
        "ResNet50 block was not found. Training FLOPs count everything: search, detector and retraining."
    ),
)

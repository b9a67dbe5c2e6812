"""One file per paper item. To add a figure: a file here and one line below; Snakemake finds it."""

from ebreplicate.registry import Registry

EXPERIMENTS = Registry(
    "experiment",
    {
        "early_bird": "ebreplicate.experiments.early_bird:EXPERIMENT",
        "fig1_existence": "ebreplicate.experiments.fig1_existence:EXPERIMENT",
        "fig2_low_precision": "ebreplicate.experiments.fig2_low_precision:EXPERIMENT",
        "fig3_mask_distance": "ebreplicate.experiments.fig3_mask_distance:EXPERIMENT",
        "table1_schedules": "ebreplicate.experiments.table1_schedules:EXPERIMENT",
        "table2": "ebreplicate.experiments.table2:EXPERIMENT",
        "table3_imagenet": "ebreplicate.experiments.table3_imagenet:EXPERIMENT",
        "accuracy_vs_flops": "ebreplicate.experiments.accuracy_vs_flops:EXPERIMENT",
        "detector_study": "ebreplicate.experiments.detector_study:EXPERIMENT",
        "when_to_prune": "ebreplicate.experiments.when_to_prune:EXPERIMENT",
        "structural_costs": "ebreplicate.experiments.structural_costs:EXPERIMENT",
        "lottery_tickets": "ebreplicate.experiments.lottery_tickets:EXPERIMENT",
        "rigl_family": "ebreplicate.experiments.rigl_family:EXPERIMENT",
        "rigl_imagenet": "ebreplicate.experiments.rigl_imagenet:EXPERIMENT",
        "rigl_mnist": "ebreplicate.experiments.rigl_mnist:EXPERIMENT",
        "gebt": "ebreplicate.experiments.gebt:GEBT",
        "gebt_joint": "ebreplicate.experiments.gebt:JOINT",
        "gebt_detector": "ebreplicate.experiments.gebt:DETECTOR",
        "gebt_costs": "ebreplicate.experiments.gebt:COSTS",
    },
    parts={
        "lottery_lenet300": "ebreplicate.experiments.lottery_tickets:LENET300",
        "table2_vgg16_cifar10": "ebreplicate.experiments.table2_blocks:VGG16_CIFAR10",
        "table2_vgg16_cifar100": "ebreplicate.experiments.table2_blocks:VGG16_CIFAR100",
        "table2_preresnet101_cifar10": "ebreplicate.experiments.table2_blocks:PRERESNET101_CIFAR10",
        "table2_preresnet101_cifar100": "ebreplicate.experiments.table2_blocks:PRERESNET101_CIFAR100",
    },
)

"""One package per paper item. To add a figure: a module or package here and one line below; Snakemake finds it."""

from ebreplicate.catalog import Registry

EXPERIMENTS = Registry(
    "experiment",
    {
        "early_bird": "ebreplicate.experiments.early_bird:EXPERIMENT",
        "fig1_existence": "ebreplicate.experiments.fig1:EXPERIMENT",
        "fig2_low_precision": "ebreplicate.experiments.fig2:EXPERIMENT",
        "fig3_mask_distance": "ebreplicate.experiments.fig3:EXPERIMENT",
        "table1_schedules": "ebreplicate.experiments.table1:EXPERIMENT",
        "table2": "ebreplicate.experiments.table2:EXPERIMENT",
        "table3_imagenet": "ebreplicate.experiments.table3:EXPERIMENT",
        "accuracy_vs_flops": "ebreplicate.experiments.accuracy_vs_flops:EXPERIMENT",
        "detector_study": "ebreplicate.experiments.detector:EXPERIMENT",
        "when_to_prune": "ebreplicate.experiments.when_to_prune:EXPERIMENT",
        "early_crop": "ebreplicate.experiments.early_crop:EXPERIMENT",
        "early_crop_mnist": "ebreplicate.experiments.early_crop_mnist:EXPERIMENT",
        "structural_costs": "ebreplicate.experiments.structural_costs:EXPERIMENT",
        "lottery_tickets": "ebreplicate.experiments.lottery:EXPERIMENT",
        "rigl_family": "ebreplicate.experiments.rigl:EXPERIMENT",
        "rigl_imagenet": "ebreplicate.experiments.rigl_imagenet:EXPERIMENT",
        "rigl_mnist": "ebreplicate.experiments.rigl_mnist:EXPERIMENT",
        "gebt": "ebreplicate.experiments.gebt:GEBT",
        "gebt_joint": "ebreplicate.experiments.gebt:JOINT",
        "gebt_detector": "ebreplicate.experiments.gebt:DETECTOR",
        "gebt_costs": "ebreplicate.experiments.gebt:COSTS",
        "wann": "ebreplicate.experiments.wann:EXPERIMENT",
        "factorised_layers": "ebreplicate.experiments.factorised_layers:EXPERIMENT",
        "learned_precision": "ebreplicate.experiments.learned_precision:EXPERIMENT",
        "supertickets": "ebreplicate.experiments.supertickets:EXPERIMENT",
        "rigl_lm": "ebreplicate.experiments.rigl_lm:EXPERIMENT",
        "big_sparse": "ebreplicate.experiments.big_sparse:EXPERIMENT",
        "kernel_masks": "ebreplicate.experiments.kernel_masks:EXPERIMENT",
    },
    parts={
        "lottery_lenet300": "ebreplicate.experiments.lottery:LENET300",
        "table2_vgg16_cifar10": "ebreplicate.experiments.table2.blocks:VGG16_CIFAR10",
        "table2_vgg16_cifar100": "ebreplicate.experiments.table2.blocks:VGG16_CIFAR100",
        "table2_preresnet101_cifar10": "ebreplicate.experiments.table2.blocks:PRERESNET101_CIFAR10",
        "table2_preresnet101_cifar100": "ebreplicate.experiments.table2.blocks:PRERESNET101_CIFAR100",
    },
)

"""One file per paper item. To add a figure: a file here and one line below; Snakemake finds it."""

from ebreplicate.registry import Registry

EXPERIMENTS = Registry(
    "experiment",
    {
        "fig1_existence": "ebreplicate.experiments.fig1_existence:EXPERIMENT",
        "fig3_mask_distance": "ebreplicate.experiments.fig3_mask_distance:EXPERIMENT",
        "table1_schedules": "ebreplicate.experiments.table1_schedules:EXPERIMENT",
        "detector_study": "ebreplicate.experiments.detector_study:EXPERIMENT",
        "structural_costs": "ebreplicate.experiments.structural_costs:EXPERIMENT",
        "lottery_tickets": "ebreplicate.experiments.lottery_tickets:EXPERIMENT",
    },
)

"""The cell and claims of the protocol (docs/kernel-masks.md)."""

import pandas as pd

from ebreplicate import published
from ebreplicate.catalog import FINE_TUNING, KERNEL_ALL, KERNEL_BINARY, KERNEL_ZEROS, NORMS, PIGGYBACK
from ebreplicate.experiments.common.compared import Compared, judged
from ebreplicate.experiments.common.contrasts import BySeed, mean_by_seed
from ebreplicate.experiments.common.experiment import COST, Cell, Claim
from ebreplicate.experiments.common.judgement import BETTER, NO_WORSE
from ebreplicate.experiments.common.margins import MARGINS, margin_of
from ebreplicate.experiments.common.rows import by_seed, interval
from ebreplicate.experiments.common.verdicts import greater
from ebreplicate.experiments.kernel_masks.runs import grid_of
from ebreplicate.specs.scale import Scale

PAGE, FAMILY = "docs/kernel-masks.md", "kernel masks"
RECONSTRUCTION = "KSM, CVPR 2021, abstract (reconstruction)"
TWENTY = "CIFAR-100 superclass tasks 1 to 20"
COMPARED = (
    Compared(
        "ksm-zeros-beats-binary",
        "Real values for kernels that are off make a kernel-wise mask better (reconstruction).",
        RECONSTRUCTION,
        BETTER,
        ((KERNEL_ZEROS, 1.0), (KERNEL_BINARY, -1.0)),
    ),
    Compared(
        "ksm-all-beats-binary",
        "Real values for all kernels make a kernel-wise mask better (reconstruction).",
        RECONSTRUCTION,
        BETTER,
        ((KERNEL_ALL, 1.0), (KERNEL_BINARY, -1.0)),
    ),
    Compared(
        "ksm-zeros-matches-piggyback",
        "KSM, real values for kernels that are off, is no worse than Piggyback, with a ninth of the entries "
        "(reconstruction).",
        RECONSTRUCTION,
        NO_WORSE,
        ((KERNEL_ZEROS, 1.0), (PIGGYBACK, -1.0)),
    ),
    Compared(
        "ksm-all-matches-piggyback",
        "KSM, real values for all kernels, is no worse than Piggyback, with a ninth of the entries (reconstruction).",
        RECONSTRUCTION,
        NO_WORSE,
        ((KERNEL_ALL, 1.0), (PIGGYBACK, -1.0)),
    ),
    Compared(
        "masks-beat-norms",
        "A binary kernel-wise mask is worth more than batch norms and a classifier of the task's own.",
        "ours, a control",
        BETTER,
        ((KERNEL_BINARY, 1.0), (NORMS, -1.0)),
    ),
    Compared(
        "ksm-near-fine-tuning",
        "KSM, real values for kernels that are off, is no worse than fine-tuning (reconstruction).",
        RECONSTRUCTION,
        NO_WORSE,
        ((KERNEL_ZEROS, 1.0), (FINE_TUNING, -1.0)),
    ),
)


def over_tasks(scale: Scale, table: pd.DataFrame, column: str, arm: str) -> BySeed:
    """Mean over tasks of a column of an arm, by seed that has all tasks."""
    return mean_by_seed(by_seed(table, column, arm=arm, task=task) for task in grid_of(scale).tasks)


def claims(scale: Scale, table: pd.DataFrame) -> list[Claim]:
    """The six judged claims, and what a mask of KSM stores beside one of Piggyback."""
    soft, element = (over_tasks(scale, table, "mask_bits", arm) for arm in (KERNEL_ZEROS, PIGGYBACK))
    saved = interval({seed: 100 * (1 - bits / element[seed]) for seed, bits in soft.items() if seed in element})
    cost = Claim(
        "ksm-fewer-bits",
        "A mask of KSM, real values for kernels that are off, takes fewer bits than one of Piggyback (reconstruction).",
        RECONSTRUCTION,
        "bits of masks, mean over tasks, saved in % of Piggyback's; t-interval over seeds",
        greater(saved, f"{PIGGYBACK} minus {KERNEL_ZEROS}", "% of Piggyback's"),
        kind=COST,
    )
    return [*judged(COMPARED, table, margin_of(scale, "superclasses"), FAMILY, PAGE), cost]


def cells(scale: Scale, table: pd.DataFrame) -> list[Cell]:
    """CPG's mean over twenty tasks beside both readings of KSM, for orientation; KSM itself has no number at hand."""
    rows = published.read("ksm_rivals_readme").set_index("dataset")
    return [
        Cell(
            f"CPG, mean over twenty tasks, beside {arm}",
            float(rows.loc[TWENTY].value),
            interval(over_tasks(scale, table, "last_accuracy", arm)),
            "%",
            f"CPG, {rows.loc[TWENTY].source}",
            "last epoch",
            MARGINS["superclasses"],
            note=f"another method, network and first task; ours: mean over {len(grid_of(scale).tasks)} tasks",
            context=True,
            method=arm,
        )
        for arm in (KERNEL_ZEROS, KERNEL_ALL)
    ]

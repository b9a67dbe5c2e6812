"""Training FLOPs of Tables 2 and 3, from arithmetic alone: which printed cells follow from a draw epoch and a width."""

from ebreplicate.experiments.common.experiment import Experiment

EXPERIMENT = Experiment(
    item="structural_costs",
    title="Training FLOPs of Tables 2 and 3, re-derived",
    package=__name__,
    category="Beyond the paper",
    caption=(
        "The paper's cost tables, recomputed from the networks and a training-epoch count alone. A dot at zero: the "
        "derived number equals the printed one. Cells for which no draw epoch and no pruned network fit are named as "
        "misprints."
    ),
)

"""The claims about early-bird tickets that a reduced scale can decide (docs/statistics.md), and the runs they need."""

from typing import Any

from ebreplicate.experiments.common.experiment import Claim, Experiment
from ebreplicate.experiments.early_bird import runs
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Spec


class EarlyBird(Experiment):
    """Draws, the mask alone, EB Train and its controls, over the seeds of the analysis plan."""

    def runs(self, scale: Scale) -> list[Spec]:
        """The runs of the queue, in its order; Figure 1, Figure 3, both tables and the detector study share them."""
        return [run.spec for run in runs.planned(scale)]

    def table(self, scale: Scale, store: Any) -> Any:
        """One row a run, and one a contrast and seed."""
        from ebreplicate.experiments.early_bird.table import table

        return table(scale, store)

    def figure(self, scale: Scale, table: Any) -> Any:
        """Accuracy of every arm minus that of the dense network."""
        from ebreplicate.experiments.early_bird.plot import figure

        return figure(scale, table)

    def claims(self, scale: Scale, table: Any) -> list[Claim]:
        """The six primary and six secondary claims of the plan."""
        from ebreplicate.experiments.early_bird.claims import claims

        return claims(scale, table)


EXPERIMENT = EarlyBird(
    item=runs.ITEM,
    title="Early-bird tickets: the claims that are judged",
    category="Claims",
    caption=(
        "Do channels chosen early in training make as good a small network as channels chosen at the end? Each row is "
        "one way to get a small network: drawn early, drawn late, the late choice of channels on early weights, EB "
        "Train with its detector, and controls. The horizontal axis is its accuracy minus that of the dense network of "
        "the same seed, after the last epoch."
    ),
)

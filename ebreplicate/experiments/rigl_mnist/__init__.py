"""RigL's own experiment on MNIST (Evci et al., ICML 2020, appendix B, Table 2, Figure 7)."""

from typing import Any

from ebreplicate.experiments.common.experiment import Cell, Claim, Experiment
from ebreplicate.experiments.rigl_mnist.runs import ITEM, planned
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Spec


class RigLMnist(Experiment):
    """RigL, SET, a static mask, the dense network, and RigL+ from what RigL found."""

    def runs(self, scale: Scale) -> list[Spec]:
        """Five trainings a seed."""
        return [run.spec for run in planned(scale)]

    def table(self, scale: Scale, store: Any) -> Any:
        """One row a training."""
        from ebreplicate.experiments.rigl_mnist.table import table

        return table(scale, store)

    def figure(self, scale: Scale, table: Any) -> Any:
        """Connections at every pixel, and error against inference FLOPs."""
        from ebreplicate.experiments.rigl_mnist.plot import draw

        return draw(scale, table)

    def cells(self, scale: Scale, table: Any) -> list[Cell]:
        """RigL's Table 2."""
        from ebreplicate.experiments.rigl_mnist.claims import cells

        return cells(table)

    def claims(self, scale: Scale, table: Any) -> list[Claim]:
        """Six claims (docs/rigl-mnist.md)."""
        from ebreplicate.experiments.rigl_mnist.claims import claims

        return claims(scale, table)


EXPERIMENT = RigLMnist(
    item=ITEM,
    title="RigL on MNIST: whole pixels and neurons die",
    category="Methods beside the paper's",
    trains_on_cpu=True,
    caption=(
        "LeNet-300-100 is trained with 99 % of its first layer's weights zero. RigL moves its connections to where "
        "gradients are large: to the central pixels (above: connections at every pixel, mean over seeds), and away "
        "from whole pixels and neurons, which then can be removed. Below: test error against the inference FLOPs of "
        "what is left, beside the networks that SBP, L0 and VIB find by structured pruning (hollow: RigL's Table 2)."
    ),
)

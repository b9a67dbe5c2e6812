"""RigL and its family on ImageNet: ResNet-50 and MobileNet-v1 at the sparsities and lengths that RigL prints."""

from typing import Any

from ebreplicate.experiments.common.experiment import Cell, Claim, Experiment
from ebreplicate.experiments.rigl import costs, run_row
from ebreplicate.experiments.rigl_imagenet import cells
from ebreplicate.experiments.rigl_imagenet.claims import all_claims
from ebreplicate.experiments.rigl_imagenet.runs import DATASET, ITEM, dense_run, planned
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Spec

COLUMNS = ["model", "dataset", "method", "distribution", "sparsity", "multiplier", "smoothing", "width", "seed"]
COLUMNS += ["status", "last_accuracy", "best_accuracy", "reached_sparsity", "mask_updates", "relative_training"]
COLUMNS += ["relative_inference", "training_flops", "seconds", "key"]


class RigLImageNet(Experiment):
    """Two networks, seven methods, and the dense network."""

    def runs(self, scale: Scale) -> list[Spec]:
        """One training a printed point and seed, as far as the scale goes."""
        return [spec for *_, spec in planned(scale)]

    def table(self, scale: Scale, store: Any) -> Any:
        """One row a run; the dense network is the method "dense" at sparsity 0."""
        import pandas as pd

        rows = []
        for model, point, seed, spec in planned(scale):
            names: dict[str, Any] = {"model": model, "dataset": DATASET, "seed": seed}
            dense = {"method": "dense", "sparsity": 0.0, "multiplier": 1.0, "smoothing": True, "width": 1.0}
            names |= dense if point is None else point._asdict()
            rows.append(run_row(spec, store, store.read(dense_run(scale, model, seed)), **names))
        table = pd.DataFrame(rows).reindex(columns=COLUMNS)
        table["multiplier"] = table.multiplier.astype(float)
        return table

    def figure(self, scale: Scale, table: Any) -> Any:
        """Accuracy against length and against sparsity; the printed points hollow."""
        from ebreplicate.experiments.rigl_imagenet.plot import draw

        return draw(scale, table)

    def cells(self, scale: Scale, table: Any) -> list[Cell]:
        """Every printed accuracy, and every printed FLOPs number that follows by arithmetic."""
        return [*cells.cells(table), *costs.cells()]

    def claims(self, scale: Scale, table: Any) -> list[Claim]:
        """The order of the methods, ERK, longer training, and nearness to dense."""
        return all_claims(scale, table)


EXPERIMENT = RigLImageNet(
    item=ITEM,
    title="RigL and its family on ImageNet",
    category="Beyond the paper",
    caption=(
        "Networks trained sparse from the first step on ImageNet. Left: a ResNet-50 of which 80 % of the weights are "
        "zero, against how long it is trained. Middle and right: ResNet-50 and MobileNet-v1 against the fraction of "
        "zeros; large markers are trained five times as long. Hollow: what RigL's paper and README print."
    ),
)

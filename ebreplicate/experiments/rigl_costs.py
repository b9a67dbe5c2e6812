"""RigL's printed relative FLOPs, from arithmetic alone: networks, layer distributions and the cost formulas."""

import math
import re
from functools import cache
from typing import Any

from ebreplicate import published
from ebreplicate.experiments.base import Cell
from ebreplicate.models import MODELS
from ebreplicate.stats import Interval

NETWORKS = {"ResNet-50": "resnet50", "MobileNet-v1": "mobilenet"}
DISTRIBUTIONS = {"ERK": "erk-kernel", "Uniform": "uniform"}
INTERVAL = 100
"""Steps between mask updates on ImageNet (RigL's code, maskupdate_frequency)."""
CLASSES, SHAPE = 1000, (3, 224, 224)
DIGIT = 0.01
"""Last printed digit; the README rounds some numbers up (0.224 to 0.23), so a whole digit is allowed."""
METHOD = re.compile(r"RigL (no-label-smoothing )?(ERK|Uniform) (\d+)x")
NOTES = {
    ("resnet50", 0.99): "printed at about twice the count of 99 % sparse layers",
    ("mobilenet", 0.89): "printed rows disagree among themselves: 10 x training falls below 10 x inference (ERK)",
}


@cache
def relative_flops(model: str, sparsity: float, distribution: str) -> tuple[float, float]:
    """(inference, training) FLOPs of RigL relative to the dense network, trained once, as RigL's code counts."""
    import torch

    from ebreplicate.models import build
    from ebreplicate.plan.spec import Sparse
    from ebreplicate.sparse_flops import layer_costs, rigl_forward
    from ebreplicate.training.dynamic import RigL
    from ebreplicate.training.sparse import sparse_layers, target_counts

    spec = Sparse(model, "cifar10", sparsity=sparsity, distribution=distribution, interval=INTERVAL)
    with torch.device("meta"):  # shapes alone: nothing is allocated
        network = build(model, CLASSES)
    layers, counts = sparse_layers(network), target_counts(network, spec)
    costs = layer_costs(network, SHAPE)
    density = {name: counts[name] / layer.weight.numel() for name, layer in layers.items()}  # type: ignore[operator]
    sparse, dense = rigl_forward(costs, density), rigl_forward(costs)
    return sparse / dense, RigL(spec).training_flops(sparse, dense) / (3 * dense)


def _exact(value: float) -> Interval:
    return Interval(value, math.nan, 1)


def cells() -> list[Cell]:
    """Every printed FLOPs number of RigL's README for a network that is registered here."""
    rows = published.read("rigl_readme")
    out = []
    for row in rows[rows.metric.isin(("train_flops", "inference_flops"))].itertuples():
        printed_name = row.model if row.model in NETWORKS else {v: k for k, v in NETWORKS.items()}.get(row.model, "")
        model, how = NETWORKS.get(printed_name, ""), METHOD.fullmatch(row.method)
        if model not in MODELS or not how:
            continue
        sparsity, training = float(row.prune_ratio), row.metric == "train_flops"
        inference, train = relative_flops(model, sparsity, DISTRIBUTIONS[how[2]])
        value = train * int(how[3]) if training else inference
        out.append(_cell(row, printed_name, sparsity, value, NOTES.get((model, sparsity), "")))
    return out


def _cell(row: Any, network: str, sparsity: float, value: float, note: str) -> Cell:
    what = "training" if row.metric == "train_flops" else "inference"
    return Cell(
        f"{network}, {row.method}, sparsity {sparsity:g}: {what} FLOPs",
        float(row.value),
        _exact(value),
        row.unit,
        row.source,
        "arithmetic",
        DIGIT,
        exact=True,
        note=note,
    )

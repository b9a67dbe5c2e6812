"""RigL's printed relative FLOPs, from arithmetic alone: networks, layer distributions and the cost formulas."""

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

from ebreplicate import published
from ebreplicate.experiments.common.experiment import Cell
from ebreplicate.experiments.common.stats import Interval
from ebreplicate.experiments.rigl_imagenet.cells import METHODS, MODELS, README, in_tables

INTERVAL = 100
"""Steps between mask updates on ImageNet (RigL's code, maskupdate_frequency)."""
CLASSES, SHAPE = 1000, (3, 224, 224)
DIGIT = 0.01
"""Last printed digit; both sources round some numbers up (0.224 to 0.23), so a whole digit is allowed."""
COUNTED = ("static", "set", "snfs", "rigl")
"""Methods whose layers have the distribution's densities. SNIP's do not; the widths of small networks and the schedule
of gradual pruning are not printed."""
METRICS = ("train_flops", "inference_flops", "test_flops")
README_NOTES = {
    ("resnet50", 0.99): "the README keeps the first layer dense at 99 %, which about doubles the count",
    ("mobilenet", 0.89): "printed rows disagree among themselves: 10 x training falls below 10 x inference (ERK)",
}
PAPER_NOTES = {
    ("resnet50", 0.9, "uniform"): "where this table prints 0.10 and 0.52 the README prints 0.13 and 0.66",
    ("resnet50", 0.965, "erk-kernel"): "where this table prints 0.11 the README prints 0.09",
}
PAPER_NOTES |= {
    ("mobilenet", sparsity, distribution): f"first layer and depthwise convolutions dense, as the paper says{more}"
    for sparsity, more in ((0.75, ""), (0.9, "; the README has other numbers"))
    for distribution in ("uniform", "erk-kernel")
}


@cache
def _traced(model: str) -> Any:
    """(the network, the cost of its layers): each serves many sparsities."""
    from ebreplicate.cost.layers import layer_costs
    from ebreplicate.models import build

    network = build(model, CLASSES)
    return network, layer_costs(network, SHAPE)


@cache
def relative_flops(model: str, sparsity: float, distribution: str, method: str = "rigl") -> tuple[float, float]:
    """(inference, training) FLOPs relative to the dense network, trained once, as RigL's code and appendix H count."""
    from ebreplicate.catalog import SPARSIFIERS
    from ebreplicate.cost.sparse import rigl_forward
    from ebreplicate.specs.spec import Sparse
    from ebreplicate.training.sparse import sparse_layers, target_counts

    spec = Sparse(model, "cifar10", method=method, sparsity=sparsity, distribution=distribution, interval=INTERVAL)
    network, costs = _traced(model)
    layers, counts = sparse_layers(network), target_counts(network, spec)
    density = {name: counts[name] / layer.weight.numel() for name, layer in layers.items()}
    sparse, dense = rigl_forward(costs, density), rigl_forward(costs)
    return sparse / dense, SPARSIFIERS.load(method)(spec).training_flops(sparse, dense) / (3 * dense)


def _exact(value: float) -> Interval:
    return Interval(value, math.nan, 1)


def cells() -> list[Cell]:
    """Every printed relative FLOPs number that follows from a network, a distribution and a formula."""
    return [*_of_paper(), *_of_readme()]


def _rows(file: str) -> Iterator[tuple[Any, str, float]]:
    """Rows of FLOPs of registered networks: (row, network, sparsity)."""
    rows = published.read(file)
    for row in rows[rows.metric.isin(METRICS) & rows.model.isin(MODELS)].itertuples():
        yield row, MODELS[row.model], float(row.prune_ratio)


def _of_readme() -> Iterator[Cell]:
    for row, model, sparsity in _rows("rigl_readme"):
        if how := README.fullmatch(row.method):
            distribution = {"ERK": "erk-kernel", "Uniform": "uniform"}[how[2]]
            name = f"{row.model}, {row.method}, sparsity {sparsity:g}"
            value = relative_flops(model, sparsity, distribution)
            yield _cell(row, name, value, int(how[3]), README_NOTES.get((model, sparsity), ""))


def _of_paper() -> Iterator[Cell]:
    for row, model, sparsity in _rows("rigl_paper_tables"):
        printed, times = in_tables(row) or ("", 1.0)
        method, distribution = METHODS.get(printed, ("", ""))
        if method in COUNTED and not printed.startswith("Big"):
            name = f"{row.item}: {row.model}, {printed} {times:g}x, sparsity {sparsity:g}"
            value = relative_flops(model, sparsity, distribution, method)
            yield _cell(row, name, value, times, PAPER_NOTES.get((model, sparsity, distribution), ""))


def _cell(row: Any, name: str, relative: tuple[float, float], times: float, note: str) -> Cell:
    training = row.metric == "train_flops"
    return Cell(
        f"{name}: {'training' if training else 'inference'} FLOPs",
        float(row.value),
        _exact(relative[1] * times if training else relative[0]),
        row.unit,
        row.source,
        "arithmetic",
        DIGIT,
        exact=True,
        note=note,
    )

"""What RigL claims on ImageNet: contrasts between points that share network, sparsity, length and seed."""

from collections.abc import Callable

import pandas as pd

from ebreplicate.experiments.common.contrasts import paired, pooled
from ebreplicate.experiments.common.experiment import Cell, Claim
from ebreplicate.experiments.common.finding import Finding
from ebreplicate.experiments.common.margins import margin_of
from ebreplicate.experiments.common.verdicts import at_least, greater
from ebreplicate.experiments.rigl_imagenet import costs
from ebreplicate.experiments.rigl_imagenet.cells import accuracy_cells, where
from ebreplicate.experiments.rigl_imagenet.runs import DATASET, NETWORKS, POINTS, Point
from ebreplicate.specs.scale import Scale

SHARED = "mean over networks, sparsities and lengths of the difference within a seed, t-interval over seeds"
Contrasts = dict[tuple[str, Point], dict[int, float]]


def contrasts(
    table: pd.DataFrame, first: Callable[[Point], bool], second: Callable[[Point], Point | None]
) -> Contrasts:
    """Accuracy at each point that `first` picks minus that at the point it is set against (None: the dense network),
    over the seeds both have."""
    out = {}
    for model in NETWORKS:
        for point in filter(first, POINTS[model]):
            if differences := paired(table, "last_accuracy", where(model, point), where(model, second(point))):
                out[model, point] = differences
    return out


def _is(point: Point, method: str, distribution: str = "uniform") -> bool:
    """A plain point of a method: label smoothing, the network's own width."""
    return point[:2] == (method, distribution) and point.smoothing and point.width == 1


def _better(table: pd.DataFrame, method: str, other: str) -> Finding:
    found = contrasts(table, lambda p: _is(p, method), lambda p: p._replace(method=other))
    return greater(pooled(found), f"{method} minus {other}")


def _kernel(table: pd.DataFrame) -> Finding:
    kinds = ("static", "snfs", "rigl")
    found = contrasts(
        table,
        lambda p: any(_is(p, m, "erk-kernel") for m in kinds),
        lambda p: p._replace(distribution="uniform"),
    )
    return greater(pooled(found), "ERK-Kernel minus uniform")


def _longer(table: pd.DataFrame) -> Finding:
    found = contrasts(
        table,
        lambda p: p.method == "rigl" and p.multiplier == 5 and p.smoothing and p.width == 1,
        lambda p: p._replace(multiplier=1),
    )
    return greater(pooled(found), "5x minus 1x")


def _five_times(table: pd.DataFrame, margin: float) -> Finding:
    """RigL (ERK) at 80 %, five times as long, against the dense ResNet-50."""
    point = Point("rigl", "erk-kernel", 0.8, 5)
    difference = pooled(contrasts(table, lambda p: p == point, lambda _: None))
    return at_least(difference, -margin, "RigL 5x (ERK) at 80 % minus dense")


def _big(table: pd.DataFrame) -> Finding:
    found = contrasts(table, lambda p: p.width != 1 and p.distribution == "uniform", lambda _: None)
    return greater(pooled(found), "Big-Sparse minus dense")


def _claim(name: str, statement: str, source: str, rule: str, finding: Finding) -> Claim:
    return Claim(f"imagenet-{name}", statement, source, rule, finding)


def claims(scale: Scale, table: pd.DataFrame) -> list[Claim]:
    """Every claim of the item."""
    figure, above = "RigL, Fig. 2 and Table 4", f"{SHARED}; supported if above zero"
    margin = margin_of(scale, DATASET)
    return [
        _claim(
            "rigl-beats-set",
            "On ImageNet, RigL is more accurate than SET at equal sparsity and length.",
            figure,
            above,
            _better(table, "rigl", "set"),
        ),
        _claim(
            "set-beats-static",
            "On ImageNet, SET is more accurate than a static random mask.",
            figure,
            above,
            _better(table, "set", "static"),
        ),
        _claim(
            "rigl-beats-small-dense",
            "On ImageNet, RigL is more accurate than a dense network with as many parameters.",
            "RigL, Figs. 2 and 3",
            above,
            _better(table, "rigl", "small-dense"),
        ),
        _claim(
            "erk-beats-uniform",
            "On ImageNet, ERK-Kernel gives more accurate networks than the uniform distribution, at more FLOPs.",
            figure,
            f"{SHARED} of static, SNFS and RigL; supported if above zero",
            _kernel(table),
        ),
        _claim(
            "longer-helps-rigl",
            "On ImageNet, five times the training improves RigL.",
            "RigL, Figs. 2 and 3; README",
            f"{SHARED}; supported if above zero",
            _longer(table),
        ),
        _claim(
            "rigl-5x-matches-dense",
            "ResNet-50 with 80 % zeros (ERK), trained by RigL five times as long, is at least as accurate as dense.",
            "RigL, Fig. 2 (77.1 against 76.8 %); README (77.17 %)",
            f"difference within a seed, t-interval over seeds; supported if its lower end exceeds -{margin:g} pp",
            _five_times(table, margin),
        ),
        _claim(
            "big-sparse-beats-dense",
            "A MobileNet-v1 of width 1.98 with 75 % zeros is more accurate than the dense one of equal FLOPs and size.",
            "RigL, section 4.1.2 and Fig. 3 (76.4 against 72.1 %)",
            "difference within a seed, t-interval over seeds; supported if above zero",
            _big(table),
        ),
    ]


def cells(scale: Scale, table: pd.DataFrame) -> list[Cell]:
    """Every printed accuracy, and every printed FLOPs number that follows by arithmetic."""
    return [*accuracy_cells(table), *costs.cells()]

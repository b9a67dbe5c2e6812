"""Points of accuracy against total training FLOPs, the front of those worth their cost, and what is claimed of it."""

import math

import pandas as pd

from ebreplicate.experiments.accuracy_vs_flops.runs import CROP, LOTTERY, SPARSE
from ebreplicate.experiments.common.experiment import INCONCLUSIVE, NOT_RUN, NOT_SUPPORTED, SUPPORTED, Claim
from ebreplicate.experiments.common.finding import Finding
from ebreplicate.experiments.common.lineage import records_of
from ebreplicate.experiments.common.margins import margin_of
from ebreplicate.experiments.common.rows import accuracy_column, by_seed, images_of, interval
from ebreplicate.experiments.common.stats import Interval
from ebreplicate.experiments.table2.runs import BLOCKS, CONTROLS, DENSE, PAPER
from ebreplicate.specs.scale import Scale

EB = ("EB Train", "EB Train (LF)", "EB Train (LL)")
Point = tuple[str, float, float, Interval]
"""(method, ratio, mean training FLOPs, accuracy)."""


def points(table: pd.DataFrame, dataset: str, model: str, controls: bool = True) -> list[Point]:
    """Every method and ratio of a block that has finished runs, cheapest first; accuracy on the images that the figure
    shows."""
    here = table[(table.dataset == dataset) & (table.model == model)]
    out, column = list[Point](), accuracy_column(table)
    for method in (DENSE, *PAPER, *((*CONTROLS, *SPARSE, LOTTERY, *CROP) if controls else ())):
        for ratio in sorted(set(here[here.method == method].ratio)):
            where = {"method": method, "ratio": float(ratio)}
            accuracy, cost = by_seed(here, column, **where), by_seed(here, "training_flops", **where)
            seeds = sorted(set(accuracy) & set(cost))
            if seeds:
                mean = sum(cost[s] for s in seeds) / len(seeds)
                out.append((method, float(ratio), mean, interval({s: accuracy[s] for s in seeds})))
    return sorted(out, key=lambda p: (p[2], -p[3].mean))


def front(found: list[Point]) -> list[Point]:
    """The points that no other beats: none is at least as accurate for less, or more accurate for the same."""
    best, out = -math.inf, []
    for point in sorted(found, key=lambda p: (p[2], -p[3].mean)):
        if point[3].mean > best:
            best = point[3].mean
            out.append(point)
    return out


def _blocks(table: pd.DataFrame) -> dict[tuple[str, str], list[Point]]:
    """Points of the paper's methods (no controls) in the blocks where EB Train and a baseline have run."""
    out = {}
    for dataset, model in BLOCKS:
        found = points(table, dataset, model, controls=False)
        if {"EB Train"} < {p[0] for p in found} - {DENSE}:
            out[dataset, model] = found
    return out


def _matched(scale: Scale, table: pd.DataFrame, methods: tuple[str, ...]) -> Finding:
    """How many points of `methods` some EB Train, LF or LL of the block matches: it costs no more, and its mean
    accuracy is not below by more than the margin."""
    beaten, total = 0, 0
    lost: list[str] = []
    behind: list[Point] = []
    for dataset, model in _blocks(table):
        found = points(table, dataset, model)
        ours = [p for p in found if p[0] in EB]
        theirs = [p for p in found if p[0] in methods]
        behind += [*ours, *theirs] if theirs else []
        for method, ratio, flops, accuracy in theirs:
            total += 1
            if any(p[2] <= flops and p[3].mean >= accuracy.mean - margin_of(scale, dataset) for p in ours):
                beaten += 1
            else:
                lost.append(f"{model} {dataset} {method} {ratio:.0%}")
    if not total:
        return Finding(NOT_RUN)
    n = min(p[3].n for p in behind)
    verdict = INCONCLUSIVE if n < 2 else SUPPORTED if beaten == total else NOT_SUPPORTED
    text = f"{beaten} of {total} points, {images_of(table)}" + (f"; not: {', '.join(lost[:6])}" if lost else "")
    records = records_of(*(value for _, _, flops, accuracy in behind for value in (flops, accuracy)))
    return Finding(verdict, n, counted=text, records=records)


MATCHED = (
    "a point is matched if some EB Train, LF or LL costs at most as much and its mean accuracy is not below by more "
    "than the margin (docs/statistics.md); supported if all are, inconclusive where a point has a single seed"
)


def dominates(scale: Scale, table: pd.DataFrame) -> Claim:
    """Every baseline of the paper is matched by an EB Train."""
    return Claim(
        "pareto-dominates",
        "For every baseline there is an EB Train that costs no more in training FLOPs and is as accurate.",
        "ours; the paper's abstract",
        f"per block over the unpruned network, the paper's baselines and its re-init row, any ratio: {MATCHED}",
        _matched(scale, table, (DENSE, *(m for m in PAPER if m not in EB))),
    )


def dominates_lottery(scale: Scale, table: pd.DataFrame) -> Claim:
    """Every iterative lottery ticket is matched by an EB Train."""
    return Claim(
        "pareto-dominates-lottery",
        "For every lottery ticket of iterative pruning there is an EB Train that costs no more in training FLOPs and "
        "is as accurate.",
        "paper, Fig. 4 (progressive pruning and training, against drawing one ticket early)",
        f"per block, any ratio of channels against any ratio of weights: {MATCHED}",
        _matched(scale, table, (LOTTERY,)),
    )

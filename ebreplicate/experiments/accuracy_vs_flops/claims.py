"""Published savings of training FLOPs beside ours, and what EB Train is claimed to dominate."""

import pandas as pd

from ebreplicate import published
from ebreplicate.catalog import TITLES
from ebreplicate.experiments.accuracy_vs_flops.pareto import dominates, dominates_lottery
from ebreplicate.experiments.common.experiment import Cell, Claim
from ebreplicate.experiments.common.rows import by_seed, interval
from ebreplicate.specs.scale import Scale


def cells(scale: Scale, table: pd.DataFrame) -> list[Cell]:
    """The abstract's range of FLOPs savings, beside the cheapest EB Train against SNIP of every block."""
    out = []
    for dataset in ("cifar10", "cifar100"):
        printed = published.read(f"eb_table2_vgg16_{dataset}")
        printed = printed[printed.metric == "flops_improvement"]
        for value, ratio in zip(printed.value, printed.prune_ratio, strict=True):
            where = {"dataset": dataset, "model": "vgg16", "ratio": float(ratio)}
            ours = by_seed(table, "training_flops", method="EB Train", **where)
            dense = by_seed(table, "training_flops", method="SNIP", **where)
            gain = {s: dense[s] / ours[s] for s in set(ours) & set(dense)}
            name = f"VGG16 {TITLES[dataset]}: SNIP over EB Train, ratio {ratio:g}, training FLOPs"
            note = "the paper divides by the cheapest of its EB Train variants"
            source = "Table 2, Improv. row"
            out.append(Cell(name, float(value), interval(gain), "x", source, "EB Train", 0.1 * float(value), note=note))
    return out


def claims(scale: Scale, table: pd.DataFrame) -> list[Claim]:
    """EB Train against the points that cost more."""
    return [dominates(scale, table), dominates_lottery(scale, table)]

"""Table 2's printed cells beside ours."""

import math
from typing import Any

import pandas as pd

from ebreplicate import published
from ebreplicate.catalog import TITLES
from ebreplicate.experiments.common.experiment import Cell
from ebreplicate.experiments.common.margins import MARGINS
from ebreplicate.experiments.common.rows import by_seed, interval
from ebreplicate.experiments.common.stats import t_interval
from ebreplicate.experiments.common.verdicts import whole
from ebreplicate.experiments.fig1 import runs as fig1
from ebreplicate.experiments.fig1.runs import RATIOS
from ebreplicate.experiments.table2.runs import BLOCKS, IMPROVEMENT, PAPER
from ebreplicate.specs.scale import Scale

FLOPS_MARGIN = 0.05
"""Of the printed cell: what ten epochs more or less of search, and another ticket's layer widths, change."""
ROUNDING = 0.01
"""Of the printed cell, where nothing is drawn: the paper's forward FLOPs are rounded to 0.01 G, and then the cell."""
ENERGY_MARGIN = 0.1
READING = 0.005
"""Half of the last printed digit."""
METRICS = {"retrain_top1": "published_accuracy", "total_training_flops": "published_flops_units"}
METRICS |= {"total_training_energy": "published_energy_kj"}


def printed(dataset: str, model: str) -> dict[tuple[str, float, str], float]:
    """The paper's cells of a block by (method, ratio, metric); none for PreResNet101, whose blocks were not found."""
    if model != "vgg16":
        return {}
    cells = published.read(f"eb_table2_vgg16_{dataset}")
    found = zip(cells.method, cells.prune_ratio, cells.metric, cells.value, strict=True)
    return {(m.removesuffix(" (row)"), round(float(r), 4), metric): float(v) for m, r, metric, v in found}


def differences(dataset: str, model: str) -> dict[tuple[str, float], float]:
    """The paper's accuracies minus that of the dense network in its Figure 1, in points, by (method, ratio)."""
    points = fig1.printed(dataset, model)
    dense = points[points.draw == "dense"].value.iloc[0]
    cells = printed(dataset, model).items()
    return {(m, ratio): value - dense for (m, ratio, metric), value in cells if metric == "retrain_top1"}


def cells(scale: Scale, table: pd.DataFrame) -> list[Cell]:
    """Every accuracy, training cost and energy, the "Improv." row, and a block's accuracies as one cell; blocks that
    were not found are blank."""
    out = []
    for dataset, model in BLOCKS:
        numbers = printed(dataset, model)
        for ratio in RATIOS[dataset, model]:
            for method in PAPER:
                out += _cells(table, numbers, dataset, model, ratio, method)
            out += _improvement_cells(table, numbers, dataset, model, ratio)
        name = f"{TITLES[model]} {TITLES[dataset]}: "
        accuracies = [c for c in out if c.cell.startswith(name) and c.cell.endswith(", accuracy")]
        out += whole(f"{name}all accuracies", "Table 2, read from the image", accuracies)
    return out + _headlines(table)


SLIMMING = "ns_over_eb_train"
"""No column of the "Improv." row: network slimming's training FLOPs over EB Train's."""
HEADLINES = {
    "energy_savings_min": ("energy_improvement", min, "vgg16"),
    "energy_savings_max": ("energy_improvement", max, "vgg16"),
    "lowprec_energy_savings_min": ("energy_improvement", min, None),
    "lowprec_energy_savings_max": ("energy_improvement", max, None),
    "lowprec_flops_savings_min": ("flops_improvement", min, None),
    "lowprec_flops_savings_max": ("flops_improvement", max, None),
    "cifar_training_flops_reduction_min": (SLIMMING, min, None),
    "cifar_training_flops_reduction_max": (SLIMMING, max, None),
}
"""Abstracts' ranges: the column of the "Improv." row they are of, least or most, over one network or all blocks."""
SAVED = {"energy_improvement": "energy, SNIP over LL, modelled", "flops_improvement": "FLOPs, SNIP over cheapest"}
SAVED |= {SLIMMING: "FLOPs, NS over EB Train"}


def _headlines(table: pd.DataFrame) -> list[Cell]:
    """Savings that the abstracts give as a range over blocks and ratios, for seeds that have every block."""
    rows, out = published.read("eb_headline_claims"), []
    for metric, (column, pick, model) in HEADLINES.items():
        row = rows[rows.metric == metric].iloc[0]
        wanted = [(d, m, r) for d, m in BLOCKS if model in (None, m) for r in RATIOS[d, m]]
        found = [_saved(table, column, dataset=d, model=m, ratio=r) for d, m, r in wanted]
        seeds = sorted(set.intersection(*map(set, found)))
        out.append(
            Cell(
                f"{TITLES[model] if model else 'all networks'}: {'least' if pick is min else 'most'} saved in "
                f"training {SAVED[column]}",
                float(row.value),
                t_interval([pick(values[s] for values in found) for s in seeds]),
                "x",
                f"{row['item']}; {row.version}, confidence {row.confidence}",
                "over blocks and ratios",
                ENERGY_MARGIN * float(row.value),
                note="what it is measured against is inferred: "
                + ("NS over EB Train fits CIFAR-10" if column == SLIMMING else "the Improv. row fits the lower ends"),
            )
        )
    return out


def _saved(table: pd.DataFrame, column: str, **where: Any) -> dict[int, float]:
    """A block's saving at one ratio, by seed."""
    if column != SLIMMING:
        return by_seed(table, column, method=IMPROVEMENT, **where)
    slimming, ours = (by_seed(table, "training_flops", method=m, **where) for m in ("NS", "EB Train"))
    return {s: slimming[s] / ours[s] for s in slimming if s in ours}


def _cells(
    table: pd.DataFrame,
    numbers: dict[tuple[str, float, str], float],
    dataset: str,
    model: str,
    ratio: float,
    method: str,
) -> list[Cell]:
    """Accuracy, training cost and energy of one method at one ratio."""
    name = f"{TITLES[model]} {TITLES[dataset]}: {method}, ratio {ratio:g}"
    where = {"dataset": dataset, "model": model, "method": method, "ratio": ratio}
    accuracy, flops, joules = (numbers.get((method, ratio, metric), math.nan) for metric in METRICS)
    source = "Table 2, read from the image" if numbers else "not found"
    exact = method in ("LT (one-shot)", "SNIP", "ThiNet")

    def cell(what: str, value: float, column: str, unit: str, selection: str, margin: float, note: str) -> Cell:
        ours = interval(by_seed(table, column, **where))
        return Cell(f"{name}, {what}", value, ours, unit, source, selection, margin, note=note, reading=READING)

    out = [
        # The authors select the best epoch on the test set, so that is what their numbers are set beside.
        cell("accuracy", accuracy, "best_accuracy", "%", "best epoch on test", MARGINS[dataset], ""),
        cell(
            "training FLOPs",
            flops,
            "training_units",
            "0.05 PFLOP",
            "search and retrain",
            (ROUNDING if exact else FLOPS_MARGIN) * flops,
            f"margin: {'1 %, their rounding' if exact else '5 %, for another draw epoch and layer widths'}",
        ),
    ]
    note = "their device is not known and not ours: a difference is expected"
    out.append(cell("energy", joules, "energy_measured_kj", "kJ", "measured", ENERGY_MARGIN * joules, note))
    return out


def _improvement_cells(
    table: pd.DataFrame, numbers: dict[tuple[str, float, str], float], dataset: str, model: str, ratio: float
) -> list[Cell]:
    """The "Improv." row."""
    where = {"dataset": dataset, "model": model, "method": IMPROVEMENT, "ratio": ratio}
    kinds = (
        ("acc_improvement", "accuracy_improvement", "pp", "EB Train minus best baseline, best epochs"),
        ("flops_improvement", "flops_improvement", "x", "SNIP over the cheapest EB Train"),
        ("energy_improvement", "energy_improvement", "x", "SNIP over LL, modelled"),
    )
    out = []
    for metric, column, unit, how in kinds:
        value = numbers.get((IMPROVEMENT, ratio, metric), math.nan)
        name = f"{TITLES[model]} {TITLES[dataset]}: {IMPROVEMENT}, ratio {ratio:g}, {metric}"
        ours = interval(by_seed(table, column, "derived_from", **where))
        source = "Table 2, read from the image" if numbers else "not found"
        margin = MARGINS[dataset] if unit == "pp" else ENERGY_MARGIN * value
        out.append(Cell(name, value, ours, unit, source, how, margin, reading=READING))
    return out

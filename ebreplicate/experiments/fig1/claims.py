"""What Figure 1 claims: early tickets exist, drawing too early costs, and they reach the dense network."""

import math

import pandas as pd

from ebreplicate.catalog import TITLES
from ebreplicate.experiments.common.contrasts import mean_by_seed, minus, pooled
from ebreplicate.experiments.common.experiment import Cell, Claim
from ebreplicate.experiments.common.margins import MARGINS, margin_of
from ebreplicate.experiments.common.panels import DATASETS, PANELS
from ebreplicate.experiments.common.rows import by_seed, interval
from ebreplicate.experiments.common.verdicts import at_least, cautioned, confounded, greater, whole
from ebreplicate.experiments.fig1.runs import RATIOS, printed
from ebreplicate.specs.scale import Scale


def _early(scale: Scale) -> list[str]:
    """Draw epochs of the first eighth to quarter of the search: the paper's 10 to 40, before any decay."""
    return [str(e) for e in scale.draw_epochs if 10 <= e <= 40]


def _contrasts(
    scale: Scale, table: pd.DataFrame, a: list[str], b: str
) -> dict[tuple[str, str, float], dict[int, float]]:
    """Per panel and ratio, differences over seeds: mean accuracy over the draws `a` minus that of draw `b`."""
    out = {}
    for (dataset, model), ratios in RATIOS.items():
        for ratio in ratios:
            where = {"dataset": dataset, "model": model, "ratio": ratio}
            first = [by_seed(table, draw=d, **where) for d in a]
            if b == "dense":
                second = by_seed(table, draw="dense", dataset=dataset, model=model)
            else:
                second = by_seed(table, draw=b, **where)
            if differences := minus(mean_by_seed(first), second):
                out[dataset, model, ratio] = differences
    return out


def _early_as_good_as_final(scale: Scale, table: pd.DataFrame) -> Claim:
    contrasts = _contrasts(scale, table, _early(scale), "160")
    margin = margin_of(scale, *DATASETS)
    finding = confounded(scale, at_least(pooled(contrasts), -margin, "early minus final draw"))
    return Claim(
        "early-birds-exist",
        "Tickets drawn early (paper's epochs 10 to 40 of 160) retrain to an accuracy no lower than tickets of the "
        "fully trained network.",
        "paper, Fig. 1 and title claim",
        "mean over panels and ratios of (early draws minus final draw), t-interval over seeds; supported if its lower "
        f"end exceeds -{margin:g} pp",
        finding,
    )


def _too_early_is_worse(scale: Scale, table: pd.DataFrame) -> Claim:
    early = _early(scale)
    contrasts = _contrasts(scale, table, early, "1")
    finding = cautioned(scale, greater(pooled(contrasts), "early minus epoch-1 draw"))
    return Claim(
        "draw-epoch-matters",
        "Retrain accuracy depends on the draw epoch: tickets of epoch 1 retrain worse than tickets of epochs 10 to 40.",
        "paper, Fig. 1 (every published series starts lower)",
        "mean over panels and ratios of (draws 10 to 40 minus draw 1), t-interval over seeds; supported if above zero",
        finding,
    )


def _dense(scale: Scale, table: pd.DataFrame) -> Claim:
    low = {(d, m, r[0]) for (d, m), r in RATIOS.items()}
    contrasts = {k: v for k, v in _contrasts(scale, table, _early(scale), "dense").items() if k in low}
    margin = margin_of(scale, *DATASETS)
    finding = confounded(scale, at_least(pooled(contrasts), -margin, "early draw minus dense"))
    return Claim(
        "match-dense",
        "At the smallest ratio of each panel, early-bird tickets reach the accuracy of the unpruned network.",
        "paper, Fig. 1 (dashed baselines)",
        "mean over panels of (draws 10 to 40 minus dense), t-interval over seeds; supported if its lower end exceeds "
        f"-{margin:g} pp",
        finding,
    )


LATE = ("cifar100", "preresnet101", 0.7)
"""The panel and ratio whose printed accuracy falls most from the early draws to the last."""


def _late_is_worse(scale: Scale, table: pd.DataFrame) -> Claim:
    contrasts = {k: v for k, v in _contrasts(scale, table, _early(scale), "160").items() if k == LATE}
    finding = confounded(scale, greater(pooled(contrasts), "early minus final draw"))
    return Claim(
        "late-draws-lose",
        "PreResNet101 on CIFAR-100 with 70 % removed: tickets drawn early (epochs 10 to 40) are more accurate than "
        "those of the fully trained network, by 2.9 points in print.",
        "paper, Fig. 1 (70.92, 70.96 and 70.22 % at epochs 10, 20 and 40 against 67.76 % at 160)",
        "mean of draws 10 to 40 minus draw 160 within a seed, t-interval over seeds; supported if above zero",
        finding,
    )


def claims(scale: Scale, table: pd.DataFrame) -> list[Claim]:
    """Every claim of the figure."""
    kinds = (_early_as_good_as_final, _too_early_is_worse, _dense, _late_is_worse)
    return [kind(scale, table) for kind in kinds]


SOURCE = "Fig. 1 (ICLR version), digitised"


def cells(scale: Scale, table: pd.DataFrame) -> list[Cell]:
    """Every published point of the figure: 4 dense baselines, 12 series; and all points of each dataset as one."""
    out = []
    for row in (row for panel in PANELS for row in printed(*panel).itertuples()):
        where = {"dataset": row.dataset, "model": row.model, "draw": row.draw}
        if row.draw != "dense":
            where["ratio"] = float(row.prune_ratio)
        # The authors select the best epoch on the test set, so that is what their numbers are set beside.
        measured = interval(by_seed(table, "best_accuracy", **where))
        how = f"reading +-{row.uncertainty}, confidence {row.confidence}"
        name = "dense" if row.draw == "dense" else f"ratio {row.prune_ratio:g}, draw {row.draw}"
        out.append(
            Cell(
                f"{TITLES[row.model]} {TITLES[row.dataset]}: {name}",
                float(row.value),
                measured,
                "%",
                f"{SOURCE}; " + (how if math.isfinite(row.value) else "hidden behind other points"),
                "best epoch on test",
                MARGINS[row.dataset],
                note="" if math.isnan(row.half) else f"printed error bar +-{row.half:g}",
                reading=float(row.uncertainty),
                **where,
            )
        )
    for dataset in DATASETS:
        out += whole(f"all points, {TITLES[dataset]}", SOURCE, [cell for cell in out if cell.dataset == dataset])
    return out

"""What Figure 2 claims of each eight-bit format: as good, early as good as late, near the same ticket."""

import math
from typing import Any

import pandas as pd

from ebreplicate.catalog import TITLES
from ebreplicate.experiments.common.contrasts import minus, pooled
from ebreplicate.experiments.common.experiment import Cell, Claim
from ebreplicate.experiments.common.margins import margin_of
from ebreplicate.experiments.common.rows import accuracy_column, by_seed, interval
from ebreplicate.experiments.common.verdicts import at_least, confounded, greater
from ebreplicate.experiments.fig2.runs import FINAL, NAMES, grid_of, where_of
from ebreplicate.specs.scale import Scale


def _contrasts(scale: Scale, precision: str, pick: Any) -> dict[Any, dict[int, float]]:
    """Per panel, ratio and draw, first minus second of the values by seed that `pick` finds there."""
    out = {}
    for dataset, model, ratios in grid_of(scale).panels():
        for ratio in ratios:
            for draw in grid_of(scale).draws:
                first, second = pick(where_of(dataset, model, precision, ratio, draw))
                if differences := minus(first, second):
                    out[dataset, model, ratio, draw] = differences
    return out


def _margin(scale: Scale) -> float:
    return margin_of(scale, *grid_of(scale).datasets)


def _as_good(scale: Scale, table: pd.DataFrame, precision: str) -> Claim:
    column, margin = accuracy_column(table), _margin(scale)

    def pick(where: dict[str, Any]) -> tuple[dict[int, float], dict[int, float]]:
        return by_seed(table, column, **where), by_seed(table, column, **{**where, "precision": scale.precision})

    difference = pooled(_contrasts(scale, precision, pick))
    finding = at_least(difference, -margin, f"{precision} minus {scale.precision} search")
    return Claim(
        f"{precision}-tickets-as-good",
        f"Tickets found by a search in {NAMES[precision]} retrain in full precision as well as those found in "
        f"{scale.precision}.",
        "paper, Fig. 2 (subject known, numbers not found)",
        f"mean over panels, ratios and draws of ({precision} minus {scale.precision} search of the same seed), "
        f"t-interval over seeds; supported if its lower end exceeds -{margin:g} pp",
        finding,
    )


def _early_birds(scale: Scale, table: pd.DataFrame, precision: str) -> Claim:
    column, margin = accuracy_column(table), _margin(scale)

    def pick(where: dict[str, Any]) -> tuple[dict[int, float], dict[int, float]]:
        if not 10 <= int(where["draw"]) <= 40:
            return {}, {}
        return by_seed(table, column, **where), by_seed(table, column, **{**where, "draw": str(FINAL)})

    difference = pooled(_contrasts(scale, precision, pick))
    finding = confounded(scale, at_least(difference, -margin, "early minus final draw"))
    return Claim(
        f"{precision}-early-birds-exist",
        f"Early-bird tickets exist in a search in {NAMES[precision]}: draws of the paper's epochs 10 to 40 retrain to "
        "an accuracy no lower than the last epoch's.",
        "paper, Fig. 2 (subject known, numbers not found)",
        "mean over panels, ratios and early draws of (early minus final draw), t-interval over seeds; supported if its "
        f"lower end exceeds -{margin:g} pp",
        finding,
    )


def _same_ticket(scale: Scale, table: pd.DataFrame, precision: str) -> Claim:
    def pick(where: dict[str, Any]) -> tuple[dict[int, float], dict[int, float]]:
        full = by_seed(table, "seed_distance", **{**where, "precision": scale.precision})
        return full, by_seed(table, "mask_distance", **where)

    difference = pooled(_contrasts(scale, precision, pick))
    finding = greater(difference, "distance between seeds minus distance to the same seed", unit="")
    return Claim(
        f"{precision}-finds-the-same-ticket",
        f"Rounding to {NAMES[precision]} moves the ticket less than another seed does.",
        "a question of this replication beside the paper's Fig. 2",
        f"mean over panels, ratios and draws of (mask distance between {scale.precision} searches of two seeds minus "
        f"that between the {precision} and the {scale.precision} search of one seed), t-interval over seeds; supported "
        "if above zero",
        finding,
    )


def claims(scale: Scale, table: pd.DataFrame) -> list[Claim]:
    """Every claim, format by format."""
    kinds = (_as_good, _early_birds, _same_ticket)
    return [kind(scale, table, p) for p in grid_of(scale).precisions for kind in kinds]


NOT_FOUND = "Fig. 2: not found (docs/paper.md)"


def cells(scale: Scale, table: pd.DataFrame) -> list[Cell]:
    """A cell a point; the printed figure was not found, so the paper's side is blank."""
    return [
        Cell(
            f"{TITLES[model]} {TITLES[dataset]}: {p} search, ratio {ratio:g}, draw {draw}",
            math.nan,
            interval(by_seed(table, "best_accuracy", **where_of(dataset, model, p, ratio, draw))),
            "%",
            NOT_FOUND,
            "best epoch on test",
        )
        for dataset, model, ratios in grid_of(scale).panels()
        for p in grid_of(scale).precisions
        for ratio in ratios
        for draw in grid_of(scale).draws
    ]

"""Table 1, learning-rate schedules: does a large initial rate make early-bird tickets emerge sooner and better?"""

import math
from dataclasses import dataclass
from typing import Any

from ebreplicate import published
from ebreplicate.experiments import base
from ebreplicate.experiments.base import Cell, Claim, Experiment, by_seed, interval
from ebreplicate.experiments.verdicts import greater, pooled
from ebreplicate.plan.scale import Scale
from ebreplicate.plan.spec import Retrain, Search, Spec
from ebreplicate.stats import accuracy_margin

RATIO = 0.5
PRINTED_DRAWS = ("10", "20", "40", "final")
SHIFTED = ("cifar10", "vgg16")
"""The panel of v1's Figure 1 whose legend is shifted by one step: its "30 %" is 50 %."""
HIGH, LOW = "[80,120]", "[0,100]"


@dataclass(frozen=True)
class Grid(Spec):
    """`seeds`: how many of the scale's seeds; `draws`: the paper's draws, by name."""

    seeds: int
    draws: tuple[str, ...]


def grid(scale: Scale) -> Grid:
    """This table's part of the scale."""
    return scale.grid("table1_schedules", Grid)


def seeds_of(scale: Scale) -> tuple[int, ...]:
    """Seeds this table runs."""
    return scale.seeds[: grid(scale).seeds]


def searches(scale: Scale, dataset: str, model: str, seed: int) -> dict[str, Search]:
    """The search of each schedule; the first is Figure 1's."""
    low = scale.low_lr(scale.recipe)
    return {HIGH: scale.search(model, dataset, seed), LOW: scale.search(model, dataset, seed, low)}


def retrains(scale: Scale, dataset: str, model: str, seed: int) -> dict[tuple[str, str], Retrain]:
    """Retrains by (schedule of the search, draw); every retrain uses the same recipe, so only the ticket differs."""
    return {
        (schedule, draw): Retrain(
            ticket=base.ticket(search, RATIO, "final" if draw == "final" else scale.epoch(int(draw))),
            recipe=scale.retrain_recipe,
        )
        for schedule, search in searches(scale, dataset, model, seed).items()
        for draw in grid(scale).draws
    }


def printed(dataset: str, model: str) -> dict[str, tuple[float, float]]:
    """Accuracy and reading uncertainty of the [80,120] row, by draw: the equivalent points of Figure 1 in arXiv v1."""
    v1 = published.read("eb_fig1_v1_digitised")
    ratio = 0.3 if (dataset, model) == SHIFTED else RATIO
    rows = v1[(v1.dataset == dataset) & (v1.model == model) & ((v1.prune_ratio - ratio).abs() < 1e-9)]
    draws = rows.draw_epoch.replace("final (~160)", "final")
    points = zip(draws, rows.value, rows.uncertainty, strict=True)
    return {draw: (float(value), float(reading)) for draw, value, reading in points if draw in PRINTED_DRAWS}


class Table1(Experiment):
    """2 networks x 2 datasets x 2 schedules x 4 draws."""

    def runs(self, scale: Scale) -> list[Spec]:
        """The [80,120] half is shared with Figure 1."""
        return [
            spec
            for seed in seeds_of(scale)
            for dataset, model in base.panels()
            for spec in retrains(scale, dataset, model, seed).values()
        ]

    def table(self, scale: Scale, store: Any) -> Any:
        """One row a retrain and one a search (draw "dense")."""
        rows = []
        for dataset, model in base.panels():
            for seed in seeds_of(scale):
                names = {"model": model, "dataset": dataset}
                for schedule, search in searches(scale, dataset, model, seed).items():
                    rows.append(base.search_row(search, store, draw="dense", schedule=schedule, **names))
                for (schedule, draw), spec in retrains(scale, dataset, model, seed).items():
                    rows.append(base.retrain_row(spec, store, draw=draw, schedule=schedule, **names))
        return base.tidy(rows)

    def figure(self, scale: Scale, table: Any) -> Any:
        """Retrain accuracy against draw epoch, one line a schedule."""
        from ebreplicate.experiments.table1_figure import draw

        return draw(scale, table)

    def cells(self, scale: Scale, table: Any) -> list[Cell]:
        """[80,120] cells beside the single-run equivalents of arXiv v1's Figure 1; the [0,100] row was not found."""
        out = []
        for dataset, model in base.panels():
            points = printed(dataset, model)
            for schedule in (HIGH, LOW):
                for draw in PRINTED_DRAWS:
                    known = schedule == HIGH and draw in points
                    shifted = known and (dataset, model) == SHIFTED
                    value, reading = points[draw] if known else (math.nan, 0.0)
                    where = {"dataset": dataset, "model": model, "schedule": schedule, "draw": draw}
                    out.append(
                        Cell(
                            f"{base.TITLES[model]} {base.TITLES[dataset]}: {schedule}, draw {draw}",
                            value,
                            interval(by_seed(table, "best_accuracy", **where)),
                            "%",
                            "equivalent point of arXiv v1 Fig. 1, digitised" if known else "not found",
                            "best epoch on test",
                            accuracy_margin(value, 10_000) + reading if known else math.nan,
                            note="v1 legend read as shifted by one ratio" if shifted else "",
                        )
                    )
        return out

    def claims(self, scale: Scale, table: Any) -> list[Claim]:
        """The large initial rate draws better early tickets."""
        contrasts = {}
        for dataset, model in base.panels():
            for draw in ("10", "20"):
                where = {"dataset": dataset, "model": model, "draw": draw}
                high = by_seed(table, schedule=HIGH, **where)
                low = by_seed(table, schedule=LOW, **where)
                seeds = sorted(set(high) & set(low))
                if seeds:
                    contrasts[dataset, model, draw] = {s: high[s] - low[s] for s in seeds}
        difference, series = pooled(contrasts)
        verdict, evidence, n = greater(difference, "[80,120] minus [0,100]", series)
        return [
            Claim(
                "large-rate-helps",
                "Tickets drawn early (epochs 10 and 20) from a search with a large initial learning rate retrain "
                "better than tickets of a search at a tenth of it.",
                "paper, Table 1 (its [0,100] row was not found, so the size of the effect is not known)",
                "mean over panels and draws of ([80,120] minus [0,100]), t-interval over seeds; supported if above "
                "zero",
                verdict,
                evidence,
                n,
            )
        ]


EXPERIMENT = Table1(
    item="table1_schedules",
    title="Table 1: learning-rate schedules of the search",
    category="Paper tables",
    caption=(
        "Half of the channels are removed after 10, 20, 40 or all epochs of two searches that differ in the learning "
        "rate only: the usual schedule (decays at epochs 80 and 120) and one that starts at a tenth of the rate "
        "(decays at 0 and 100). All small networks are then trained alike."
    ),
)

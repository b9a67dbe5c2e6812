"""Table 1, learning-rate schedules: does a large initial rate make early-bird tickets emerge sooner and better?"""

from dataclasses import dataclass
from typing import Any

from ebreplicate import published
from ebreplicate.catalog import TITLES
from ebreplicate.experiments.common.experiment import Cell, Claim, Experiment
from ebreplicate.experiments.common.panels import PANELS, panels
from ebreplicate.experiments.common.rows import by_seed, interval, retrain_row, search_row, ticket, tidy
from ebreplicate.experiments.common.stats import accuracy_margin
from ebreplicate.experiments.common.verdicts import greater, pooled
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Retrain, Search, Spec

RATIO = 0.5
MISPRINT = ("cifar100", "vgg16", "[80,120]", "40")
"""Printed 69.14, drawn at 70.14 in Figure 1 of arXiv v1 and at 70.53 in ICLR's: shown, and never judged."""
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
    evaluation = scale.evaluation(dataset)
    return {
        HIGH: scale.search(model, dataset, seed),
        LOW: scale.search(model, dataset, seed, low, evaluation=evaluation),
    }


def retrains(scale: Scale, dataset: str, model: str, seed: int) -> dict[tuple[str, str], Retrain]:
    """Retrains by (schedule of the search, draw); every retrain uses the same recipe, so only the ticket differs."""
    return {
        (schedule, draw): Retrain(
            ticket=ticket(search, RATIO, "final" if draw == "final" else scale.epoch(int(draw))),
            recipe=scale.retrain_recipe,
        )
        for schedule, search in searches(scale, dataset, model, seed).items()
        for draw in grid(scale).draws
    }


def printed(dataset: str, model: str, schedule: str) -> dict[str, float]:
    """Printed accuracy in percent by draw, of one row of the table."""
    rows = published.read("eb_table1_lr_schedule")
    rows = rows[(rows.dataset == dataset) & (rows.model == model) & rows.method.str.endswith(schedule)]
    return dict(zip(rows.draw_epoch, map(float, rows.value), strict=True))


class Table1(Experiment):
    """2 networks x 2 datasets x 2 schedules x 4 draws."""

    def runs(self, scale: Scale) -> list[Spec]:
        """The [80,120] half is shared with Figure 1."""
        return [
            spec
            for seed in seeds_of(scale)
            for dataset, model in panels(scale)
            for spec in retrains(scale, dataset, model, seed).values()
        ]

    def table(self, scale: Scale, store: Any) -> Any:
        """One row a retrain and one a search (draw "dense")."""
        rows = []
        for dataset, model in panels(scale):
            for seed in seeds_of(scale):
                names = {"model": model, "dataset": dataset}
                for schedule, search in searches(scale, dataset, model, seed).items():
                    rows.append(search_row(search, store, draw="dense", schedule=schedule, **names))
                for (schedule, draw), spec in retrains(scale, dataset, model, seed).items():
                    rows.append(retrain_row(spec, store, draw=draw, schedule=schedule, **names))
        return tidy(rows)

    def figure(self, scale: Scale, table: Any) -> Any:
        """Retrain accuracy against draw epoch, one line a schedule."""
        from ebreplicate.experiments.table1.plot import draw

        return draw(scale, table)

    def cells(self, scale: Scale, table: Any) -> list[Cell]:
        """The 32 cells of the table, one of them misprinted."""
        out = []
        for dataset, model in PANELS:
            for schedule in (HIGH, LOW):
                for draw, value in printed(dataset, model, schedule).items():
                    misprint = (dataset, model, schedule, draw) == MISPRINT
                    where = {"dataset": dataset, "model": model, "schedule": schedule, "draw": draw}
                    out.append(
                        Cell(
                            f"{TITLES[model]} {TITLES[dataset]}: {schedule}, draw {draw}",
                            value,
                            interval(by_seed(table, "best_accuracy", **where)),
                            "%",
                            "paper, Table 1",
                            "best epoch on test",
                            accuracy_margin(value, 10_000),
                            note="misprint: Figure 1 shows 70.14 (arXiv v1), 70.53 (ICLR)" if misprint else "",
                            context=misprint,
                        )
                    )
        return out

    def claims(self, scale: Scale, table: Any) -> list[Claim]:
        """The large initial rate draws better early tickets."""
        contrasts = {}
        for dataset, model in PANELS:
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
                "paper, Table 1",
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

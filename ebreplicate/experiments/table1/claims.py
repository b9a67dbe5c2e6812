"""Table 1's printed cells beside ours, and what the table claims."""

import pandas as pd

from ebreplicate import published
from ebreplicate.catalog import TITLES
from ebreplicate.experiments.common.contrasts import paired, pooled
from ebreplicate.experiments.common.experiment import Cell, Claim
from ebreplicate.experiments.common.margins import MARGINS
from ebreplicate.experiments.common.panels import DATASETS, PANELS
from ebreplicate.experiments.common.rows import by_seed, interval
from ebreplicate.experiments.common.verdicts import greater, whole
from ebreplicate.experiments.table1.runs import HIGH, LOW
from ebreplicate.specs.scale import Scale

SOURCE = "paper, Table 1"
MISPRINT = ("cifar100", "vgg16", "[80,120]", "40")
"""Printed 69.14, drawn at 70.14 in Figure 1 of arXiv v1 and at 70.53 in ICLR's: shown, and never judged."""


def printed(dataset: str, model: str, schedule: str) -> dict[str, float]:
    """Printed accuracy in percent by draw, of one row of the table."""
    rows = published.read("eb_table1_lr_schedule")
    rows = rows[(rows.dataset == dataset) & (rows.model == model) & rows.method.str.endswith(schedule)]
    return dict(zip(rows.draw_epoch, map(float, rows.value), strict=True))


def cells(scale: Scale, table: pd.DataFrame) -> list[Cell]:
    """The 32 cells of the table, one of them misprinted; and those of each dataset as one."""
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
                        SOURCE,
                        "best epoch on test",
                        MARGINS[dataset],
                        note="misprint: Figure 1 shows 70.14 (arXiv v1), 70.53 (ICLR)" if misprint else "",
                        context=misprint,
                        reading=0.005,
                        dataset=dataset,
                    )
                )
    for dataset in DATASETS:
        out += whole(f"all cells, {TITLES[dataset]}", SOURCE, [cell for cell in out if cell.dataset == dataset])
    return out


def claims(scale: Scale, table: pd.DataFrame) -> list[Claim]:
    """The large initial rate draws better early tickets."""
    contrasts = {}
    for dataset, model in PANELS:
        for draw in ("10", "20"):
            where = {"dataset": dataset, "model": model, "draw": draw}
            high, low = ({**where, "schedule": schedule} for schedule in (HIGH, LOW))
            if differences := paired(table, "last_accuracy", high, low):
                contrasts[dataset, model, draw] = differences
    return [
        Claim(
            "large-rate-helps",
            "Tickets drawn early (epochs 10 and 20) from a search with a large initial learning rate retrain "
            "better than tickets of a search at a tenth of it.",
            "paper, Table 1",
            "mean over panels and draws of ([80,120] minus [0,100]), t-interval over seeds; supported if above zero",
            greater(pooled(contrasts), "[80,120] minus [0,100]"),
        )
    ]

"""Table 1 as drawn: retrain accuracy against the draw epoch under two schedules of the search, the paper beside."""

import math
from typing import Any

from ebreplicate.experiments import base
from ebreplicate.experiments.base import by_seed, interval
from ebreplicate.experiments.table1_schedules import HIGH, LOW, RATIO, grid, printed, seeds_of
from ebreplicate.plan.scale import Scale

LABELS = {HIGH: "search with a large initial rate, [80,120]", LOW: "search at a tenth of it, [0,100]"}
DODGE = 0.04
"""Half the distance between the schedules of a draw: their intervals must not hide each other."""


def draw(scale: Scale, table: Any) -> Any:
    """Four panels, a line a schedule; the published row hollow beside ours."""
    from ebreplicate import style

    plt = style.use()
    figure, axes = plt.subplots(1, 4, figsize=(13, 3.6))
    lines: list[Any] = []
    for axis, (dataset, model) in zip(axes, base.panels(), strict=True):
        lines = _panel(axis, scale, table, dataset, model)
    axes[0].set_ylabel("retrain accuracy (%)")
    where = "" if scale.comparable else ", right axis"
    lines.append(
        plt.Line2D([], [], c=style.COLOURS[0], marker="o", **style.PUBLISHED, label=f"paper, [80,120], one run{where}")
    )
    figure.legend(handles=lines, loc="outside upper center", ncols=3)
    n = len(seeds_of(scale))
    spread = "mean and 95 % t-interval (cut at the frame)" if n > 1 else "no interval"
    style.stamp(
        figure,
        f"scale {scale.name}, {base.count(n, 'seed')}, {spread}, last retrain epoch, {RATIO:.0%} of the channels "
        "removed; the paper's row is read from Figure 1 of arXiv v1, its [0,100] row was not found",
    )
    return figure


def _panel(axis: Any, scale: Scale, table: Any, dataset: str, model: str) -> list[Any]:
    """Draw one panel; returns a legend handle a schedule."""
    from ebreplicate import style

    draws = grid(scale).draws
    seen: list[float] = []
    lines: list[Any] = []
    for i, schedule in enumerate((HIGH, LOW)):
        look = {"c": style.COLOURS[i], "marker": style.MARKERS[i]}
        where = {"dataset": dataset, "model": model, "schedule": schedule}
        shift = DODGE * (2 * i - 1)
        found = [(x + shift, by_seed(table, draw=d, **where)) for x, d in enumerate(draws)]
        means = [(x, interval(values)) for x, values in found if values]
        halves = [0 if math.isnan(i.half) else i.half for _, i in means]
        at, heights = [x for x, _ in means], [i.mean for _, i in means]
        lines.append(axis.errorbar(at, heights, halves, capsize=2, label=LABELS[schedule], **look))
        for x, values in found:
            axis.plot([x] * len(values), list(values.values()), ".", c=look["c"], alpha=0.5, ms=4)
            seen += values.values()
    points = [(draws.index(d), value) for d, (value, _) in printed(dataset, model).items() if d in draws]
    other = style.printed_axis(axis, scale.comparable)
    style.printed_line(other, *zip(*points, strict=True), c=style.COLOURS[0], marker="o")
    if not scale.comparable:
        style.frame(axis, seen)
        style.frame(other, [value for _, value in points])
    axis.set_title(base.title(scale, model, dataset), fontsize="small")
    stands_for = [f"\n(paper: {d})" if d != "final" and scale.epoch(int(d)) != int(d) else "" for d in draws]
    ours = [d if d == "final" else str(scale.epoch(int(d))) for d in draws]
    axis.set_xticks(range(len(draws)), [a + b for a, b in zip(ours, stands_for, strict=True)], fontsize="small")
    axis.set_xlabel(f"draw epoch, of {scale.recipe.epochs}")
    return lines

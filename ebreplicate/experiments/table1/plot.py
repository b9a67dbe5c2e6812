"""Table 1 as drawn: retrain accuracy against the draw epoch under two schedules of the search, the paper beside."""

import math
from typing import Any

from ebreplicate.experiments.common.panels import panels, title
from ebreplicate.experiments.common.rows import by_seed, count, interval
from ebreplicate.experiments.table1.claims import printed
from ebreplicate.experiments.table1.runs import HIGH, LOW, RATIO, grid, seeds_of
from ebreplicate.specs.scale import Scale

LABELS = {HIGH: "search with a large initial rate, [80,120]", LOW: "search at a tenth of it, [0,100]"}
DODGE = 0.04
"""Half the distance between the schedules of a draw: their intervals must not hide each other."""


def draw(scale: Scale, table: Any) -> Any:
    """Four panels, a line a schedule; the published rows hollow beside ours."""
    from ebreplicate.experiments.common import style

    plt = style.use()
    shown = panels(scale)
    figure, axes = plt.subplots(1, len(shown), figsize=(max(6.5, 3.25 * len(shown)), 3.6), squeeze=False)
    axes = axes[0]
    lines: list[Any] = []
    for axis, (dataset, model) in zip(axes, shown, strict=True):
        lines = _panel(axis, scale, table, dataset, model)
    axes[0].set_ylabel("retrain accuracy (%)")
    where = "" if scale.comparable else ", right axis"
    lines += [
        plt.Line2D([], [], c=c, marker=m, **style.PUBLISHED, label=f"paper, {schedule}{where}")
        for c, m, schedule in zip(style.COLOURS, style.MARKERS, (HIGH, LOW), strict=False)
    ]
    figure.legend(handles=lines, loc="outside upper center", ncols=2)
    n = len(seeds_of(scale))
    spread = "mean and 95 % t-interval (cut at the frame)" if n > 1 else "no interval"
    style.stamp(
        figure,
        f"scale {scale.name}, {count(n, 'seed')}, {spread}, last retrain epoch, {RATIO:.0%} of the channels "
        "removed; the paper's VGG16 CIFAR-100 value at 40 is a misprint (69.14 for 70.14)",
    )
    return figure


def _panel(axis: Any, scale: Scale, table: Any, dataset: str, model: str) -> list[Any]:
    """Draw one panel; returns a legend handle a schedule."""
    from ebreplicate.experiments.common import style

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
    other = style.printed_axis(axis, scale.comparable)
    theirs: list[float] = []
    for i, schedule in enumerate((HIGH, LOW)):
        points = [(draws.index(d), value) for d, value in printed(dataset, model, schedule).items() if d in draws]
        style.printed_line(other, *zip(*points, strict=True), c=style.COLOURS[i], marker=style.MARKERS[i])
        theirs += [value for _, value in points]
    if not scale.comparable:
        style.frame(axis, seen)
        style.frame(other, theirs)
    axis.set_title(title(scale, model, dataset), fontsize="small")
    stands_for = [f"\n(paper: {d})" if d != "final" and scale.epoch(int(d)) != int(d) else "" for d in draws]
    ours = [d if d == "final" else str(scale.epoch(int(d))) for d in draws]
    axis.set_xticks(range(len(draws)), [a + b for a, b in zip(ours, stands_for, strict=True)], fontsize="small")
    axis.set_xlabel(f"draw epoch, of {scale.recipe.epochs}")
    return lines

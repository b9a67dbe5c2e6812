"""Table 1 as drawn: what the large initial learning rate of the search adds, by draw."""

from typing import Any

from ebreplicate.experiments.common.contrasts import paired
from ebreplicate.experiments.common.panels import panels, title
from ebreplicate.experiments.common.rows import accuracy_column, images_of
from ebreplicate.experiments.table1.claims import MISPRINT, printed
from ebreplicate.experiments.table1.runs import HIGH, LOW, RATIO, grid
from ebreplicate.specs.scale import Scale


def draw(scale: Scale, table: Any) -> Any:
    """A panel a network and dataset with tickets of both searches: [80,120] minus [0,100] at every draw; the paper's
    hollow beside."""
    from ebreplicate.experiments.common import style

    plt = style.use()
    shown = {p: ours for p in panels(scale) if any(ours := _ours(scale, table, *p))}
    if not shown:  # one of the two searches, or its tickets, may have run alone
        return style.nothing(scale.name)
    size = (max(6.0, 3.25 * len(shown)), 3.8)
    figure, axes = plt.subplots(1, len(shown), figsize=size, squeeze=False, sharey=True)
    for axis, ((dataset, model), ours) in zip(axes[0], shown.items(), strict=True):
        _panel(axis, scale, ours, dataset, model)
    axes[0][0].set_ylabel("large minus small initial rate (pp)")
    handles = [plt.Line2D([], [], c=style.COLOURS[0], marker="o", ls="", label="ours")]
    if not scale.is_smoke:
        look = {**style.PUBLISHED, "ls": "", "c": "0.3", "marker": "s"}
        handles.append(plt.Line2D([], [], **look, label="paper"))
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    left_out = not scale.is_smoke and MISPRINT[:2] in shown
    misprint = "\nleft out: the paper's VGG16 CIFAR-100 value at epoch 40, a misprint" if left_out else ""
    style.stamp(
        figure,
        f"scale {scale.name}; tickets of a search by {HIGH} minus those of a search at a tenth of the rate, {LOW};\n"
        f"{RATIO:.0%} of the channels removed; last retrain epoch, {images_of(table)}, {style.SEEDS}{misprint}",
    )
    return figure


def _panel(axis: Any, scale: Scale, ours: list[dict[int, float]], dataset: str, model: str) -> None:
    from ebreplicate.experiments.common import style

    draws = grid(scale).draws
    points = [(x - 0.05, values.values()) for x, values in enumerate(ours)]
    style.series(axis, points, ls="", c=style.COLOURS[0], marker="o")
    if not scale.is_smoke:
        theirs = differences(dataset, model)
        at = [(x + 0.05, theirs[d]) for x, d in enumerate(draws) if d in theirs]
        style.printed_line(axis, *zip(*at, strict=True), c="0.3", marker="s", ls="")
    style.zero(axis)
    epochs = [scale.recipe.epochs if d == "final" else scale.epoch(int(d)) for d in draws]
    axis.set_xticks(range(len(draws)), [style.percent(100 * e / scale.recipe.epochs) for e in epochs])
    axis.set_xlim(-0.5, len(draws) - 0.5)
    axis.set_xlabel("ticket drawn after this share of the search (%)", fontsize="small")
    axis.set_title(title(scale, model, dataset), fontsize="small")


def _ours(scale: Scale, table: Any, dataset: str, model: str) -> list[dict[int, float]]:
    """What the large rate adds, by seed, of every draw."""
    here, column = {"dataset": dataset, "model": model}, accuracy_column(table)
    arms = [[{**here, "draw": d, "schedule": s} for s in (HIGH, LOW)] for d in grid(scale).draws]
    return [paired(table, column, *both) for both in arms]


def differences(dataset: str, model: str) -> dict[str, float]:
    """The paper's [80,120] minus its [0,100] in points, by draw, without the misprinted one."""
    high, low = (printed(dataset, model, schedule) for schedule in (HIGH, LOW))
    return {d: high[d] - low[d] for d in high if d in low and (dataset, model, HIGH, d) != MISPRINT}

"""The detector study as drawn: when tickets emerge under three rules, and accuracy where they emerge."""

from typing import Any

from ebreplicate.experiments.common.contrasts import minus
from ebreplicate.experiments.common.panels import PAPER_EPOCHS, images, network, panels
from ebreplicate.experiments.common.rows import by_seed, images_of
from ebreplicate.experiments.detector.runs import RULES, Grid
from ebreplicate.experiments.fig1.runs import ratios_of
from ebreplicate.experiments.fig3.claims import annotations
from ebreplicate.specs.scale import Scale


def groups(scale: Scale, table: Any) -> list[tuple[str, str, float]]:
    """(dataset, model, ratio) of every group of points, of the panels that have run."""
    known = table[table.emergence_known.astype(bool)]
    ran = [(d, m) for d, m in panels(scale) if ((known.dataset == d) & (known.model == m)).any()]
    return [(d, m, r) for d, m in ran for r in ratios_of(scale, d, m)]


def draw(scale: Scale, table: Any) -> Any:
    """Left: emergence under each rule. Right: accuracy differences."""
    from ebreplicate.experiments.common import style

    plt = style.use()
    figure, (left, right) = plt.subplots(1, 2, figsize=(min(12, 8 + 0.5 * len(groups(scale, table))), 4.8))
    _emergence(left, scale, table)
    whole = scale.grid("detector_study", Grid).at_emergence
    _accuracy(right, scale, table, whole)
    for axis in (left, right):
        names = [f"{network(scale, m)}\n{images(scale, d)}" for d, m, _ in groups(scale, table)]
        style.groups_below(axis, names, [f"{r:.0%}" for *_, r in groups(scale, table)])
    text = (
        f"scale {scale.name}; left: one point a seed; right: last epoch, {images_of(table)}, {style.SEEDS}; "
        "percentages: channels removed"
    )
    if not scale.is_smoke:
        text += "\nband: the emergence that the paper's Figure 3 marks (CIFAR-100)"
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=2, fontsize="small")
    style.stamp(figure, text)
    return figure


def _emergence(axis: Any, scale: Scale, table: Any) -> None:
    from ebreplicate.experiments.common import style

    for rule, colour, marker, shift in zip(RULES, style.COLOURS, style.MARKERS, (-0.24, 0, 0.24), strict=False):
        points: list[tuple[float, float]] = []
        for x, (dataset, model, ratio) in enumerate(groups(scale, table)):
            found = by_seed(table, f"emergence_{rule}", dataset=dataset, model=model, ratio=ratio)
            shares = [100 * epoch / scale.recipe.epochs for epoch in found.values()]
            points += zip(_spread(x + shift, len(found)), shares, strict=True)
        axis.plot([p[0] for p in points], [p[1] for p in points], marker, c=colour, label=RULES[rule], alpha=0.8)
    if not scale.is_smoke:
        marked = [100 * epoch / PAPER_EPOCHS for epoch in annotations().values()]
        axis.axhspan(min(marked), max(marked), color="0.85", zorder=0, label="paper")
    decay = 100 * scale.recipe.milestones[0] / scale.recipe.epochs
    axis.axhline(decay, c="0.3", ls="--", lw=1, label="first decay of the learning rate")
    known = table[table.emergence_known.astype(bool)]
    for row in known[known.emergence_authors.isna()].itertuples():
        x = groups(scale, table).index((row.dataset, row.model, row.ratio))
        axis.text(x, 100, "none", ha="center", va="bottom", fontsize="xx-small", color="0.4")
    axis.set(ylabel="% of training", ylim=(0, 108))
    axis.set_title("When the ticket emerges")


def _accuracy(axis: Any, scale: Scale, table: Any, whole: bool) -> None:
    """Differences per seed: EB Train minus dense, and (`whole`) the full retrain at emergence minus the best draw."""
    from ebreplicate.experiments.common import style

    kinds = [("EB Train (rest of the schedule) minus dense", "eb_train_accuracy", "dense_accuracy")]
    if whole:
        label = "full retrain at emergence minus best draw of Figure 1's grid"
        kinds.append((label, "last_accuracy", "best_draw_accuracy"))
    for i, (label, ours, theirs) in enumerate(kinds):
        points: list[tuple[float, list[float]]] = []
        for x, (dataset, model, ratio) in enumerate(groups(scale, table)):
            where = {"dataset": dataset, "model": model, "ratio": ratio}
            a, b = (by_seed(table, column, **where) for column in (ours, theirs))
            points.append((x + (0.24 * i if whole else 0), [*minus(a, b).values()]))
        look: dict[str, Any] = {"marker": style.MARKERS[i], "c": style.COLOURS[i], "ls": ""}
        style.series(axis, points, **look, label=label)
    style.zero(axis)
    axis.set_ylabel("accuracy difference (pp)")
    axis.set_title(kinds[0][0] if len(kinds) == 1 else "Accuracy of tickets drawn where they emerge")
    if len(kinds) > 1:
        style.legend_below(axis, columns=1, drop=-0.26)


def _spread(x: float, n: int) -> list[float]:
    """Positions of n seeds about x, close beside each other, so that equal values both show."""
    step = min(0.07, 0.18 / max(n, 1))
    return [x + step * (i - (n - 1) / 2) for i in range(n)]

"""The detector study as drawn: emergence epochs under three rules, and accuracy where the ticket emerges."""

from typing import Any

from ebreplicate.catalog import TITLES
from ebreplicate.experiments.common.panels import panels
from ebreplicate.experiments.common.rows import by_seed
from ebreplicate.experiments.detector.runs import RULES, Grid
from ebreplicate.experiments.fig1.runs import ratios_of
from ebreplicate.specs.scale import Scale


def groups(scale: Scale) -> list[tuple[str, str, float]]:
    """(dataset, model, ratio) of every group of points."""
    return [(d, m, r) for d, m in panels(scale) for r in ratios_of(scale, d, m)]


def draw(scale: Scale, table: Any) -> Any:
    """Left: emergence epochs per rule. Right: accuracy differences."""
    from ebreplicate.experiments.common import style

    plt = style.use()
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.8), width_ratios=(3, 2))
    _emergence(left, scale, table)
    whole = scale.grid("detector_study", Grid).at_emergence
    _accuracy(right, scale, table, whole)
    for axis in (left, right):
        names = [f"{TITLES[m]}\n{TITLES[d]}" for d, m, _ in groups(scale)]
        style.groups_below(axis, names, [f"{r:.0%}" for *_, r in groups(scale)])
    stands = [f"{TITLES[m]}: {scale.models[m]['name']}" for m in ("preresnet101",) if scale.models[m]["name"] != m]
    text = "; ".join([f"scale {scale.name}", *stands, "one point a seed; percentages: channels removed"])
    if not whole:
        text += (
            "\nfull retrains at emergence, beside the best draw, are not part of this scale: retrains of "
            f"{scale.retrain_recipe.epochs} epochs after searches of {scale.recipe.epochs} cannot compare draws"
        )
    style.stamp(figure, text)
    return figure


def _emergence(axis: Any, scale: Scale, table: Any) -> None:
    from ebreplicate.experiments.common import style

    for rule, colour, marker, shift in zip(RULES, style.COLOURS, style.MARKERS, (-0.24, 0, 0.24), strict=False):
        points = []
        for x, (dataset, model, ratio) in enumerate(groups(scale)):
            found = by_seed(table, f"emergence_{rule}", dataset=dataset, model=model, ratio=ratio)
            points += [(at, epoch) for at, epoch in zip(_spread(x + shift, len(found)), found.values(), strict=True)]
        axis.plot([p[0] for p in points], [p[1] for p in points], marker, c=colour, label=RULES[rule], alpha=0.8)
    decay = scale.recipe.milestones[0]
    axis.axhline(decay, c="0.3", ls="--", lw=1, label=f"first learning-rate decay (epoch {decay})")
    known = table[table.emergence_known.astype(bool)]
    for row in known[known.emergence_authors.isna()].itertuples():
        x = groups(scale).index((row.dataset, row.model, row.ratio))
        axis.text(x, scale.recipe.epochs, "none", ha="center", va="bottom", fontsize="xx-small", color="0.4")
    axis.set(ylabel=f"emergence epoch, of {scale.recipe.epochs}", ylim=(0, scale.recipe.epochs * 1.08))
    axis.legend(fontsize="x-small", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)


def _accuracy(axis: Any, scale: Scale, table: Any, whole: bool) -> None:
    """Differences per seed: EB Train minus dense, and (`whole`) the full retrain at emergence minus the best draw."""
    from ebreplicate.experiments.common import style

    kinds = [("EB Train (rest of the schedule), minus dense", "eb_train_accuracy", "dense_accuracy")]
    if whole:
        label = "full retrain at emergence, minus best draw of Figure 1's grid"
        kinds.append((label, "last_accuracy", "best_draw_accuracy"))
    for i, (label, ours, theirs) in enumerate(kinds):
        points: list[tuple[float, float]] = []
        for x, (dataset, model, ratio) in enumerate(groups(scale)):
            where = {"dataset": dataset, "model": model, "ratio": ratio}
            a, b = (by_seed(table, column, **where) for column in (ours, theirs))
            differences = [a[s] - b[s] for s in sorted(set(a) & set(b))]
            points += zip(_spread(x + (0.24 * i if whole else 0), len(differences)), differences, strict=True)
        look = {"marker": style.MARKERS[i], "c": style.COLOURS[i], "ls": ""}
        axis.plot([p[0] for p in points], [p[1] for p in points], **look, label=label)
    axis.axhline(0, c="0.3", ls="--", lw=1)
    axis.set_ylabel("accuracy difference (pp)")
    axis.legend(fontsize="x-small", loc="lower center", bbox_to_anchor=(0.5, 1.0))


def _spread(x: float, n: int) -> list[float]:
    """Positions of n seeds about x, close beside each other, so that equal values both show."""
    return [x + 0.07 * (i - (n - 1) / 2) for i in range(n)]

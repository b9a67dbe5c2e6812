"""The detector study as drawn: emergence epochs under three rules, and accuracy where the ticket emerges."""

from typing import Any

from ebreplicate.experiments import base
from ebreplicate.experiments.base import by_seed
from ebreplicate.experiments.detector_study import RULES
from ebreplicate.experiments.fig1_runs import RATIOS
from ebreplicate.plan.scale import Scale


def draw(scale: Scale, table: Any) -> Any:
    """Left: emergence epochs per rule. Right: accuracy differences."""
    from ebreplicate import style

    plt = style.use()
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.8), width_ratios=(3, 2))
    groups = [(d, m, r) for d, m in base.panels() for r in RATIOS[d, m]]
    for rule, colour, marker, shift in zip(RULES, style.COLOURS, style.MARKERS, (-0.22, 0, 0.22), strict=False):
        points = []
        for x, (dataset, model, ratio) in enumerate(groups):
            found = by_seed(table, f"emergence_{rule}", dataset=dataset, model=model, ratio=ratio)
            points += [(x + shift, epoch) for epoch in found.values()]
        left.plot([p[0] for p in points], [p[1] for p in points], marker, c=colour, label=RULES[rule], alpha=0.8)
    decay = scale.recipe.milestones[0]
    left.axhline(decay, c="0.3", ls="--", lw=1, label=f"first learning-rate decay (epoch {decay})")
    known = table[table.emergence_known.astype(bool)]
    never = known[known.emergence_authors.isna()]
    for row in never.itertuples():
        x = groups.index((row.dataset, row.model, row.ratio))
        left.text(x, scale.recipe.epochs, "none", ha="center", va="bottom", fontsize="xx-small", color="0.4")
    left.set(ylabel=f"emergence epoch, of {scale.recipe.epochs}", ylim=(0, scale.recipe.epochs * 1.08))
    left.legend(fontsize="x-small", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    for x, (dataset, model, ratio) in enumerate(groups):
        at_eb = by_seed(table, dataset=dataset, model=model, ratio=ratio)
        best = by_seed(table, "best_draw_accuracy", dataset=dataset, model=model, ratio=ratio)
        seeds = sorted(set(at_eb) & set(best))
        label = "full retrain at emergence, minus best draw of Figure 1's grid" if x == 0 else None
        right.plot([x - 0.12] * len(seeds), [at_eb[s] - best[s] for s in seeds], "o", c=style.COLOURS[0], label=label)
        ours = by_seed(table, "eb_train_accuracy", dataset=dataset, model=model, ratio=ratio)
        dense = by_seed(table, "dense_accuracy", dataset=dataset, model=model, ratio=ratio)
        seeds = sorted(set(ours) & set(dense))
        label = "EB Train (rest of the schedule), minus dense" if x == 0 else None
        right.plot([x + 0.12] * len(seeds), [ours[s] - dense[s] for s in seeds], "s", c=style.COLOURS[1], label=label)
    right.axhline(0, c="0.3", ls="--", lw=1)
    right.set_ylabel("accuracy difference (pp)")
    right.legend(fontsize="x-small", loc="lower center", bbox_to_anchor=(0.5, 1.0))
    short = {"preresnet101": "PRN", "vgg16": "VGG"}
    labels = [f"{short[m]} {d.removeprefix('cifar')} {r:.0%}" for d, m, r in groups]
    for axis in (left, right):
        axis.set_xticks(range(len(groups)), labels, rotation=60, fontsize="x-small", ha="right")
        axis.set_xlim(-0.6, len(groups) - 0.4)
    style.stamp(figure, f"scale {scale.name}, one point a seed; PRN: PreResNet101, 10 and 100: CIFAR-10 and -100")
    return figure

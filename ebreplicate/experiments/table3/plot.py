"""Table 3 as a figure: top-1 accuracy against training FLOPs, the paper beside."""

import math
from typing import Any

from ebreplicate import published
from ebreplicate.experiments.common.panels import title
from ebreplicate.experiments.common.rows import by_seed, count, interval
from ebreplicate.experiments.table3.runs import DATASET, METHODS, RATIOS, UNPRUNED
from ebreplicate.specs.scale import Scale


def draw(scale: Scale, table: Any) -> Any:
    """A panel a network; the paper's points hollow."""
    from ebreplicate.experiments.common import style

    plt = style.use()
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 4.4))
    for axis, model in zip(axes, RATIOS, strict=True):
        _panel(axis, scale, table, model)
    axes[0].set_ylabel("top-1 accuracy (%)")
    handles = [plt.Line2D([], [], ls="", c=colour, marker=marker, label=method) for method, colour, marker in _looks()]
    where = "" if scale.comparable else ", right axis"
    look = {**style.PUBLISHED, "ls": ""}
    handles.append(plt.Line2D([], [], c="0.3", marker="o", label=f"paper, printed{where}", **look))
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    n = len(set(table.seed))
    more = "" if scale.comparable else "; the paper's points are of ImageNet: compare the pattern, not the numbers"
    style.stamp(
        figure,
        f"scale {scale.name}, {count(n, 'seed')}, last epoch, mean and 95 % t-interval; labels: fraction of "
        f"the channels removed{more}",
    )
    return figure


def _looks() -> list[tuple[str, str, str]]:
    from ebreplicate.experiments.common import style

    return list(zip(METHODS, ("0.3", *style.COLOURS), ("*", "s", "^", "o", "D"), strict=True))


def _panel(axis: Any, scale: Scale, table: Any, model: str) -> None:
    from ebreplicate.experiments.common import style

    paper = _printed(model)
    other = axis if scale.comparable or not paper else axis.twinx()
    here = table[table.model == model]
    seen: list[float] = []
    for method, colour, marker in _looks():
        for ratio in sorted(set(here.ratio[here.method == method])):
            where = {"method": method, "ratio": float(ratio)}
            flops, accuracy = by_seed(here, "flops_ratio", **where), by_seed(here, **where)
            if flops:
                x, ours = interval(flops).mean, interval(accuracy)
                half = 0 if math.isnan(ours.half) else ours.half
                axis.errorbar(x, ours.mean, half, c=colour, marker=marker, capsize=2)
                _name(axis, ratio, x, ours.mean)
                seen += accuracy.values()
            if (method, ratio) in paper:
                x, y = paper[method, ratio]
                other.plot(x, y, c=colour, marker=marker, **{**style.PUBLISHED, "ls": ""})
                _name(other, ratio, x, y)
                seen += [y] if other is axis else []
    style.frame(axis, seen)
    if not seen:
        style.not_run(axis)
    if not (seen or paper):
        axis.set_xticks([])
    if other is not axis:
        other.grid(visible=False)
        style.frame(other, [y for _, y in paper.values()])
    axis.margins(x=0.15)
    axis.set_xlabel("training FLOPs / unpruned")
    axis.set_title(title(scale, model, DATASET), fontsize="small")


def _printed(model: str) -> dict[tuple[str, float], tuple[float, float]]:
    """The paper's points: training FLOPs over the unpruned network's, and top-1, by (method, ratio)."""
    rows = published.read("eb_table3_resnet18_imagenet")
    rows = rows[rows.model == model]
    values = {m: rows[rows.metric == m] for m in ("total_training_flops", "top1")}
    flops, top1 = (dict(zip(zip(v.method, v.prune_ratio, strict=True), v.value, strict=True)) for v in values.values())
    return {k: (f / flops[UNPRUNED, 0.0], top1[k]) for k, f in flops.items()}


def _name(axis: Any, ratio: float, x: float, y: float) -> None:
    """Write the ratio beside a point."""
    if ratio:
        axis.annotate(
            f"{ratio:.0%}", (x, y), xytext=(5, 4), textcoords="offset points", fontsize="x-small", color="0.3"
        )

"""Table 3 as a figure: top-1 accuracy minus the unpruned network's against training FLOPs, the paper beside."""

from typing import Any

from ebreplicate import published
from ebreplicate.experiments.common.contrasts import minus
from ebreplicate.experiments.common.panels import title
from ebreplicate.experiments.common.rows import by_seed, has_run, interval
from ebreplicate.experiments.table3.runs import DATASET, METHODS, RATIOS, UNPRUNED
from ebreplicate.specs.scale import Scale


def draw(scale: Scale, table: Any) -> Any:
    """A panel a network; the paper's points hollow."""
    from ebreplicate.experiments.common import style

    plt = style.use()
    models = [model for model in RATIOS if has_run(table, model=model)]
    figure, axes = plt.subplots(1, len(models), figsize=(1.5 + 4.2 * len(models), 4.4), squeeze=False)
    for axis, model in zip(axes[0], models, strict=True):
        _panel(axis, scale, table, model)
    axes[0][0].set_ylabel("top-1 accuracy minus unpruned (pp)")
    ran = [look for look in _looks() if has_run(table, method=look[0])]
    handles = [plt.Line2D([], [], ls="", c=colour, marker=marker, label=method) for method, colour, marker in ran]
    if not scale.is_smoke:
        look = {**style.PUBLISHED, "ls": ""}
        handles.append(plt.Line2D([], [], c="0.3", marker="o", label="paper", **look))
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    more = "" if scale.comparable or scale.is_smoke else "; the paper's points are of ImageNet"
    style.stamp(figure, f"scale {scale.name}; last epoch, {style.SEEDS}; labels: share of the channels removed{more}")
    return figure


def _looks() -> list[tuple[str, str, str]]:
    from ebreplicate.experiments.common import style

    return list(zip(METHODS, ("0.3", *style.COLOURS), ("*", "s", "^", "o", "D"), strict=True))


def _panel(axis: Any, scale: Scale, table: Any, model: str) -> None:
    from ebreplicate.experiments.common import style

    paper = {} if scale.is_smoke else _printed(model)
    here, seen = table[table.model == model], [0.0]
    dense = by_seed(here, method=UNPRUNED)
    for method, colour, marker in _looks():
        look: dict[str, Any] = {"c": colour, "marker": marker}
        for ratio in sorted(set(here.ratio[here.method == method])):
            where = {"method": method, "ratio": float(ratio)}
            flops, beside = by_seed(here, "flops_ratio", **where), minus(by_seed(here, **where), dense)
            if flops and beside:
                x, ours = interval(flops).mean, interval(beside).mean
                seen += style.series(axis, [(x, beside.values())], ls="", **look)
                _name(axis, ratio, x, ours)
            if (method, ratio) in paper:
                x, y = paper[method, ratio]
                axis.plot(x, y, **look, **{**style.PUBLISHED, "ls": ""})
                _name(axis, ratio, x, y)
                seen.append(y)
    style.zero(axis)
    style.frame(axis, seen)
    axis.margins(x=0.15)
    axis.set_xlabel("training FLOPs over those of the unpruned network")
    axis.set_title(title(scale, model, DATASET), fontsize="small")


def _printed(model: str) -> dict[tuple[str, float], tuple[float, float]]:
    """The paper's points by (method, ratio): training FLOPs over, and top-1 in points minus, the unpruned network's."""
    rows = published.read("eb_table3_resnet18_imagenet")
    rows = rows[rows.model == model]
    values = {m: rows[rows.metric == m] for m in ("total_training_flops", "top1")}
    flops, top1 = (dict(zip(zip(v.method, v.prune_ratio, strict=True), v.value, strict=True)) for v in values.values())
    whole = UNPRUNED, 0.0
    return {k: (f / flops[whole], top1[k] - top1[whole]) for k, f in flops.items()}


def _name(axis: Any, ratio: float, x: float, y: float) -> None:
    """Write the ratio beside a point."""
    if ratio:
        axis.annotate(
            f"{ratio:.0%}", (x, y), xytext=(5, 4), textcoords="offset points", fontsize="x-small", color="0.3"
        )

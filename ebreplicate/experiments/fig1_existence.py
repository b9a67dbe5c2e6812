"""Figure 1, existence of early-bird tickets: retrain accuracy against the epoch the ticket was drawn at."""

import math
from dataclasses import dataclass
from typing import Any

from ebreplicate import published
from ebreplicate.experiments import base
from ebreplicate.experiments.base import Cell, Claim, Experiment, by_seed, interval
from ebreplicate.experiments.verdicts import at_least, greater, pooled
from ebreplicate.plan.scale import Scale
from ebreplicate.plan.spec import Retrain, Spec
from ebreplicate.stats import accuracy_margin

RATIOS = {
    ("cifar10", "preresnet101"): (0.3, 0.5, 0.7),
    ("cifar10", "vgg16"): (0.3, 0.5, 0.7),
    ("cifar100", "preresnet101"): (0.3, 0.5, 0.7),
    ("cifar100", "vgg16"): (0.1, 0.3, 0.5),
}
SOURCE = "Fig. 1 (ICLR version), digitised"
STAR = "best-accuracy epoch (star)"


@dataclass(frozen=True)
class Grid(Spec):
    """`best`: whether the best epoch of the search is drawn as well (the star)."""

    best: bool


def draws(scale: Scale) -> list[str]:
    """Names of the scale's draws, in order: the paper's epochs and, where the scale has it, "best"."""
    return [*map(str, scale.draw_epochs), *(["best"] if scale.grid("fig1_existence", Grid).best else [])]


def retrains(scale: Scale, dataset: str, model: str, seed: int) -> dict[tuple[float, str], Retrain]:
    """One seed of one panel: retrains by (ratio, draw), draw being the paper's epoch or "best"."""
    search = scale.search(model, dataset, seed)
    at = {name: name if name == "best" else scale.epoch(int(name)) for name in draws(scale)}
    return {
        (ratio, name): Retrain(ticket=base.ticket(search, ratio, at[name]), recipe=scale.retrain_recipe)
        for ratio in RATIOS[dataset, model]
        for name in at
    }


class Fig1(Experiment):
    """Four panels: 2 datasets x 2 networks."""

    def runs(self, scale: Scale) -> list[Spec]:
        """Dense searches and, for every ratio and draw epoch of the paper's panel, one retrain a seed."""
        out: list[Spec] = []
        for seed in scale.seeds:  # seed by seed, so that an interrupted scale has whole panels
            for dataset, model in base.panels():
                out += [scale.search(model, dataset, seed), *retrains(scale, dataset, model, seed).values()]
        return out

    def table(self, scale: Scale, store: Any) -> Any:
        """One row a run: the dense baseline (draw "dense") and every retrain."""
        rows = []
        for dataset, model in base.panels():
            for seed in scale.seeds:
                names = {"model": model, "dataset": dataset}
                rows.append(base.search_row(scale.search(model, dataset, seed), store, draw="dense", **names))
                for (_, draw), spec in retrains(scale, dataset, model, seed).items():
                    rows.append(base.retrain_row(spec, store, draw=draw, schedule="[80,120]", **names))
        return base.tidy(rows)

    def figure(self, scale: Scale, table: Any) -> Any:
        """Retrain accuracy (last epoch) against the draw epoch; published points hollow beside ours."""
        from ebreplicate import style

        plt = style.use()
        figure, axes = plt.subplots(2, 2, figsize=(10, 7.4))
        for axis, (dataset, model) in zip(axes.flat, base.panels(), strict=True):
            _panel(axis, scale, table, dataset, model)
        handles = [
            plt.Line2D([], [], c="0.3", marker="o", label="ours: mean, 95 % t-interval (cut at the frame), seeds")
        ]
        where = "" if scale.comparable else ", right axis"
        handles.append(plt.Line2D([], [], c="0.3", marker="o", label=f"paper, digitised{where}", **style.PUBLISHED))
        handles.append(plt.Line2D([], [], c="0.3", ls="--", label="dense network, no pruning"))
        figure.legend(handles=handles, loc="outside upper center", ncols=3)
        n = len(scale.seeds)
        if scale.comparable:
            style.stamp(figure, f"scale {scale.name}, {n} seeds, accuracy of the last retrain epoch on the test set")
        else:
            style.stamp(
                figure,
                f"scale {scale.name}, up to {n} seeds, accuracy of the last retrain epoch; the paper's points are of "
                "full scale: compare shapes, not heights.",
            )
        return figure

    def cells(self, scale: Scale, table: Any) -> list[Cell]:
        """Every published point of the figure: 4 dense baselines, 12 series."""
        bars = published.read("eb_fig1_iclr_errorbars")
        out = []
        for row in published.read("eb_fig1_iclr_digitised").itertuples():
            dense = row.metric == "top1"
            draw = "dense" if dense else "best" if row.draw_epoch == STAR else str(row.draw_epoch)
            where = {"dataset": row.dataset, "model": row.model, "draw": draw}
            if not dense:
                where["ratio"] = float(row.prune_ratio)
            # The authors select the best epoch on the test set, so that is what their numbers are set beside.
            measured = interval(by_seed(table, "best_accuracy", **where))
            half = math.nan
            if draw.isdigit():
                bar = bars[
                    (bars.dataset == row.dataset)
                    & (bars.model == row.model)
                    & (bars.prune_ratio == row.prune_ratio)
                    & (bars.draw_epoch == int(draw))
                ]
                half = float(bar.err_half_best_pp.iloc[0]) if len(bar) else math.nan
            tolerance = accuracy_margin(row.value, 10_000) + row.uncertainty + (half if math.isfinite(half) else 0.0)
            name = "dense" if dense else f"ratio {row.prune_ratio:g}, draw {draw}"
            out.append(
                Cell(
                    f"{base.TITLES[row.model]} {base.TITLES[row.dataset]}: {name}",
                    float(row.value),
                    measured,
                    "%",
                    f"{SOURCE}; reading +-{row.uncertainty}, confidence {row.confidence}",
                    "best epoch on test",
                    tolerance,
                    note="" if math.isnan(half) else f"printed error bar +-{half:g}",
                )
            )
        return out

    def claims(self, scale: Scale, table: Any) -> list[Claim]:
        """Existence, cost of drawing too early, and comparison with the dense network."""
        return [_early_as_good_as_final(scale, table), _too_early_is_worse(scale, table), _dense(scale, table)]


def _panel(axis: Any, scale: Scale, table: Any, dataset: str, model: str) -> None:
    from ebreplicate import style

    last = scale.recipe.epochs
    here = table[(table.dataset == dataset) & (table.model == model)]
    paper = published.read("eb_fig1_iclr_digitised")
    paper = paper[(paper.dataset == dataset) & (paper.model == model)]
    other = axis if scale.comparable else axis.twinx()
    seen = list(by_seed(here, draw="dense").values())
    for ratio, colour, marker in zip(RATIOS[dataset, model], style.COLOURS, style.MARKERS, strict=False):
        look = {"color": colour, "marker": marker}
        series = [(d, interval(by_seed(here, ratio=ratio, draw=d))) for d in draws(scale)]
        ours = [(_x(scale, d), i) for d, i in series if i.n]
        if ours:
            x, y = [p[0] for p in ours], [p[1].mean for p in ours]
            bars = [p[1].half if math.isfinite(p[1].half) else 0 for p in ours]
            axis.errorbar(x, y, bars, capsize=2, lw=1.2, label=f"{ratio:.0%} removed", **look)
            for draw in draws(scale):
                values = list(by_seed(here, ratio=ratio, draw=draw).values())
                axis.plot([_x(scale, draw)] * len(values), values, ".", c=colour, alpha=0.5, ms=4)
                seen += values
        theirs = paper[(paper.prune_ratio - ratio).abs() < 1e-9]
        points = [(_paper_x(e), v) for e, v in zip(theirs.draw_epoch, theirs.value, strict=True) if _paper_x(e)]
        other.plot([p[0] for p in points], [p[1] for p in points], **look, **style.PUBLISHED)
    dense = interval(by_seed(here, draw="dense"))
    if dense.n:
        axis.axhline(dense.mean, c="0.3", ls="--", lw=1)
    if not scale.comparable:
        other.grid(False)
        other.tick_params(labelsize="x-small", colors="0.5")
    axis.set(title=base.title(scale, model, dataset), ylabel="retrain accuracy (%)")
    axis.set_xscale("function", functions=(lambda v: abs(v) ** 0.5, lambda v: v**2))
    ticks = [scale.epoch(e) / last * 160 for e in scale.draw_epochs] + [STAR_X]
    axis.set_xticks(ticks, [str(scale.epoch(e)) for e in scale.draw_epochs] + ["best"], fontsize="x-small")
    axis.set_xlabel(f"draw epoch, of {last} (square-root axis)")
    axis.set_xlim(0.3, 200)
    if not scale.comparable:
        style.frame(axis, seen)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize="small", loc="lower right")
    elif not scale.comparable:
        axis.set_yticks([])
        axis.text(0.5, 0.08, "not run yet at this scale", ha="center", transform=axis.transAxes, color="0.4")


STAR_X = 185.0


def _x(scale: Scale, draw: str) -> float:
    """Position of our point on an axis of 160 epochs."""
    return STAR_X if draw == "best" else scale.epoch(int(draw)) / scale.recipe.epochs * 160


def _paper_x(draw: Any) -> float | None:
    if draw == STAR:
        return STAR_X
    return float(draw) if isinstance(draw, str) else None


def _early(scale: Scale) -> list[str]:
    """Draw epochs of the first eighth to quarter of the search: the paper's 10 to 40, before any decay."""
    return [str(e) for e in scale.draw_epochs if 10 <= e <= 40]


def _contrasts(scale: Scale, table: Any, a: list[str], b: str) -> dict[tuple[str, str, float], dict[int, float]]:
    """Per panel and ratio, differences over seeds: mean accuracy over the draws `a` minus that of draw `b`."""
    out = {}
    for (dataset, model), ratios in RATIOS.items():
        for ratio in ratios:
            where = {"dataset": dataset, "model": model, "ratio": ratio}
            first = [by_seed(table, draw=d, **where) for d in a]
            if b == "dense":
                second = by_seed(table, draw="dense", dataset=dataset, model=model)
            else:
                second = by_seed(table, draw=b, **where)
            seeds = sorted(set.intersection(set(second), *(set(f) for f in first))) if first else []
            if seeds:
                out[dataset, model, ratio] = {s: sum(f[s] for f in first) / len(first) - second[s] for s in seeds}
    return out


def _margin(scale: Scale, table: Any, keys: Any) -> float:
    """Noise margin of accuracies averaged over the panels in `keys`: two standard errors on the test set."""
    margins = []
    for dataset, model, ratio in keys:
        level = interval(by_seed(table, dataset=dataset, model=model, ratio=ratio)).mean
        margins.append(accuracy_margin(level, base.test_images(scale, dataset)))
    return sum(margins) / len(margins) if margins else math.nan


def _early_as_good_as_final(scale: Scale, table: Any) -> Claim:
    contrasts = _contrasts(scale, table, _early(scale), "160")
    margin = _margin(scale, table, contrasts)
    difference, series = pooled(contrasts)
    verdict, evidence, n = at_least(difference, -margin, "early minus final draw", series)
    verdict, evidence = base.confounded(scale, verdict, evidence)
    return Claim(
        "early-birds-exist",
        "Tickets drawn early (paper's epochs 10 to 40 of 160) retrain to an accuracy no lower than tickets of the "
        "fully trained network.",
        "paper, Fig. 1 and title claim",
        "mean over panels and ratios of (early draws minus final draw), t-interval over seeds; supported if its lower "
        f"end exceeds minus the noise margin ({margin:.2f} pp: two standard errors of the test accuracy)",
        verdict,
        evidence,
        n,
    )


def _too_early_is_worse(scale: Scale, table: Any) -> Claim:
    early = _early(scale)
    contrasts = _contrasts(scale, table, early, "1")
    difference, series = pooled(contrasts)
    verdict, evidence, n = greater(difference, "early minus epoch-1 draw", series)
    return Claim(
        "draw-epoch-matters",
        "Retrain accuracy depends on the draw epoch: tickets of epoch 1 retrain worse than tickets of epochs 10 to 40.",
        "paper, Fig. 1 (every published series starts lower)",
        "mean over panels and ratios of (draws 10 to 40 minus draw 1), t-interval over seeds; supported if above zero",
        verdict,
        evidence,
        n,
    )


def _dense(scale: Scale, table: Any) -> Claim:
    low = {(d, m, r[0]) for (d, m), r in RATIOS.items()}
    contrasts = {k: v for k, v in _contrasts(scale, table, _early(scale), "dense").items() if k in low}
    margin = _margin(scale, table, contrasts)
    difference, series = pooled(contrasts)
    verdict, evidence, n = at_least(difference, -margin, "early draw minus dense", series)
    verdict, evidence = base.confounded(scale, verdict, evidence)
    return Claim(
        "match-dense",
        "At the smallest ratio of each panel, early-bird tickets reach the accuracy of the unpruned network.",
        "paper, Fig. 1 (dashed baselines)",
        "mean over panels of (draws 10 to 40 minus dense), t-interval over seeds; supported if its lower end exceeds "
        f"minus the noise margin ({margin:.2f} pp)",
        verdict,
        evidence,
        n,
    )


EXPERIMENT = Fig1(
    item="fig1_existence",
    title="Figure 1: early-bird tickets exist",
    category="Paper figures",
    caption=(
        "Early in training, a network's batch-norm scales already tell which channels matter. Each point takes the "
        "channels that a training run would keep after so many epochs (horizontal), cuts the network down to them, "
        "trains the small network, and shows its test accuracy (vertical). If tickets drawn early do as well as "
        "tickets drawn at the end, most of the dense training was not needed to find them."
    ),
)

"""Figure of when_to_prune: the two indicators over epochs, and what pruning where they fire costs."""

from typing import Any

from ebreplicate.experiments.common import style
from ebreplicate.experiments.common.panels import title
from ebreplicate.experiments.common.rows import by_seed, count
from ebreplicate.experiments.when_to_prune.claims import gaps, oracle
from ebreplicate.experiments.when_to_prune.runs import INDICATORS, METHODS, grid_of, panels_of, seeds_of, series
from ebreplicate.pruning.indicator import threshold_of
from ebreplicate.specs.scale import Scale

LINES = ("-", "--", ":", "-.")
FLOOR = 1e-3


def draw(scale: Scale, table: Any) -> Any:
    """A row per panel: curves by magnitude, curves by Taylor, gap to the oracle."""
    plt, rows = style.use(), panels_of(scale)
    figure, axes = plt.subplots(len(rows), 3, figsize=(11.5, 1.2 + 2.7 * len(rows)), squeeze=False)
    for line, panel in zip(axes, rows, strict=True):
        for axis, importance in zip(line, METHODS, strict=False):
            _curve_panel(axis, scale, table, panel, importance)
        _gap_panel(line[2], scale, table, panel)
    figure.legend(handles=_legend(scale, plt), loc="outside upper center", ncols=3, fontsize="small")
    seeds = count(len(seeds_of(scale)), "seed")
    style.stamp(
        figure,
        f"scale {scale.name}; curves: seed {scale.seeds[0]}, the state after the last epoch is not asked; right: "
        f"{seeds}, one point each, full retrain where the indicator fires against the best "
        "draw of the grid",
    )
    return figure


def _curve_panel(axis: Any, scale: Scale, table: Any, panel: tuple[str, str], importance: str) -> None:
    """Mask distance and 1 - EPI over epochs, their thresholds, and a marker where each fires."""
    here = table[(table.dataset == panel[0]) & (table.model == panel[1]) & (table.importance == importance)]
    axis.axvline(scale.recipe.milestones[0], c="0.3", ls=":", lw=1)
    limits = {"distance": 0.1, "epi": 1 - threshold_of(METHODS[importance])}
    for (column, limit), colour, name in zip(limits.items(), style.COLOURS, INDICATORS, strict=False):
        axis.axhline(limit, c=colour, lw=0.8, alpha=0.6)
        for ratio, line in zip(grid_of(scale).ratios, LINES, strict=False):
            curve = here[(here.draw == "curve") & ((here.ratio - ratio).abs() < 1e-9)]
            values = 1 - curve.epi if column == "epi" else curve.distance
            values = values.clip(lower=FLOOR)
            axis.plot(curve.epoch, values, c=colour, ls=line, lw=1.2)
            fired = by_seed(here, "fires", draw=name, schedule="full", ratio=ratio).get(scale.seeds[0])
            if fired is not None and len(curve):
                axis.plot([fired], values[curve.epoch == fired], "o", c=colour, mec="k", ms=6)
    axis.set(yscale="log", ylim=(FLOOR * 0.8, 1.2), xlim=(0, scale.recipe.epochs), xlabel="epoch")
    axis.set_title(f"{title(scale, panel[1], panel[0])}, {importance}", fontsize="small")
    axis.set_ylabel("mask distance, 1 - EPI")
    if not (here.draw == "curve").any():
        axis.text(0.5, 0.5, "not run", ha="center", transform=axis.transAxes, color="0.4")


def _gap_panel(axis: Any, scale: Scale, table: Any, panel: tuple[str, str]) -> None:
    """Gap to the oracle of the tickets at each indicator's epoch."""
    groups = [s for s in series(scale) if s[:2] == panel]
    seen = [0.0]
    for x, one in enumerate(groups):
        for draw, colour, shift in zip(INDICATORS, style.COLOURS, (-0.12, 0.12), strict=False):
            found = list(gaps(scale, table, one, draw).values())
            axis.plot([x + shift] * len(found), found, "o", c=colour, alpha=0.85)
            seen += found
        missing = None if oracle(scale, table, one) else "no oracle run"
        if not missing and not any(gaps(scale, table, one, d) for d in INDICATORS):
            missing = "no ticket run"
        if missing:
            where = {"transform": axis.get_xaxis_transform(), "ha": "center", "va": "bottom", "rotation": 90}
            axis.text(x, 0.03, missing, fontsize="x-small", color="0.4", **where)
    axis.axhline(0, c="0.3", ls="--", lw=1)
    axis.set_xticks(range(len(groups)), [f"{one[3]}\n{one[2]:.0%}" for one in groups], fontsize="x-small")
    axis.set(xlim=(-0.6, len(groups) - 0.4), title="gap to the best draw of the grid")
    axis.set_ylabel("pp below the oracle")
    style.frame(axis, seen)


def _legend(scale: Scale, plt: Any) -> list[Any]:
    names = {"mask distance (largest to the 4 masks before)": 0, "1 - EPI": 1}
    handles = [plt.Line2D([], [], c=style.COLOURS[i], label=name) for name, i in names.items()]
    handles += [
        plt.Line2D([], [], c="0.3", ls=line, label=f"{ratio:.0%} removed")
        for ratio, line in zip(grid_of(scale).ratios, LINES, strict=False)
    ]
    handles.append(plt.Line2D([], [], c="0.3", ls=":", lw=1, label="first learning-rate decay"))
    return [*handles, plt.Line2D([], [], c="0.3", marker="o", mec="k", ls="", label="fires (thin line: threshold)")]

"""Figure of when_to_prune: the two indicators over epochs, and what pruning where they fire costs."""

from typing import Any

from ebreplicate.experiments.common import style
from ebreplicate.experiments.common.panels import title
from ebreplicate.experiments.common.rows import by_seed, count
from ebreplicate.experiments.when_to_prune.claims import gaps
from ebreplicate.experiments.when_to_prune.runs import INDICATORS, METHODS, grid_of, panels_of, seeds_of, series
from ebreplicate.pruning.indicator import threshold_of
from ebreplicate.specs.scale import Scale

NAMES = {"magnitude": "size of gamma", "taylor": "Taylor importance"}
LINES = ("-", "--", ":", "-.")


def draw(scale: Scale, table: Any) -> Any:
    """A row per panel that has run: curves by magnitude, curves by Taylor, accuracy lost to the best draw; a column
    that no panel has data for is left out."""
    plt = style.use()
    plates = [(panel, [*_curves(table, panel), *_gaps(scale, table, panel)]) for panel in panels_of(scale)]
    plates = [(panel, of) for panel, of in plates if of]
    columns = [name for name in (*METHODS, GAP) if any(name in of for _, of in plates)]
    size = (1 + 4 * len(columns), 1.4 + 2.8 * len(plates))
    figure, axes = plt.subplots(len(plates), len(columns), figsize=size, squeeze=False)
    for line, (panel, of) in zip(axes, plates, strict=True):
        for axis, name in zip(line, columns, strict=True):
            if name not in of:
                axis.set_axis_off()
            elif name == GAP:
                _gap_panel(axis, scale, table, panel)
            else:
                _curve_panel(axis, scale, table, panel, name)
    figure.legend(handles=_legend(scale, plt), loc="outside upper center", ncols=3, fontsize="small")
    seeds = count(len(seeds_of(scale)), "seed")
    style.stamp(
        figure,
        f"scale {scale.name}; curves: seed {scale.seeds[0]}; the detector is not evaluated after the last epoch;\n"
        f"accuracy lost: {seeds}, one point each, full retrain where the indicator fires against the grid's best draw",
    )
    return figure


GAP = "gap"


def _curves(table: Any, panel: tuple[str, str]) -> list[str]:
    """Importances by which the panel has curves."""
    here = table[(table.dataset == panel[0]) & (table.model == panel[1]) & (table.draw == "curve")]
    return [name for name in METHODS if (here.importance == name).any()]


def _gaps(scale: Scale, table: Any, panel: tuple[str, str]) -> list[str]:
    """`GAP`, if the panel has a ticket at an indicator's epoch and a grid of draws beside it."""
    groups = [one for one in series(scale) if one[:2] == panel]
    return [GAP] if any(gaps(scale, table, one, draw) for one in groups for draw in INDICATORS) else []


def _curve_panel(axis: Any, scale: Scale, table: Any, panel: tuple[str, str], importance: str) -> None:
    """Mask distance and 1 - EPI over epochs, their thresholds, and a marker where each fires."""
    here = table[(table.dataset == panel[0]) & (table.model == panel[1]) & (table.importance == importance)]
    percent = 100 / scale.recipe.epochs
    axis.axvline(scale.recipe.milestones[0] * percent, c="0.3", ls=":", lw=1)
    limits = {"distance": 0.1, "epi": 1 - threshold_of(METHODS[importance])}
    for (column, limit), colour, name in zip(limits.items(), style.COLOURS, INDICATORS, strict=False):
        axis.axhline(limit, c=colour, lw=0.8, alpha=0.6)
        for ratio, line in zip(grid_of(scale).ratios, LINES, strict=False):
            curve = here[(here.draw == "curve") & ((here.ratio - ratio).abs() < 1e-9)]
            values = 1 - curve.epi if column == "epi" else curve.distance
            axis.plot(curve.epoch * percent, values, c=colour, ls=line, lw=1.2)
            fired = by_seed(here, "fires", draw=name, schedule="full", ratio=ratio).get(scale.seeds[0])
            if fired is not None and len(curve):
                axis.plot(percent * fired, values[curve.epoch == fired], "o", c=colour, mec="k", ms=6)
    axis.set(ylim=(0, None), xlim=(0, 100), xlabel="% of training")
    axis.set_title(f"{title(scale, panel[1], panel[0])}\nchannels by {NAMES[importance]}", fontsize="small")
    axis.set_ylabel("mask distance, 1 - EPI")


def _gap_panel(axis: Any, scale: Scale, table: Any, panel: tuple[str, str]) -> None:
    """Gap to the oracle of the tickets at each indicator's epoch."""
    groups = [s for s in series(scale) if s[:2] == panel and any(gaps(scale, table, s, d) for d in INDICATORS)]
    seen = [0.0]
    for x, one in enumerate(groups):
        for draw, colour, shift in zip(INDICATORS, style.COLOURS, (-0.12, 0.12), strict=False):
            found = list(gaps(scale, table, one, draw).values())
            axis.plot([x + shift] * len(found), found, "o", c=colour, alpha=0.85)
            seen += found
    style.zero(axis)
    axis.set_xticks(range(len(groups)), [f"{one[3]}\n{one[2]:.0%}" for one in groups], fontsize="x-small")
    axis.set(xlim=(-0.6, len(groups) - 0.4), title="accuracy lost to the best draw")
    axis.set_ylabel("accuracy lost (pp)")
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

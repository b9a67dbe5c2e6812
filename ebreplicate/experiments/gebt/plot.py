"""The four figures of the item."""

import math
from collections.abc import Iterable
from typing import Any

from ebreplicate.catalog import GRAPH_ARMS, GRAPHS
from ebreplicate.experiments.common import style
from ebreplicate.experiments.common.experiment import NOT_RUN
from ebreplicate.experiments.common.rows import by_seed, count, has_run, interval
from ebreplicate.experiments.common.stats import ENOUGH, Interval
from ebreplicate.experiments.gebt.accuracies import RANDOM, Accuracies
from ebreplicate.experiments.gebt.cells import METHODS, PRINTED, points
from ebreplicate.experiments.gebt.claims import (
    DENSE,
    INHERIT,
    MASKED,
    rows_of,
)
from ebreplicate.experiments.gebt.runs import Grid, grid_of
from ebreplicate.specs.scale import Scale

RATIO_COLOURS = ("#1b4f8a", "#2a9d8f", "#8ab17d", "#e9a03b", "#c8553d")
"""From few edges removed to many: distinguishable in grey, too."""
ARM_NAMES = {
    DENSE: "dense, fresh weights (released driver)",
    INHERIT: "inherited and masked (paper's text)",
    MASKED: "masked, fresh weights",
}
RULE_NAMES = {
    "graph": "edges alone",
    "weights": "weights alone",
    "mean": "mean (authors' code)",
    "sum": "sum (paper's text)",
}
HOLLOW: dict[str, Any] = {"ls": "", "mfc": "white", "ms": 4, "alpha": 0.8}


def _title(graph: str) -> str:
    return f"GCN, {GRAPHS[graph].title}"


def _curve(axis: Any, x: Iterable[float], intervals: list[Interval], **look: Any) -> list[float]:
    """A line of means with intervals over seeds; what it shows, for the frame. Points that have not been run are left
    out."""
    shown = [(at, i) for at, i in zip(x, intervals, strict=True) if i.n]
    if not shown:
        return []
    half = [i.half if i.n >= ENOUGH else math.nan for _, i in shown]
    axis.errorbar(
        [at for at, _ in shown], [i.mean for _, i in shown], half, elinewidth=0.7, capsize=1.5, lw=1.2, **look
    )
    return [end for _, i in shown for end in ((i.low, i.high) if i.n >= ENOUGH else (i.mean,))]


def _frame(axis: Any, seen: list[float]) -> None:
    style.frame(axis, seen) if seen else style.not_run(axis)


def _ran(graphs: Iterable[str], table: Any) -> list[str]:
    """The graphs of which something has run."""
    return [graph for graph in graphs if has_run(table, graph=graph)]


def _note(scale: Scale, text: str) -> str:
    seeds = count(grid_of(scale).seeds, "seed")
    return f"scale {scale.name}, {seeds}, last epoch, mean and 95 % t-interval (from three seeds); {text}"


def _draw_axis(axis: Any, draws: Iterable[int]) -> None:
    """Draw epochs as categories: most of them are early."""
    names = [str(d) for d in draws]
    axis.set_xticks(range(len(names)), names, fontsize="x-small")
    axis.set_xlabel("epoch of the search at the draw")


def _unpruned(axis: Any, table: Any, graph: str) -> list[float]:
    whole = interval(by_seed(rows_of(table, (graph, 0.0, 0.0)), "accuracy"))
    if whole.n:
        axis.axhline(whole.mean, c="0.3", ls="--", lw=1, label="unpruned graph")
    return [whole.mean] if whole.n else []


def existence(scale: Scale, table: Any) -> Any:
    """Figure 1: accuracy against draw epoch, a panel a graph, random edges at the right."""
    grid, ours, plt = grid_of(scale), Accuracies(table), style.use()
    graphs = _ran(grid.graphs, table)
    figure, axes = plt.subplots(1, len(graphs), figsize=(3.7 * len(graphs) + 1, 4.6), squeeze=False)
    for axis, graph in zip(axes[0], graphs, strict=True):
        seen = _unpruned(axis, table, graph)
        beyond = len(grid.draws) + 0.4
        for ratio, colour in zip(grid.ratios, RATIO_COLOURS, strict=False):
            cell, look = (graph, ratio, 0.0), {"color": colour, "marker": "o", "ms": 3.5}
            found = [interval(ours.at(cell, DENSE, [draw])) for draw in grid.draws]
            seen += _curve(axis, range(len(found)), found, label=f"{ratio:.0%} of the edges removed", **look)
            seen += _curve(axis, [beyond], [interval(ours.random(cell, grid.random_graphs))], color=colour, marker="x")
            if scale.comparable:
                seen += _published_draws(axis, "Fig1", graph, grid, ratio, colour)
        _draw_axis(axis, grid.draws)
        axis.set_xticks([*range(len(grid.draws)), beyond], [*map(str, grid.draws), "random\nedges"], fontsize="x-small")
        axis.set_title(_title(graph))
        _frame(axis, seen)
    axes[0, 0].set_ylabel("test accuracy (%)")
    _shared_legend(figure, axes[0], 4, scale.comparable)
    style.stamp(figure, _note(scale, "crosses: as many edges removed at random"))
    return figure


def _published_draws(
    axis: Any, figure: str, graph: str, grid: Grid, ratio: float, colour: str, **where: float
) -> list[float]:
    """Points of a printed figure at the draws of the grid, hollow; none of a graph that the paper does not have."""
    if graph not in PRINTED:
        return []
    rows = points(figure)
    rows = rows[
        (rows.dataset == PRINTED[graph]) & (rows.metric == "retrain_acc_%") & (abs(rows.p_graph - ratio) < 1e-9)
    ]
    for name, value in where.items():
        rows = rows[abs(rows[name] - value) < 1e-9]
    at = [(grid.draws.index(int(r.epoch)), r.value) for r in rows.itertuples() if r.epoch in grid.draws]
    axis.plot([x + 0.18 for x, _ in at], [y for _, y in at], color=colour, marker="o", **HOLLOW)
    return [y for _, y in at]


def _shared_legend(figure: Any, axes: Any, columns: int, paper: bool, **more: Any) -> None:
    """One legend above the panels: their series, `more` handles by name, and the paper's points if they are drawn."""
    from matplotlib.lines import Line2D

    found = {name: handle for axis in axes for handle, name in zip(*axis.get_legend_handles_labels(), strict=True)}
    found |= more | ({"paper": Line2D([], [], color="0.3", marker="o", **HOLLOW)} if paper else {})
    if found:
        figure.legend(found.values(), found.keys(), loc="outside upper center", ncols=columns, fontsize="small")


def joint(scale: Scale, table: Any) -> Any:
    """Figure 4a: a row a graph, a column a fraction of weights; the three arms side by side."""
    grid, ours, plt = grid_of(scale), Accuracies(table), style.use()
    graphs = _ran(grid.joint_graphs, table)
    shape = (len(graphs), len(grid.weight_ratios))
    figure, axes = plt.subplots(*shape, figsize=(3.9 * shape[1], 4.1 * shape[0] + 0.6), squeeze=False)
    ratios = [r for r in grid.ratios if r in (0.1, 0.5, 0.9)] or grid.ratios[:1]
    for row, graph in zip(axes, graphs, strict=True):
        for axis, weight_ratio in zip(row, grid.weight_ratios, strict=True):
            seen = _unpruned(axis, table, graph)
            for ratio, marker in zip(ratios, ("o", "s", "^"), strict=False):
                for place, (arm, colour) in enumerate(zip(GRAPH_ARMS, style.COLOURS, strict=False)):
                    cell = (graph, ratio, weight_ratio)
                    found = [interval(ours.at(cell, arm, [draw])) for draw in grid.draws]
                    x = [i + 0.12 * (place - 1) for i in range(len(found))]
                    name = ARM_NAMES[arm] if ratio == ratios[0] else None
                    seen += _curve(axis, x, found, color=colour, marker=marker, ms=3.5, label=name)
                if scale.comparable:
                    seen += _published_draws(axis, "Fig4a", graph, grid, ratio, "0.25", p_weight=weight_ratio)
            _draw_axis(axis, grid.draws)
            axis.set_title(f"{_title(graph)}: {weight_ratio:.0%} of the weights removed", fontsize="small")
            _frame(axis, seen)
        row[0].set_ylabel("test accuracy (%)")
    look = {"color": "0.3", "ls": "", "ms": 4}
    edges = {
        f"{ratio:.0%} of the edges removed": plt.Line2D([], [], marker=marker, **look)
        for ratio, marker in zip(ratios, ("o", "s", "^"), strict=False)
    }
    _shared_legend(figure, axes.flat, 4, scale.comparable, **edges)
    style.stamp(figure, _note(scale, "colours: how tickets are retrained"))
    return figure


def _distance(axis: Any, table: Any, where: tuple[str, float, float], rule: str, **look: Any) -> bool:
    """Mean distance over seeds against the epoch."""
    rows = rows_of(table[(table.kind == "distance") & (table.rule == rule)], where).sort_values("epoch")
    axis.plot(rows.epoch, rows.value, lw=1.3, **look)
    return len(rows) > 0


def detector(scale: Scale, table: Any) -> Any:
    """Three rows: distances of graph tickets; of joint tickets by all four rules; where each rule fires."""
    grid, plt = grid_of(scale), style.use()
    graphs = _ran(grid.all_graphs, table)
    columns = len(graphs)
    figure, axes = plt.subplots(3, columns, figsize=(4.1 * columns, 9.6), squeeze=False)
    for column, graph in zip(axes.T, graphs, strict=True):
        title = _title(graph)
        _graph_distances(column[0], scale, grid, table, graph)
        column[0].set_title(f"{title}: edges alone", fontsize="small")
        _joint_distances(column[1], grid, table, graph)
        _emergence(column[2], scale, grid, table, graph)
        for axis in column[:2]:
            axis.axhline(0.1, c="0.3", ls="--", lw=0.8)
            axis.set_xlim(0, 0.6 * grid.epochs)
            axis.set_xlabel("epoch of the search")
        column[2].set_title(f"{title}: where the rules fire", fontsize="small")
        column[2].set_xlabel("edges removed (%)")
        column[2].xaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f}")
    axes[0, 0].set_ylabel("distance over its first value")
    axes[1, 0].set_ylabel("distance over its first value")
    axes[2, 0].set_ylabel("emergence epoch (never: 100)")
    for row in axes:
        row[0].legend(fontsize="x-small", frameon=True, framealpha=0.9, loc="upper right")
    hollow = "; hollow: the paper (Figure 2b; epochs contained in Figure 6)" if scale.comparable else ""
    seeds = count(grid.seeds, "seed")
    style.stamp(figure, f"scale {scale.name}, mean over {seeds}, dots: seeds; dashed: the threshold 0.1{hollow}")
    return figure


def _graph_distances(axis: Any, scale: Scale, grid: Grid, table: Any, graph: str) -> None:
    """Figure 2b."""
    rows = points("Fig2b")
    ratios = [r for r in (0.2, 0.4, 0.6, 0.8) if r in grid.cost_ratios] or grid.ratios
    run = False
    for ratio, colour in zip(ratios, RATIO_COLOURS[:1] + RATIO_COLOURS[2:], strict=False):
        run |= _distance(
            axis, table, (graph, ratio, 0.0), "graph", color=colour, label=f"{ratio:.0%} of the edges removed"
        )
        printed = rows[(rows.dataset == PRINTED.get(graph)) & (abs(rows.p_graph - ratio) < 1e-9)]
        printed = printed[printed.epoch <= 0.6 * grid.epochs]
        if scale.comparable:
            axis.plot(printed.epoch, printed.value, color=colour, marker="o", **HOLLOW)
    axis.set_ylim(0, 1.5) if run else style.not_run(axis)


def _joint_distances(axis: Any, grid: Grid, table: Any, graph: str) -> None:
    """Figure 4b: the heaviest pruning of the middle of the edges, by every rule."""
    weight_ratio = (*grid.weight_ratios, *grid.cost_weight_ratios)[-1]
    ratio = grid.ratios[len(grid.ratios) // 2]
    run = False
    for rule, colour in zip(RULE_NAMES, style.COLOURS, strict=True):
        run |= _distance(axis, table, (graph, ratio, weight_ratio), rule, color=colour, label=RULE_NAMES[rule])
    axis.set_title(f"{_title(graph)}: {ratio:.0%} of the edges, {weight_ratio:.0%} of the weights", fontsize="small")
    if run:
        axis.set_yscale("log")
        axis.set_ylim(0.01, 10)
    else:
        style.not_run(axis)


def _emergence(axis: Any, scale: Scale, grid: Grid, table: Any, graph: str) -> None:
    """Emergence of graph tickets by edges, and of joint tickets by the four rules, against the fraction of edges."""
    fired = table[(table.kind == "fired") & (table.graph == graph) & (table.status != NOT_RUN)]
    heaviest = (*grid.weight_ratios, *grid.cost_weight_ratios)[-1]
    series = [("graph", 0.0, "0.25", "edges alone, graph tickets")]
    series += [(r, heaviest, c, f"{RULE_NAMES[r]}, joint") for r, c in zip(RULE_NAMES, style.COLOURS, strict=True)]
    for place, (rule, weight_ratio, colour, name) in enumerate(series):
        rows = fired[(fired.rule == rule) & (abs(fired.p_weight - weight_ratio) < 1e-9)]
        rows = rows.assign(epoch=rows.epoch.fillna(float(grid.epochs)))
        means = rows.groupby("p_graph").epoch.mean()
        shift = 0.012 * (place - 2)
        axis.plot(means.index + shift, means, color=colour, marker="o", ms=4, ls="", label=name)  # not monotonic
        axis.plot(rows.p_graph + shift, rows.epoch, color=colour, ls="", marker=".", ms=3, alpha=0.4)
    if scale.comparable:
        from ebreplicate.experiments.gebt.arithmetic import figure6

        printed = figure6()
        printed = printed[(printed.dataset == PRINTED.get(graph)) & printed.derived_emergence_epoch.notna()]
        for weight_ratio, colour in ((0.0, "0.25"), (0.9, style.COLOURS[2])):
            own = printed[abs(printed.p_weight - weight_ratio) < 1e-9]
            axis.plot(own.p_graph, own.derived_emergence_epoch, color=colour, marker="o", **HOLLOW)
    axis.set_ylim(0, 1.04 * grid.epochs) if len(fired) else style.not_run(axis)


def tradeoff(scale: Scale, table: Any) -> Any:
    """Figure 6: accuracy against training cost above, against inference cost below."""
    grid, plt = grid_of(scale), style.use()
    graphs = _ran(grid.cost_graphs, table)
    figure, axes = plt.subplots(2, len(graphs), figsize=(4 * len(graphs) + 1, 7.4), squeeze=False)
    for column, graph in zip(axes.T, graphs, strict=True):
        for axis, cost, factor in zip(column, ("training_macs", "inference_macs"), (1e-9, 1e-6), strict=True):
            seen = []
            for name, rows, look in _methods(grid, table[table.graph == graph]):
                means = rows.groupby("p_graph")[["accuracy", cost]].mean().dropna()
                # Training cost is not monotonic in the ratio (a detector may never fire): lines would cross the panel.
                line = "" if cost == "training_macs" else "-"
                axis.plot(factor * means[cost], means.accuracy, label=name, ls=line, lw=1.2, ms=3.5, **look)
                seen += list(means.accuracy)
            if scale.comparable:
                seen += _published_costs(axis, graph, cost)
            axis.set_title(_title(graph))
            _frame(axis, seen)
        column[0].set_xlabel("training cost (10⁹ multiply-accumulates)")
        column[1].set_xlabel("inference cost (10⁶ multiply-accumulates)")
    for row in axes:
        row[0].set_ylabel("test accuracy (%)")
    _shared_legend(figure, axes.flat, 4, scale.comparable)
    single = "; the paper: single runs" if scale.comparable else ""
    points_run = table[table.accuracy.notna()].groupby(["graph", "method", "p_graph", "p_weight", "arm"], dropna=False)
    counts = sorted({int(n) for n in points_run.seed.nunique()})
    seeds = f"{counts[0]} to {grid.seeds} seeds" if counts and counts[0] < grid.seeds else count(grid.seeds, "seed")
    style.stamp(
        figure, f"scale {scale.name}, mean over {seeds}, last epoch; a point a fraction of edges removed{single}"
    )
    return figure


def _methods(grid: Grid, table: Any) -> list[tuple[str, Any, dict[str, str]]]:
    """Series of Figure 6: name, rows, look."""
    plain = {"random": "random edges", "sgcn": "full graph search (SGCN)", "geb": "graph ticket (GEB)"}
    out = [
        (name, table[(table.method == method) & table.arm.isin([DENSE, RANDOM])], {"color": colour, "marker": "o"})
        for (method, name), colour in zip(plain.items(), ("0.45", style.COLOURS[3], style.COLOURS[0]), strict=True)
    ]
    for q, marker in zip(grid.cost_weight_ratios, ("s", "^"), strict=False):
        for arm, colour, how in ((DENSE, style.COLOURS[2], "dense"), (INHERIT, style.COLOURS[1], "masked")):
            rows = table[(table.method == "joint") & (abs(table.p_weight - q) < 1e-9) & (table.arm == arm)]
            out.append((f"joint, {q:.0%} of the weights, retrained {how}", rows, {"color": colour, "marker": marker}))
    return out


def _published_costs(axis: Any, graph: str, cost: str) -> list[float]:
    from ebreplicate.experiments.gebt.arithmetic import figure6

    printed = figure6()
    printed = printed[(printed.dataset == PRINTED.get(graph))]
    printed = printed[printed.cost_unit == ("G training" if cost == "training_macs" else "M inference")]
    colours = {"random": "0.45", "sgcn": style.COLOURS[3], "geb": style.COLOURS[0], "joint": style.COLOURS[2]}
    for method, theirs in METHODS.items():
        for q, marker in ((0.0, "o"), (0.6, "s"), (0.9, "^")):
            own = printed[(printed.method == theirs) & (abs(printed.p_weight - q) < 1e-9)]
            axis.plot(own.cost, own["retrain_acc_%"], color=colours[method], marker=marker, **HOLLOW)
    return list(printed["retrain_acc_%"])

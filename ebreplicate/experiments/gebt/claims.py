"""The six judged claims of docs/graph-tickets.md. No torch."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from ebreplicate.experiments.common.contrasts import BySeed, mean_by_seed, minus
from ebreplicate.experiments.common.experiment import Claim
from ebreplicate.experiments.common.lineage import Traced
from ebreplicate.experiments.common.margins import MARGINS
from ebreplicate.experiments.common.rows import interval
from ebreplicate.experiments.common.verdicts import at_least, greater
from ebreplicate.experiments.gebt.accuracies import Accuracies, GraphCell
from ebreplicate.experiments.gebt.printed import printed
from ebreplicate.experiments.gebt.runs import Grid, grid_of
from ebreplicate.specs.scale import Scale

PAPER = "You et al., AAAI 2022"
MARGIN = MARGINS["graphs"]
LATEST = 26
"""The latest epoch at which the paper's detector fired, of 100."""
DENSE, INHERIT, MASKED = "dense-fresh", "inherit-masked", "masked-fresh"
Cells = Iterable[GraphCell]


def rows_of(table: pd.DataFrame, cell: GraphCell) -> Any:
    """Rows of one graph and pair of ratios."""
    graph, p_graph, p_weight = cell
    near = (abs(table.p_graph - p_graph) < 1e-9) & (abs(table.p_weight - p_weight) < 1e-9)
    return table[(table.graph == graph) & near]


def early_minus_late(grid: Grid, accuracies: Accuracies, cells: Cells, arm: str) -> BySeed:
    """Early tickets minus late ones, mean over cells, by seed."""
    return mean_by_seed(
        minus(accuracies.at(cell, arm, grid.early), accuracies.at(cell, arm, [grid.late])) for cell in cells
    )


def joint_minus_graph(grid: Grid, accuracies: Accuracies, cells: Cells, arm: str) -> BySeed:
    """Early joint tickets minus early graph tickets of the same graph and p_graph, mean over cells, by seed."""
    return mean_by_seed(
        minus(accuracies.at((graph, p, q), arm, grid.early), accuracies.at((graph, p, 0.0), DENSE, grid.early))
        for graph, p, q in cells
    )


def early_minus_random(grid: Grid, accuracies: Accuracies, cells: Cells) -> BySeed:
    """Early graph tickets minus random edges, mean over cells, by seed."""
    return mean_by_seed(
        minus(accuracies.at(cell, DENSE, grid.early), accuracies.random(cell, grid.random_graphs)) for cell in cells
    )


def emergence_by_seed(grid: Grid, table: pd.DataFrame, cells: Cells) -> BySeed:
    """Mean emergence epoch over cells by seed; a detector that never fired counts with the last epoch."""
    parts: list[BySeed] = []
    for cell in cells:
        here = rows_of(table, cell)
        here = here[(here.draw == "emergence") & (here.arm == DENSE) & (here.status != "not run")]
        rows = zip(here.seed, here.fired, here.key, strict=True)
        parts.append({int(s): Traced(grid.epochs if fired != fired else fired, [k]) for s, fired, k in rows})
    return mean_by_seed(parts)


def graph_cells(grid: Grid) -> list[GraphCell]:
    """Cells of Figure 1."""
    return [(graph, p, 0.0) for graph in grid.graphs for p in grid.ratios]


def joint_cells(grid: Grid, weight_ratios: Iterable[float] | None = None) -> list[GraphCell]:
    """Cells of Figure 4a."""
    chosen = grid.weight_ratios if weight_ratios is None else weight_ratios
    return [(graph, p, q) for graph in grid.joint_graphs for p in grid.ratios for q in chosen]


def claims(scale: Scale, table: pd.DataFrame) -> list[Claim]:
    """All six, in the order of the protocol. Holm's correction is over the item's claims (`judgement.settled`)."""
    grid = grid_of(scale)
    heaviest = joint_cells(grid, grid.weight_ratios[-1:])
    rule = (
        "mean over graphs and ratios within each seed, Student's t over seeds (these graphs and splits); supported if "
    )
    no_worse, better = (
        rule + f"the whole interval is at or above -{MARGIN:g} pp",
        rule + "the whole interval is above zero",
    )
    fires = [cell for cell in graph_cells(grid) if cell[0] in grid.joint_graphs] + joint_cells(grid)
    sooner = {s: LATEST - v for s, v in emergence_by_seed(grid, table, fires).items()}
    ours, theirs = Accuracies(table), Accuracies(printed(INHERIT))
    early = early_minus_late(grid, ours, graph_cells(grid), DENSE)
    chance = early_minus_random(grid, ours, graph_cells(grid))
    joint = early_minus_late(grid, ours, joint_cells(grid), INHERIT)
    masked, dense = (joint_minus_graph(grid, ours, heaviest, arm) for arm in (INHERIT, DENSE))
    early_there = interval(early_minus_late(grid, theirs, graph_cells(grid), DENSE)).mean
    joint_there = interval(early_minus_late(grid, theirs, joint_cells(grid), INHERIT)).mean
    heavy_there = interval(joint_minus_graph(grid, theirs, heaviest, INHERIT)).mean
    return [
        Claim(
            "gebt-early-edges",
            "Graphs drawn early (epochs 10 and 20 of 100) train as well as those drawn at the end.",
            f"{PAPER}, Figure 1",
            no_worse,
            at_least(interval(early), -MARGIN, "early minus late"),
            printed=early_there,
        ),
        Claim(
            "gebt-beats-random-edges",
            "Graphs drawn early train better than graphs of as many random edges.",
            f"{PAPER}, Figure 6",
            better,
            greater(interval(chance), "early minus random edges"),
        ),
        Claim(
            "gebt-joint-early",
            "Joint tickets drawn early, retrained with inherited weights under their mask, are as good as late ones.",
            f"{PAPER}, Figure 4a",
            no_worse,
            at_least(interval(joint), -MARGIN, "early minus late"),
            printed=joint_there,
        ),
        Claim(
            "gebt-90-percent",
            "Removing 90 % of the weights as well costs an early ticket nothing, inherited and masked.",
            f"{PAPER}, Figure 4a and text",
            no_worse,
            at_least(interval(masked), -MARGIN, "joint ticket minus graph ticket"),
            printed=heavy_there,
        ),
        Claim(
            "gebt-90-percent-as-shipped",
            "Removing 90 % of the weights as well costs an early ticket nothing, retrained densely from fresh weights "
            "as the released script does.",
            f"{PAPER}, Figure 4a and text; its code",
            no_worse,
            at_least(interval(dense), -MARGIN, "joint ticket minus graph ticket"),
            printed=heavy_there,
        ),
        Claim(
            "gebt-fires-by-26",
            f"The detector fires by epoch {LATEST} of 100.",
            f"{PAPER}, text",
            rule + f"{LATEST} minus the mean emergence epoch is above zero; never fired counts as the last epoch",
            greater(interval(sooner), f"{LATEST} minus emergence", unit="epochs"),
        ),
    ]

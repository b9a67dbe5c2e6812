"""The numbers that GEBT prints beside ours, and contrasts that are explored, not judged."""

import math
from typing import Any

import pandas as pd

from ebreplicate import published
from ebreplicate.catalog import GRAPHS
from ebreplicate.experiments.common.experiment import Cell
from ebreplicate.experiments.common.margins import COUNT_MARGIN
from ebreplicate.experiments.common.rows import by_seed, interval
from ebreplicate.experiments.common.stats import Interval
from ebreplicate.experiments.common.verdicts import whole
from ebreplicate.experiments.gebt.accuracies import Accuracies
from ebreplicate.experiments.gebt.claims import (
    DENSE,
    INHERIT,
    MARGIN,
    MASKED,
    PAPER,
    early_minus_late,
    early_minus_random,
    emergence_by_seed,
    graph_cells,
    joint_cells,
    joint_minus_graph,
    rows_of,
)
from ebreplicate.experiments.gebt.runs import grid_of
from ebreplicate.specs.scale import Scale

PRINTED = {"cora": "Cora", "citeseer": "CiteSeer", "pubmed": "Pubmed"}
"""The graphs as the published tables name them."""
UNIT = "% correct"
METHODS = {"random": "Random", "sgcn": "SGCN", "geb": "GEBT (GEB)", "joint": "GEBT (joint-EB)"}
JUDGED_RATIOS = (0.1, 0.5, 0.9)
"""Ratios of Figure 6 whose accuracies are set beside ours."""


def points(figure: str) -> Any:
    """Rows of a figure of the vector-exact CSV."""
    rows = published.read("gebt_figures_vector_exact")
    return rows[rows.figure == figure]


def _value(rows: Any, **where: Any) -> float:
    """The one printed value that matches; nan where there is none."""
    for name, value in where.items():
        rows = rows[abs(rows[name] - value) < 1e-9 if isinstance(value, float) else rows[name] == value]
    return float(rows.iloc[0, rows.columns.get_loc("value")]) if len(rows) else math.nan


RUNS = {"Figure 1": {"cora": 3, "citeseer": 5}, "Figure 4a": {"cora": 5, "citeseer": 5}}
"""Runs behind a printed mean, where its digits show them (multiples of 1/30 and of 0.02 of 1,000 nodes); else one."""
READING = {"Figure 1": 0.005, "Figure 4a": 0.01}
"""Points: reading error of a vector path; of what is printed to one digit, half of it."""


def _accuracy(graph: str, name: str, printed: float, measured: Interval, source: str, note: str = "") -> Cell:
    """A printed accuracy beside ours, judged by the plan's rule of agreement (`margins.tolerance`)."""
    runs = RUNS.get(source, {}).get(graph, 1)
    said = f"a mean of {runs} runs of the paper" if runs > 1 else "one run of the paper, as far as is known"
    text = "; ".join(part for part in (note, said) if part)
    where = f"{PAPER}, {source}"
    reading = READING.get(source, 0.05)
    return Cell(name, printed, measured, UNIT, where, "last epoch", MARGIN, note=text, runs=runs, reading=reading)


def unpruned(table: pd.DataFrame) -> list[Cell]:
    """The GCN on the whole graph, beside Table 2 and Figure 1."""
    tables, out = published.read("gebt_tables"), []
    printed = tables[(tables.item == "GEBT Table 2") & (tables.method == "GCN") & (tables.metric == "accuracy")]
    for graph, name in PRINTED.items():
        measured = interval(by_seed(rows_of(table, (graph, 0.0, 0.0)), "accuracy"))
        value = float(printed[printed.dataset == name].value.iloc[0])
        title = f"{GRAPHS[graph].title}: unpruned GCN"
        out.append(_accuracy(graph, f"{title}, Table 2", value, measured, "Table 2"))
        value = _value(points("Fig1"), dataset=name, metric="unpruned_acc_%")
        out.append(_accuracy(graph, f"{title}, Figure 1", value, measured, "Figure 1"))
    return out


def figure1(table: pd.DataFrame) -> list[Cell]:
    """Graph tickets of draws 10, 20 and 100."""
    out, ours = [], Accuracies(table)
    rows = points("Fig1")
    for graph, name in PRINTED.items():
        for ratio in (0.1, 0.3, 0.5, 0.7, 0.9):
            for draw in (10, 20, 100):
                value = _value(rows, dataset=name, p_graph=ratio, epoch=draw, metric="retrain_acc_%")
                measured = interval(ours.at((graph, ratio, 0.0), DENSE, [draw]))
                cell = f"{GRAPHS[graph].title}: graph ticket, {ratio:.0%} of the edges removed, draw {draw}"
                out.append(_accuracy(graph, cell, value, measured, "Figure 1"))
    return [*out, *whole("all graph tickets of Figure 1", f"{PAPER}, Figure 1", out)]


def figure4a(table: pd.DataFrame) -> list[Cell]:
    """Joint tickets of draws 10 and 100, beside the arm as shipped and the arm of the paper's text."""
    ours, rows = Accuracies(table), points("Fig4a")
    out: dict[str, list[Cell]] = {DENSE: [], INHERIT: []}
    notes = {DENSE: "retrained dense from fresh weights, as the released driver does", INHERIT: "inherited and masked"}
    for graph in ("cora", "citeseer"):
        for q in (0.5, 0.7, 0.9):
            for p in (0.1, 0.3, 0.5, 0.7, 0.9):
                for draw in (10, 100):
                    where = {"dataset": PRINTED[graph], "p_graph": p, "p_weight": q, "epoch": draw}
                    value = _value(rows, **where)
                    name = f"{GRAPHS[graph].title}: joint ticket, {p:.0%} of edges and {q:.0%} of weights, draw {draw}"
                    for arm, note in notes.items():
                        measured = interval(ours.at((graph, p, q), arm, [draw]))
                        out[arm].append(_accuracy(graph, f"{name}, {arm}", value, measured, "Figure 4a", note))
    every = [cell for pair in zip(*out.values(), strict=True) for cell in pair]
    for arm, cells in out.items():
        every += whole(f"all joint tickets of Figure 4a, {notes[arm]}", f"{PAPER}, Figure 4a", cells)
    return every


def figure6(table: pd.DataFrame) -> list[Cell]:
    """Accuracies of Figure 6, single runs of the paper; joint tickets as shipped."""
    printed, out = published.read("gebt_fig6_vector_exact"), []
    printed = printed[printed.cost_unit == "G training"].rename(columns={"retrain_acc_%": "value"})
    for graph, name in PRINTED.items():
        for method, theirs in METHODS.items():
            for q in (0.6, 0.9) if method == "joint" else (0.0,):
                for p in JUDGED_RATIOS:
                    value = _value(printed, dataset=name, method=theirs, p_graph=p, p_weight=q)
                    here = rows_of(table[table.method == method], (graph, p, q))
                    here = here[here.arm.isin([DENSE, "random-edges"])]
                    means = here.groupby("seed").accuracy.mean().dropna()
                    keys = here.groupby("seed").key.first()
                    measured = interval(
                        by_seed(means.reset_index().assign(key=[keys[s] for s in means.index]), "accuracy")
                    )
                    what = f"{p:.0%} of edges" + (f" and {q:.0%} of weights" if q else "")
                    cell = f"{GRAPHS[graph].title}: {method}, {what}"
                    out.append(_accuracy(graph, cell, value, measured, "Figure 6"))
    return [*out, *whole("all accuracies of Figure 6 that are compared", f"{PAPER}, Figure 6", out)]


def emergence(table: pd.DataFrame) -> list[Cell]:
    """Epochs that Figure 6's training costs contain (solved from them, integers) beside ours."""
    printed, out = published.read("gebt_fig6_vector_exact"), []
    printed = printed[printed.derived_emergence_epoch.notna()].rename(columns={"derived_emergence_epoch": "value"})
    fired = table[(table.kind == "fired") & (table.status != "not run")]
    for graph, name in PRINTED.items():
        for method in ("geb", "joint"):
            for q in (0.6, 0.9) if method == "joint" else (0.0,):
                for p in JUDGED_RATIOS:
                    value = _value(printed, dataset=name, method=METHODS[method], p_graph=p, p_weight=q)
                    here = rows_of(fired, (graph, p, q))
                    here = here[here.rule == ("mean" if q else "graph")]
                    never = int(here.epoch.isna().sum())
                    measured = interval(by_seed(here.assign(epoch=here.epoch.fillna(100.0)), "epoch"))
                    what = f"{p:.0%} of edges" + (f" and {q:.0%} of weights" if q else "")
                    out.append(
                        Cell(
                            f"{GRAPHS[graph].title}: emergence epoch, {what}",
                            value,
                            measured,
                            "epoch",
                            f"{PAPER}, Figure 6, from its training cost",
                            "one run of the paper",
                            COUNT_MARGIN * value,
                            note=f"never fired in {never} of {len(here)} seeds, counted as 100" if never else "",
                        )
                    )
    return out


def table2_flops() -> list[Cell]:
    """Inference FLOPs of Table 2's unpruned networks, by arithmetic; the same at every scale."""
    tables, out = published.read("gebt_tables"), []
    rows = tables[(tables.item == "GEBT Table 2") & (tables.metric == "inference_flops")]
    for graph, name in PRINTED.items():
        info = GRAPHS[graph]
        weights = info.macs() - 2 * info.printed_edges * info.features
        derived = {"GCN": info.macs(), "GIN": info.macs(), "GAT": 8 * info.macs(), "GraphSAGE": 100 * weights}
        for method, macs in derived.items():
            value = float(rows[(rows.dataset == name) & (rows.method == method)].value.iloc[0])
            digit = 1.0 if value > 1000 else 0.1 if value > 100 else 0.01
            out.append(
                Cell(
                    f"{info.title}: inference FLOPs of {method}",
                    value,
                    Interval(macs / 1e6, math.nan, 1),
                    "M",
                    f"{PAPER}, Table 2",
                    "arithmetic",
                    digit,
                    exact=True,
                    note={"GAT": "8 x GCN", "GraphSAGE": "100 x the weight term"}.get(method, ""),
                )
            )
    return out


def contrasts(scale: Scale, table: pd.DataFrame) -> list[Cell]:
    """What the protocol calls exploratory: differences by graph, ratio and arm, with intervals over seeds."""
    grid, ours, out = grid_of(scale), Accuracies(table), []

    def add(name: str, values: dict[int, float], unit: str = "pp") -> None:
        source = f"{PAPER}; explored, not printed there"
        out.append(Cell(f"explored: {name}", math.nan, interval(values), unit, source, "last epoch"))

    for graph in PRINTED:
        title = GRAPHS[graph].title
        cells = [c for c in graph_cells(grid) if c[0] == graph]
        add(f"{title}, graph tickets, early minus late", early_minus_late(grid, ours, cells, DENSE))
        for cell in cells:
            gain = early_minus_random(grid, ours, [cell])
            add(f"{title}, graph tickets, {cell[1]:.0%} of the edges, early minus random edges", gain)
        pairs = [c for c in joint_cells(grid) if c[0] == graph]
        for arm in (DENSE, INHERIT, MASKED) if pairs else ():
            for q in grid.weight_ratios:
                own = [c for c in pairs if c[2] == q]
                name = f"{title}, joint tickets, {q:.0%} of the weights, {arm}"
                add(f"{name}, early minus late", early_minus_late(grid, ours, own, arm))
                add(f"{name}, early minus graph tickets", joint_minus_graph(grid, ours, own, arm))
        for kind, own in (("graph", cells), ("joint", pairs)):
            if own:
                add(f"{title}, {kind} tickets, mean emergence epoch", emergence_by_seed(grid, table, own), "epoch")
    return out


def of_tickets(scale: Scale, table: pd.DataFrame) -> list[Cell]:
    """Points of Figure 1, the unpruned GCN, and exploratory contrasts."""
    return [*unpruned(table), *figure1(table), *contrasts(scale, table)]


def of_joint(scale: Scale, table: pd.DataFrame) -> list[Cell]:
    """Points of Figure 4a beside two arms: as shipped, and as the paper says."""
    return figure4a(table)


def of_detector(scale: Scale, table: pd.DataFrame) -> list[Cell]:
    """The emergence epochs that Figure 6's training costs contain."""
    return emergence(table)


def of_costs(scale: Scale, table: pd.DataFrame) -> list[Cell]:
    """Accuracies of Figure 6 at three ratios, and the FLOPs of Table 2."""
    return [*figure6(table), *table2_flops()]

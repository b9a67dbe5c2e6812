"""The cost axes of Figure 6 and the savings of the text, by arithmetic from the printed numbers alone."""

from typing import Any

import pandas as pd

from ebreplicate import published
from ebreplicate.catalog import GRAPHS, GraphInfo
from ebreplicate.experiments.common.experiment import NOT_SUPPORTED, SUPPORTED, Claim
from ebreplicate.experiments.common.finding import Finding
from ebreplicate.experiments.gebt.cells import METHODS, PRINTED
from ebreplicate.experiments.gebt.claims import PAPER
from ebreplicate.graphs.costs import training_macs
from ebreplicate.specs.scale import Scale

INFERENCE_ERROR = 0.013
"""Million multiply-accumulates: the reading error of a vector path of Figure 6."""
EPOCH_ERROR = 0.05
"""How far from an integer an epoch solved from a printed cost may be."""
INFO = {printed: GRAPHS[name] for name, printed in PRINTED.items()}
OURS = {printed: name for name, printed in METHODS.items()}


def figure6() -> Any:
    """Every point of Figure 6; `cost` in million multiply-accumulates of inference, thousand million of training."""
    return published.read("gebt_fig6_vector_exact")


def inference_errors() -> list[float]:
    """Printed minus derived inference cost of every point, million multiply-accumulates."""
    rows = figure6()
    rows = rows[rows.cost_unit == "M inference"]
    return [row.cost - INFO[row.dataset].macs(row.p_graph, row.p_weight) / 1e6 for row in rows.itertuples()]


def solved_epoch(info: GraphInfo, method: str, p_graph: float, p_weight: float, printed: float) -> float:
    """The emergence epoch at which a printed training cost (thousand million) follows."""
    none = training_macs(info, method, p_graph, p_weight, epoch=0)
    one = training_macs(info, method, p_graph, p_weight, epoch=1)
    return (printed * 1e9 - none) / (one - none)


def training_points() -> list[tuple[float, float | None]]:
    """Of every point of Figure 6's training axis: the solved emergence epoch and the one the CSV says, for tickets; for
    the methods without a detector, derived over printed cost and None."""
    rows = figure6()
    out: list[tuple[float, float | None]] = []
    for row in rows[rows.cost_unit == "G training"].itertuples():
        info, method = INFO[row.dataset], OURS[row.method]
        if method in ("random", "sgcn"):
            out.append((training_macs(info, method, row.p_graph) / (row.cost * 1e9), None))
        else:
            epoch = solved_epoch(info, method, row.p_graph, row.p_weight, row.cost)
            out.append((epoch, row.derived_emergence_epoch))
    return out


def _savings(methods: str, p_weight: float, unit: str) -> tuple[float, float]:
    """Least and largest saving, percent, of a method's points of Figure 6 against SGCN at the same graph and ratio."""
    rows = figure6()
    rows = rows[rows.cost_unit == unit]
    base = {(r.dataset, r.p_graph): r.cost for r in rows[rows.method == "SGCN"].itertuples()}
    own = rows[(rows.method == methods) & (abs(rows.p_weight - p_weight) < 1e-9)]
    cuts = [100 * (1 - r.cost / base[r.dataset, r.p_graph]) for r in own.itertuples()]
    return min(cuts), max(cuts)


SAVINGS = {
    "geb_training_flops_cut": ("GEBT (GEB)", 0.0, "G training"),
    "joint_eb_training_flops_cut": ("GEBT (joint-EB)", 0.9, "G training"),
    "joint_eb_inference_flops_cut": ("GEBT (joint-EB)", 0.9, "M inference"),
}
"""Savings of the text, and the points of Figure 6 that they are about."""


def savings() -> dict[str, tuple[str, tuple[float, float]]]:
    """By metric: the printed range, and the range of Figure 6 against SGCN."""
    tables = published.read("gebt_tables")
    text = tables[tables.item == "GEBT text"].set_index("metric").value
    return {name: (str(text[name]), _savings(*where)) for name, where in SAVINGS.items()}


def claims(scale: Scale, table: pd.DataFrame) -> list[Claim]:
    """What is arithmetic: no runs, the same at every scale."""
    errors = inference_errors()
    most = max(map(abs, errors))
    near = sum(abs(e) < INFERENCE_ERROR for e in errors)
    points = training_points()
    whole = [epoch for epoch, said in points if said is not None]
    good = sum(abs(e - round(e)) < EPOCH_ERROR for e in whole)
    exact = sum(abs(ratio - 1) < 1e-3 for ratio, said in points if said is None)
    others = len(points) - len(whole)
    ranges = savings()
    inside = [_within(text, found) for text, found in ranges.values()]
    said = "; ".join(
        f"{name.replace('_', ' ')}: {text.replace('..', ' to ')} % printed, {low:.1f} to {high:.1f} % in Figure 6"
        for name, (text, (low, high)) in ranges.items()
    )
    return [
        Claim(
            "gebt-inference-costs",
            "Figure 6's inference FLOPs follow from (1 - p_w)(N F 16 + N 16 C) + (1 - p_g) 2 E F.",
            f"{PAPER}, Figure 6",
            f"arithmetic: every point within {INFERENCE_ERROR:g} M, the reading error",
            _counted(
                near == len(errors), len(errors), f"{near} of {len(errors)} points; largest difference {most:.3f} M"
            ),
        ),
        Claim(
            "gebt-training-costs",
            "Figure 6's training FLOPs follow from 3 x forward x epochs of each phase, with a whole emergence epoch.",
            f"{PAPER}, Figure 6",
            f"arithmetic: random and SGCN within 0.1 %, tickets' solved epochs within {EPOCH_ERROR:g} of whole ones",
            _counted(
                good == len(whole) and exact == others,
                len(points),
                f"{exact} of {others} points without a detector, {good} of {len(whole)} tickets",
            ),
        ),
        Claim(
            "gebt-printed-savings",
            "The savings of the text are those of Figure 6.",
            f"{PAPER}, text",
            "arithmetic: each printed range holds the range of Figure 6 against SGCN at equal ratios, to 0.1 %",
            _counted(all(inside), len(inside), said),
        ),
    ]


def _counted(holds: bool, n: int, counted: str) -> Finding:
    return Finding(SUPPORTED if holds else NOT_SUPPORTED, n, counted=counted)


def _within(text: str, found: tuple[float, float]) -> bool:
    low, high = (float(part) for part in text.split(".."))
    return low - 0.1 <= found[0] and found[1] <= high + 0.1

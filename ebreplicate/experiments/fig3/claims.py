"""Published emergence epochs and distances of Figure 3 beside ours, and what the figure claims."""

from typing import Any

import pandas as pd

from ebreplicate import published
from ebreplicate.catalog import TITLES
from ebreplicate.experiments.common.experiment import NOT_RUN, NOT_SUPPORTED, SUPPORTED, Cell, Claim
from ebreplicate.experiments.common.finding import Finding
from ebreplicate.experiments.common.lineage import Traced
from ebreplicate.experiments.common.rows import by_seed, interval
from ebreplicate.experiments.common.stats import t_interval
from ebreplicate.experiments.fig3.runs import MODELS, RATIOS
from ebreplicate.specs.scale import Scale

TWINS = (
    "the paper prints the same heat-maps for VGG16 and PreResNet101 (byte-identical images with different "
    "annotations), so which network they show is not known"
)

# Two of the authors' own runs of one cell (VGG16, CIFAR-100, 30 %) emerge at 35 (scripts) and 20 (Table 2's FLOPs).
EPOCH_TOLERANCE = 7.5
DISTANCE_TOLERANCE = 0.05
CURVE_EPOCHS = (5, 10, 20, 40, 80)


def cells(scale: Scale, table: pd.DataFrame) -> list[Cell]:
    """Annotated emergence epochs (8) and points of the published distance curve (both networks)."""
    return [*_emergence_cells(table), *_curve_cells(scale, table)]


def claims(scale: Scale, table: pd.DataFrame) -> list[Claim]:
    """The two networks do not share one matrix."""
    return [_networks_differ(scale, table)]


def select(table: pd.DataFrame, model: str, ratio: float) -> Any:
    """Rows of one network and ratio."""
    return table[(table.model == model) & ((table.ratio - ratio).abs() < 1e-9)]


def annotations() -> dict[tuple[str, float], float]:
    """The epochs that the printed cross-hairs mark, by network and ratio."""
    printed = published.read("eb_fig3_annotated_epochs")
    printed = printed[printed.method.str.startswith("EB draw epoch")]
    return {(row.model, float(row.prune_ratio)): float(row.value) for row in printed.itertuples()}


def _emergence_cells(table: pd.DataFrame) -> list[Cell]:
    cells = []
    for (model, ratio), epoch in annotations().items():
        found = select(table, model, ratio).drop_duplicates("seed")
        measured = t_interval([Traced(e, [k]) for e, k in zip(found.emergence, found.key, strict=True)])
        cells.append(
            Cell(
                f"{TITLES[model]} CIFAR-100: emergence epoch, ratio {ratio:g}",
                epoch,
                measured,
                "epoch",
                "Fig. 3, annotation",
                "authors' rule",
                EPOCH_TOLERANCE,
                note="emerged in no seed" if len(found) and not measured.n else TWINS,
            )
        )
    return cells


def _curve_cells(scale: Scale, table: pd.DataFrame) -> list[Cell]:
    printed = published.read("eb_fig3_mask_distance_curves")
    cells = []
    for model in MODELS:
        for ratio in RATIOS:
            here = select(table, model, ratio)
            for paper_epoch in (e for e in CURVE_EPOCHS if e in scale.epochs):
                row = printed[((printed.prune_ratio - ratio).abs() < 1e-9) & (printed.epoch == paper_epoch)].iloc[0]
                found = here[here.epoch == scale.epoch(paper_epoch)]
                cells.append(
                    Cell(
                        f"{TITLES[model]} CIFAR-100: distance of epoch {paper_epoch} to the last, ratio {ratio:g}",
                        float(row.distance_to_epoch160),
                        interval(by_seed(found, "to_final")),
                        "",
                        "Fig. 3, heat-map pixels (8-bit, +-0.002)",
                        "",
                        DISTANCE_TOLERANCE,
                        note=TWINS,
                    )
                )
    return cells


def _networks_differ(scale: Scale, table: pd.DataFrame) -> Claim:
    gaps = []
    for ratio in RATIOS:
        a, b = (select(table, m, ratio) for m in MODELS)
        a, b = (t[t.seed == scale.seeds[0]].set_index("epoch").max_to_4 for t in (a, b))
        if len(a) and len(b):
            gaps.append(float((a - b).abs().max()))
    ran = len(gaps) == len(RATIOS)
    differ = ran and min(gaps) > 0.01
    counted = f"largest difference per ratio: {', '.join(f'{g:.3f}' for g in gaps)} (seed {scale.seeds[0]})"
    records = frozenset(table.key[table.seed == scale.seeds[0]])
    verdict = NOT_SUPPORTED if differ else SUPPORTED
    return Claim(
        "one-matrix-two-networks",
        "VGG16 and PreResNet101 have the same mask-distance matrices, as printed (a finding about the figure: its "
        "eight heat-maps are four, printed twice).",
        "paper, Fig. 3: images compared byte by byte",
        "not supported if for every ratio the two networks' curves (distance of each mask to its four predecessors) "
        "differ by more than 0.01 somewhere",
        Finding(verdict, 1, counted=counted, records=records) if ran else Finding(NOT_RUN),
    )

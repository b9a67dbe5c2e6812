"""How the training FLOPs of Tables 2 and 3 follow from networks, draw epochs and widths: every printed cell derived."""

import math
from functools import cache
from typing import Any

from ebreplicate import published
from ebreplicate.catalog import TITLES

CIFAR_IMAGES, CIFAR_EPOCHS = 50_000, 160
IMAGENET_IMAGES, IMAGENET_EPOCHS = 1_281_167, 90
TABLE2_UNIT = 5e13
"""Table 2 prints FLOPs in units of 0.05 P."""
GIGA, PETA = 1e9, 1e15
TABLE2_LATEST_DRAW = 80
"""Latest draw epoch tried: the first rate decay. Later ones need a network that has lost nearly all of its FLOPs."""
TABLE3_DRAW = 11
"""The scripts' label of both ResNet18 tickets (EB-30-11, EB-10-11)."""


def total_flops(dense: float, small: float, draw: int, epochs: int, images: int, inherit: bool = True) -> float:
    """Training FLOPs of EB Train: `draw` dense epochs, then the small network.

    Forward FLOPs per image in, FLOPs out: 3 x forward x images x epochs (paper, section 4; reference audit, section
    8). An inheriting ticket continues to `epochs`; a re-initialised one trains all of them.
    """
    retrain = epochs - draw if inherit else epochs
    return 3.0 * images * (draw * dense + retrain * small)


PRINTED_UNIT = {"0.05 PFLOP": 1.0, "PFLOP": 0.01}
"""Last printed digit of each table."""


def reproduces(derived: float, printed: float, unit: float) -> bool:
    """True if rounding or truncating `derived` to `unit` gives `printed`: the tables do both (604.8 is printed as 605,
    243.6 as 243)."""
    return -0.5 * unit <= derived - printed < unit


@cache
def solve_table2(dense: float, inherit: float, reinit: float) -> list[tuple[int, float]]:
    """All (draw epoch, F_pruned in FLOPs) on the 0.01 G grid that reproduce both printed cells, the nearest first.

    Cells are in units of 0.05 P. Draw epochs: up to the first rate decay.
    """
    found = []
    for draw in range(1, TABLE2_LATEST_DRAW + 1):
        for hundredths in range(1, round(dense / 1e7) + 1):
            small = hundredths * 1e7
            pair = [total_flops(dense, small, draw, CIFAR_EPOCHS, CIFAR_IMAGES, keep) for keep in (True, False)]
            cells = [(p / TABLE2_UNIT, cell) for p, cell in zip(pair, (inherit, reinit), strict=True)]
            if all(reproduces(p, cell, PRINTED_UNIT["0.05 PFLOP"]) for p, cell in cells):
                found.append((max(abs(p - cell) for p, cell in cells), draw, small))
    return [(draw, small) for _, draw, small in sorted(found)]


@cache
def _dense_forward(model: str, classes: int, side: int, channels: tuple[int, ...] | None = None) -> float:
    """Authors'-convention forward FLOPs of our own network, rounded to 0.01 G as the tables evidently were."""
    from ebreplicate import cost
    from ebreplicate.models import build

    network = build(model, classes, channels=None if channels is None else list(channels))
    return round(cost.flops(network, (3, side, side), "authors") / 1e7) * 1e7


@cache
def uniform_forward(classes: int, ratio: float) -> float:
    """Forward FLOPs of VGG16 with every layer's width times (1 - ratio), to 0.01 G: what ThiNet's network would be."""
    from ebreplicate.models import build
    from ebreplicate.pruning.channels import bn_widths
    from ebreplicate.pruning.methods.layers import kept

    widths = bn_widths(build("vgg16", classes))
    return _dense_forward("vgg16", classes, 32, tuple(kept(w, ratio) for w in widths))


def _printed(rows: Any, method: str, ratio: float) -> float:
    found = rows[(rows.method == method) & ((rows.prune_ratio - ratio).abs() < 1e-9)]
    return float(found.value.iloc[0]) if len(found) else math.nan


def table2_rows(dataset: str) -> list[dict[str, Any]]:
    """A row a printed training-FLOPs cell of Table 2, VGG16 on `dataset`: how it follows, and what was fitted."""
    rows = published.read(f"eb_table2_vgg16_{dataset}")
    rows = rows[rows.metric == "total_training_flops"]
    classes = 10 if dataset == "cifar10" else 100
    dense = _dense_forward("vgg16", classes, 32)
    one = 3 * dense * CIFAR_IMAGES * CIFAR_EPOCHS / TABLE2_UNIT
    out = []

    def add(method: str, ratio: float, derived: float, how: str, fitted: str, **more: Any) -> None:
        name = f"Table 2, VGG16 {TITLES[dataset]}"
        row = {"table": name, "method": method, "ratio": ratio, "published": _printed(rows, method, ratio)}
        out.append({**row, "derived": derived, "unit": "0.05 PFLOP", "formula": how, "fitted": fitted, **more})

    for ratio in sorted(rows.prune_ratio.unique()):
        add("SNIP", ratio, one, "3 F 50000 160: one dense training", "nothing")
        add("LT (one-shot)", ratio, 2 * one, "two dense trainings", "nothing")
        small = uniform_forward(classes, ratio)
        thin = total_flops(dense, small, CIFAR_EPOCHS, CIFAR_EPOCHS, CIFAR_IMAGES, inherit=False) / TABLE2_UNIT
        how = "dense training + 160 epochs of every width times (1 - p)"
        add("ThiNet", ratio, thin, how, "nothing", pruned_gflops=small / GIGA)
        inherit, reinit = (_printed(rows, m, ratio) for m in ("EB Train", "EB Train (re-init)"))
        solutions = solve_table2(dense, inherit, reinit)
        draw, small = solutions[0] if solutions else (None, math.nan)
        note = (
            "" if solutions else f"misprint: no draw epoch up to {TABLE2_LATEST_DRAW} and width give it and its partner"
        )
        if inherit > reinit:
            note = "misprint: continuing from the ticket cannot cost more than a full re-initialised training"
        span = f"nearest of {len(solutions)} solutions" if len(solutions) != 1 else "unique"
        for method, keep in (("EB Train", True), ("EB Train (re-init)", False)):
            value = (
                total_flops(dense, small, draw, CIFAR_EPOCHS, CIFAR_IMAGES, keep) / TABLE2_UNIT if draw else math.nan
            )
            how = "3 50000 (E F + (160 - E) Fp)" if keep else "3 50000 (E F + 160 Fp)"
            fitted = f"E and Fp, from both cells ({span})" if draw else "impossible"
            add(method, ratio, value, how, fitted, draw_epoch=draw, pruned_gflops=small / GIGA, note=note)
        ns = one * (1 + small / dense)
        add(
            "NS",
            ratio,
            ns,
            "dense training + 160 epochs of Fp",
            "nothing further" if draw else "impossible",
            pruned_gflops=small / GIGA,
            note="a network slimmed after training is not the ticket's network: expected to differ by some percent",
        )
    return out


def table3_rows() -> list[dict[str, Any]]:
    """The same for Table 3, ResNet18 on ImageNet."""
    rows = published.read("eb_table3_resnet18_imagenet")
    rows = rows[rows.metric == "total_training_flops"]
    dense = _dense_forward("resnet18", 1000, 224)
    images, epochs = IMAGENET_IMAGES, IMAGENET_EPOCHS
    out = []

    def add(method: str, ratio: float, derived: float, how: str, fitted: str, **more: Any) -> None:
        row = {"table": "Table 3, ResNet18 ImageNet", "method": method, "ratio": ratio}
        row |= {"published": _printed(rows, method, ratio), "derived": derived, "unit": "PFLOP"}
        out.append({**row, "formula": how, "fitted": fitted, **more})

    one = 3 * dense * images * epochs / PETA
    add("Unpruned", 0.0, one, "3 F 1281167 90", "nothing")
    for ratio in (0.1, 0.3):
        cell = _printed(rows, "EB Train", ratio)
        fits = [
            small * 1e7
            for small in range(1, round(dense / 1e7))
            if abs(total_flops(dense, small * 1e7, TABLE3_DRAW, epochs, images) / PETA - cell) < 0.01
        ]
        small = fits[0] if len(fits) == 1 else math.nan
        eb = total_flops(dense, small, TABLE3_DRAW, epochs, images) / PETA
        more = {"draw_epoch": TABLE3_DRAW, "pruned_gflops": small / GIGA}
        add("EB Train", ratio, eb, "3 1281167 (11 F + 79 Fp)", "Fp, from this cell (unique on the 0.01 G grid)", **more)
        ns = one + 3 * small * images * epochs / PETA
        add("Network Slimming", ratio, ns, "90 dense + 90 pruned epochs", "nothing further", pruned_gflops=small / GIGA)
    add(
        "SFP",
        0.3,
        math.nan,
        "",
        "impossible",
        note="soft pruning trains the dense network; its count cannot be derived from what is known",
    )
    return out

"""Records to the table: rows of trainings, of bits by layer and epoch, and of differences by seed."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ebreplicate.experiments.common import compared
from ebreplicate.experiments.early_crop.runs import Planned
from ebreplicate.experiments.early_crop.table import training
from ebreplicate.experiments.learned_precision.claims import COMPARED, LAYERS_DIFFER, RAISES_BITS
from ebreplicate.experiments.learned_precision.runs import LDP, LOW, planned
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Search

if TYPE_CHECKING:
    from ebreplicate.store.store import Store

COLUMNS = ["kind", "arm", "seed", "status", "last_accuracy", "best_accuracy", "unseen_accuracy", "official_accuracy"]
COLUMNS += ["most_bits_accuracy", "share", "training_bitops", "training_flops", "seconds", "epoch", "layer", "bits"]
COLUMNS += ["claim", "images", "difference", "image_count", "products", "narrowest", "key"]
TRAINING, BITS = "training", "bits"
"""Kinds of rows; those of contrasts have none."""
OF_STATIC = 16
"""BitOPs at 32 bits throughout, in units of those of static 8/8."""


def table(scale: Scale, store: "Store") -> pd.DataFrame:
    """One row a training, a layer and epoch of the first seed, and a contrast and seed."""
    runs = planned(scale)
    trained = [_training(run, store) for run in runs]
    recorded = {(run.arm, run.seed): _bits(run, store) for run in runs}
    first = [run for run in runs if run.seed == runs[0].seed]
    rows = [*trained, *(row for run in first for row in _layers(run, recorded[run.arm, run.seed], trained))]
    rows += compared.rows(COMPARED, trained, store)
    ends = {row["seed"]: (row["key"], recorded[LDP, row["seed"]]) for row in trained if row["arm"] == LDP}
    rows += _learned({seed: (key, bits) for seed, (key, bits) in ends.items() if bits is not None})
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def _training(run: Planned, store: "Store") -> dict[str, Any]:
    row, record = training(run, store), store.read(run.spec)
    if record is None:
        return {"kind": TRAINING, **row}
    cost = record["cost"]
    share = OF_STATIC * cost.get("relative_bitops", 1.0)  # fp32 costs the whole
    bitops, most = cost.get("training_bitops"), record["metrics"].get("most_bits_accuracy")
    return {"kind": TRAINING, **row, "share": share, "training_bitops": bitops, "most_bits_accuracy": most}


def _bits(run: Planned, store: "Store") -> Any:
    """Mean forward bits, (epochs, layers), of a finished quantised training; else None."""
    record = store.read(run.spec)
    if record is None or record["status"] != "ok" or not (isinstance(run.spec, Search) and run.spec.bits):
        return None
    return store.part(run.spec, "bits.npy", axes=3)[:, 0]


def _layers(run: Planned, bits: Any, trained: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    (of_run,) = (row for row in trained if (row["arm"], row["seed"]) == (run.arm, run.seed))
    base = {name: of_run[name] for name in ("arm", "seed", "status", "key")}
    for epoch, row in enumerate([] if bits is None else bits, start=1):
        for layer, value in enumerate(row, start=1):
            yield {"kind": BITS, **base, "epoch": epoch, "layer": layer, "bits": round(float(value), 4)}


def _learned(ends: dict[int, tuple[str, Any]]) -> Iterator[dict[str, Any]]:
    """The two claims about bits that LDP learned without a cost term, by seed."""
    for seed, (key, bits) in ends.items():
        last = bits[-1]
        found = {RAISES_BITS: float(np.median(last)) - LOW, LAYERS_DIFFER: float(last.max() - last.min()) - 1}
        base = {"images": "", "seed": seed, "status": compared.CONTRAST, "key": key}
        for claim, difference in found.items():
            yield {"claim": claim, **base, "difference": difference}

"""Records to the table: a row a training, an epoch and a round of a training, a contrast and seed."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from ebreplicate.catalog import KERNELS
from ebreplicate.experiments.common import compared
from ebreplicate.experiments.common.arms import Planned
from ebreplicate.experiments.early_crop.table import training
from ebreplicate.experiments.supertickets.claims import ACCURACY, NUMBERS
from ebreplicate.experiments.supertickets.runs import planned
from ebreplicate.specs.joint import SIZES
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Retrain, Search

if TYPE_CHECKING:
    from ebreplicate.store.store import Store

COLUMNS = ["kind", "arm", "seed", "status", "last_accuracy", "best_accuracy", "unseen_accuracy", "official_accuracy"]
COLUMNS += [*SIZES, *(f"channels_{kernel}x{kernel}" for kernel in KERNELS), "training_products", "seconds"]
COLUMNS += ["epoch", "returned", "claim", "images", "difference", "image_count", "products", "key"]
TRAINING, EPOCH, ROUND = "training", "epoch", "round"
"""Kinds of rows; those of contrasts have none."""
GIGA = 1e9


def table(scale: Scale, store: "Store") -> pd.DataFrame:
    """`returned`: percent of the weights pruned at the round before that come back; of a training, mean of rounds."""
    runs = planned(scale)
    trained = [_training(run, store) for run in runs]
    rows = [*trained, *(row for run, base in zip(runs, trained, strict=True) for row in _course(run, base, store))]
    return pd.DataFrame([*rows, *compared.rows((*ACCURACY, *NUMBERS), trained, store)]).reindex(columns=COLUMNS)


def _training(run: Planned, store: "Store") -> dict[str, Any]:
    """Row of a training; what the search found is the retrained ticket's as well, and its products count for both."""
    row = {"kind": TRAINING, "training_products": None, "returned": None, **training(run, store)}
    search = run.spec.ticket.search if isinstance(run.spec, Retrain) else run.spec
    found, record = store.read(search), store.read(run.spec)
    if found is None or record is None:
        return row
    metrics = found["metrics"]
    row |= {name: metrics[name][-1] for name in SIZES}
    counts = metrics["kernel_channels"]
    row |= {f"channels_{k}x{k}": sum(counts[i :: len(KERNELS)]) for i, k in enumerate(KERNELS)}
    products = sum(metrics["forward_products"][:-1])
    if isinstance(run.spec, Retrain):
        products += row["forward_products"] * record["metrics"]["epochs"]
        return row | {"training_products": _giga(products, search)}
    shares = [100 * share for share in metrics["returned_weights"] if share is not None]
    row["returned"] = sum(shares) / len(shares) if shares else None
    return row | {"training_products": _giga(products, search)}


def _giga(products: int, search: Any) -> float:
    """Thousand million multiply-adds of training, from those of an image's forward pass added over epochs."""
    return 3 * products * int(search.train_images) / GIGA


def _course(run: Planned, base: dict[str, Any], store: "Store") -> Iterator[dict[str, Any]]:
    """A row an epoch with what the next one trains, and a row a round with the share of weights that came back."""
    record, joint = store.read(run.spec), run.spec.joint if isinstance(run.spec, Search) else None
    if joint is None or record is None or record["status"] != "ok":
        return
    names = {name: base[name] for name in ("arm", "seed", "status", "key")}
    for epoch, sizes in enumerate(zip(*(record["metrics"][name] for name in SIZES), strict=True)):
        yield {"kind": EPOCH, **names, "epoch": epoch} | dict(zip(SIZES, sizes, strict=True))
    for i, share in enumerate(record["metrics"]["returned_weights"], start=1):
        if share is not None:
            yield {"kind": ROUND, **names, "epoch": i * joint.interval, "returned": round(100 * share, 3)}

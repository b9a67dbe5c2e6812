"""Records to the table: a row a training, an epoch of the first seed's factorised trainings, a contrast and seed."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from ebreplicate.experiments.common import compared
from ebreplicate.experiments.early_crop.runs import Planned
from ebreplicate.experiments.early_crop.table import training
from ebreplicate.experiments.factorised_layers.claims import COMPARED
from ebreplicate.experiments.factorised_layers.runs import FACTORISED, NARROW, others, planned, weights
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Search

if TYPE_CHECKING:
    from ebreplicate.store.store import Store

NORMS = ("nuclear_norm", "nuclear_bound", "frobenius_norm")
COLUMNS = ["arm", "seed", "status", "last_accuracy", "best_accuracy", "unseen_accuracy", "official_accuracy"]
COLUMNS += ["parameters", "forward_flops", "training_flops", "seconds", "final_nuclear_norm", "epoch", *NORMS]
COLUMNS += ["claim", "images", "difference", "image_count", "products", "key"]


def table(scale: Scale, store: "Store") -> pd.DataFrame:
    """Rows with an `epoch` have the norms after it; rows with a `claim` have its difference in one seed."""
    runs = planned(scale)
    trained = [_training(run, runs, store) for run in runs]
    first = [row for row in trained if row["arm"] in FACTORISED and row["seed"] == runs[0].seed]
    rows = [*trained, *(epoch for row in first for epoch in _epochs(row, store))]
    return pd.DataFrame([*rows, *compared.rows(COMPARED, trained, store)]).reindex(columns=COLUMNS)


def _training(run: Planned, runs: list[Planned], store: "Store") -> dict[str, Any]:
    """Row of a training: accuracies, parameters, and FLOPs as fvcore counts them, a multiply-add as one."""
    row, record = training(run, store), store.read(run.spec)
    dense = next(r.spec for r in runs if r.seed == run.seed)
    assert isinstance(dense, Search)  # the first of every seed
    if isinstance(run.spec, Search):
        row["parameters"] = weights(run.spec) + others(run.spec)
    if record is None:
        return row
    metrics, cost = record["metrics"], record["cost"]
    if "nnz" in metrics:
        row["parameters"] = metrics["nnz"] + others(dense, metrics["width"] if run.arm == NARROW else None)
    row["forward_flops"] = cost.get("sparse_forward_flops", cost.get("forward_flops", {})).get("fvcore")
    row["training_flops"] = cost["training_flops"].get("fvcore")
    row["final_nuclear_norm"] = metrics.get("nuclear_norm", [None])[-1]
    return row


def _epochs(row: dict[str, Any], store: "Store") -> list[dict[str, Any]]:
    """Rows of the norms by epoch of a training, the untrained network first; none where it has not run."""
    metrics = (store.read(row["spec"]) or {"metrics": {}})["metrics"]
    names = {name: row[name] for name in ("arm", "seed", "key", "status")}
    columns = zip(*(metrics.get(name, []) for name in NORMS), strict=True)
    return [names | {"epoch": e} | dict(zip(NORMS, values, strict=True)) for e, values in enumerate(columns)]

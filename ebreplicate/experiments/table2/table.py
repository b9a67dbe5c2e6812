"""Table of Table 2, from the records of its runs."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from ebreplicate.experiments.common.experiment import NOT_RUN
from ebreplicate.experiments.common.rows import accuracies
from ebreplicate.experiments.table2.cells import METRICS, printed
from ebreplicate.experiments.table2.runs import BASELINES, BLOCKS, CONTROLS, DENSE, EB_TRAIN, IMPROVEMENT, Place, rows
from ebreplicate.specs.fields import Spec
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Retrain, Sparse, key
from ebreplicate.store.store import Store

UNIT = 5e13
"""Table 2 prints FLOPs in units of 0.05 P."""

COLUMNS = ["model", "dataset", "method", "group", "ratio", "seed", "status", "epoch", "epochs", "last_accuracy"]
COLUMNS += ["best_accuracy", "unseen_accuracy", "swa_accuracy"]
COLUMNS += ["training_flops", "training_pflop", "training_units", "flops_ratio"]
COLUMNS += ["energy_measured_kj", "energy_source", "energy_modelled_kj", "energy_modelled_ratio"]
COLUMNS += ["published_accuracy", "published_flops_units", "published_energy_kj"]
COLUMNS += ["accuracy_improvement", "flops_improvement", "energy_improvement", "key", "derived_from"]

NUMBERS = ["last_accuracy", "best_accuracy", "swa_accuracy"]
NUMBERS += ["training_flops", "energy_measured_kj", "energy_modelled_kj"]

IMPROVEMENTS = ("accuracy_improvement", "flops_improvement", "energy_improvement")


def total_flops(spec: Spec, ledger: dict[str, Any], epochs: int) -> float | None:
    """Training FLOPs as the paper counts them, search included: a mask over single weights saves nothing."""
    if not isinstance(spec, Sparse):
        total: float | None = ledger.get("training_flops", {}).get("authors")
        return total
    forward: dict[str, float] | None = ledger.get("forward_flops")
    return 3 * forward["authors"] * spec.train_images * epochs if forward else None


def _row(spec: Spec, store: Store, **names: Any) -> dict[str, Any]:
    from ebreplicate.cost import energy

    row = {**names, "key": key(spec), "group": "control" if names["method"] in CONTROLS else "paper"}
    if isinstance(spec, Retrain) and (drawn := store.read(spec.ticket)):
        row["epoch"] = drawn["metrics"]["epoch"]
    record = store.read(spec)
    if record is None:
        return {**row, "status": NOT_RUN}
    row |= {"status": record["status"], "epochs": record["metrics"]["epochs"], **accuracies(record)}
    joules, source = energy.measured(spec, store)
    model = energy.modelled(spec, store)
    return {
        **row,
        "swa_accuracy": record["metrics"].get("swa_accuracy"),
        "training_flops": total_flops(spec, record["cost"], record["metrics"]["epochs"]),
        "energy_measured_kj": None if joules is None else joules / 1e3,
        "energy_source": source,
        "energy_modelled_kj": None if model is None else model / 1e3,
    }


def _improvement(names: dict[str, Any], group: Any) -> dict[str, Any]:
    """The paper's last row, recomputed: EB Train's accuracy minus the best baseline's, and SNIP's cost over the
    smallest of EB Train's variants (FLOPs) and over LL's (energy, modelled)."""
    accuracy, flops, joules = (
        {m: float(v) for m, v in zip(group.method, group[c], strict=True) if not math.isnan(v)}
        for c in ("best_accuracy", "training_flops", "energy_modelled_kj")
    )
    row = {**names, "method": IMPROVEMENT, "group": "derived", "status": NOT_RUN}
    row["key"] = group.key.iloc[0]
    row["derived_from"] = " ".join(group.key[group.status == "ok"])
    if "EB Train" in accuracy and all(b in accuracy for b in BASELINES):
        row["accuracy_improvement"] = accuracy["EB Train"] - max(accuracy[b] for b in BASELINES)
    if "SNIP" in flops and (ours := [flops[m] for m in EB_TRAIN if m in flops]):
        row["flops_improvement"] = flops["SNIP"] / min(ours)
    if "SNIP" in joules and "EB Train (LL)" in joules:
        row["energy_improvement"] = joules["SNIP"] / joules["EB Train (LL)"]
    return row | ({"status": "ok"} if any(name in row for name in IMPROVEMENTS) else {})


def table(scale: Scale, store: Store, blocks: Sequence[Place] = BLOCKS) -> Any:
    """One row a (block, method, ratio, seed), and the derived row of improvements where its methods are run."""
    names = ("dataset", "model", "method", "ratio", "seed")
    found = [_row(run[-1], store, **dict(zip(names, run[:-1], strict=True))) for run in rows(scale, blocks)]
    table = pd.DataFrame(found).reindex(columns=COLUMNS)
    table[NUMBERS] = table[NUMBERS].astype(float)
    group = ["dataset", "model", "ratio", "seed"]
    tickets = table[table.method != DENSE].groupby(group, sort=False)
    whole = [(k, of) for k, of in tickets if {*BASELINES, *EB_TRAIN} <= set(of.method)]
    derived = [_improvement(dict(zip(group, k, strict=True)), of) for k, of in whole]
    return _beside(pd.DataFrame([*table.to_dict("records"), *derived]).reindex(columns=COLUMNS))


def _beside(table: pd.DataFrame) -> Any:
    """Units, ratios to the unpruned network of the same block and seed, and the paper's cells."""
    table["training_pflop"] = table.training_flops / 1e15
    table["training_units"] = table.training_flops / UNIT
    dense = table[table.method == DENSE].set_index(["dataset", "model", "seed"])
    for column, ratio in (("training_flops", "flops_ratio"), ("energy_modelled_kj", "energy_modelled_ratio")):
        whole = [dense[column].get(k, math.nan) for k in zip(table.dataset, table.model, table.seed, strict=True)]
        table[ratio] = table[column] / whole
    blocks = {block: printed(*block) for block in BLOCKS}
    for metric, column in METRICS.items():
        names = zip(table.dataset, table.model, table.method, table.ratio, strict=True)
        table[column] = [blocks[d, m].get((method, round(r, 4), metric), math.nan) for d, m, method, r in names]
    return table

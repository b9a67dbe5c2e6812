"""Table of Table 3, from the records of its runs."""

from typing import Any

import pandas as pd

from ebreplicate.experiments.common.experiment import NOT_RUN
from ebreplicate.experiments.common.rows import accuracies
from ebreplicate.experiments.table3.runs import DATASET, METHODS, RATIOS, UNPRUNED, grid_of, runs_of
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Retrain, Search, Ticket, key
from ebreplicate.store.store import Store

COLUMNS = ["model", "dataset", "method", "ratio", "epoch", "seed", "status", "last_accuracy", "best_accuracy"]
COLUMNS += ["last_top5", "best_top5", "best_epoch", "last_delta", "training_flops", "flops_ratio", "forward_flops"]
COLUMNS += ["energy_measured_kj", "energy_source", "seconds", "key"]


def _row(spec: Search | Retrain | Ticket, store: Store) -> dict[str, Any]:
    """Accuracies, cost and draw epoch of one row; a softly pruned network was last evaluated by its own search."""
    from ebreplicate.cost import energy

    drawn = store.read(spec.ticket if isinstance(spec, Retrain) else spec) if not isinstance(spec, Search) else None
    trained = store.read(spec.search if isinstance(spec, Ticket) else spec)
    row: dict[str, Any] = {"key": key(spec), "status": NOT_RUN}
    if drawn is not None:
        row |= {"epoch": drawn["metrics"]["epoch"]}
    if trained is None or (drawn is None and not isinstance(spec, Search)):
        return row
    metrics, cost = trained["metrics"], trained["cost"]
    row |= {"status": trained["status"], "seconds": cost.get("seconds")}
    row |= accuracies(trained)
    if trained["status"] != "ok":
        return row
    row |= {name: metrics.get(name) for name in ("last_top5", "best_top5", "best_epoch")}
    joules, source = energy.measured(spec.search if isinstance(spec, Ticket) else spec, store)
    row |= {"energy_measured_kj": None if joules is None else joules / 1e3, "energy_source": source}
    forward = (drawn or trained)["cost"].get("forward_flops", {})
    return row | {"training_flops": cost["training_flops"]["authors"], "forward_flops": forward.get("authors")}


def _beside(row: dict[str, Any], dense: dict[str, Any]) -> dict[str, float]:
    """Accuracy minus, and training FLOPs over, those of the unpruned network; nothing where one has none."""
    if row.get("last_accuracy") is None or dense.get("last_accuracy") is None:
        return {}
    return {
        "last_delta": row["last_accuracy"] - dense["last_accuracy"],
        "flops_ratio": row["training_flops"] / dense["training_flops"],
    }


def table(scale: Scale, store: Store) -> pd.DataFrame:
    """One row a network, method, ratio and seed; `last_delta` and `flops_ratio` are against the same seed's
    unpruned network."""
    rows = []
    for model in RATIOS:
        for seed in scale.chosen(grid_of(scale).seeds):
            found = {name: _row(spec, store) for name, spec in runs_of(scale, model, seed).items()}
            dense = found[UNPRUNED, 0.0]
            for (method, ratio), row in sorted(found.items(), key=lambda item: METHODS.index(item[0][0])):
                names = {"model": model, "dataset": DATASET, "method": method, "ratio": ratio, "seed": seed}
                rows.append({**names, **row, **_beside(row, dense)})
    return pd.DataFrame(rows).reindex(columns=COLUMNS)

"""Table of the detector study, from the records of its runs."""

from typing import Any

import pandas as pd

from ebreplicate.experiments.common.panels import panels
from ebreplicate.experiments.common.rows import COLUMNS, retrain_row
from ebreplicate.experiments.detector.runs import RULES, Grid, eb_train, emergence_retrain
from ebreplicate.experiments.fig1.runs import ratios_of, retrains
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Retrain, key
from ebreplicate.store.store import Store


def table(scale: Scale, store: Store) -> pd.DataFrame:
    """One row a (panel, ratio, seed): the three emergence epochs, accuracy there, and Figure 1's grid beside."""
    rows = []
    whole = scale.grid("detector_study", Grid).at_emergence
    for dataset, model in panels(scale):
        for seed in scale.seeds_for(model):
            grid = retrains(scale, dataset, model, seed)
            for ratio in ratios_of(scale, dataset, model):
                spec = (emergence_retrain if whole else eb_train)(scale, dataset, model, ratio, seed)
                row = retrain_row(spec, store, draw="eb", model=model, dataset=dataset)
                if not whole:  # the row stands for EB Train, whose accuracy has a column of its own
                    row |= {"last_accuracy": None, "best_accuracy": None}
                drawn = store.read(spec.ticket)
                emergence = drawn["metrics"]["emergence"] if drawn else {}
                row |= {f"emergence_{rule}": emergence.get(rule) for rule in RULES}
                row |= {"emergence_known": drawn is not None, "draw_key": key(spec.ticket)}
                row |= _grid(grid, ratio, store)
                row["first_decay"] = scale.recipe.milestones[0]
                row |= _eb_train_columns(scale, eb_train(scale, dataset, model, ratio, seed), store)
                rows.append(row)
    extra = [*(f"emergence_{r}" for r in RULES), "emergence_known", "best_draw", "best_draw_accuracy"]
    extra += ["final_draw_accuracy", "first_decay", "dense_accuracy", "eb_train_accuracy", "eb_train_flops_ratio"]
    extra += ["eb_train_key", "dense_key", "draw_key", "final_draw_key"]
    return pd.DataFrame(rows).reindex(columns=[*COLUMNS, *extra])


def _accuracy(record: dict[str, Any]) -> float:
    """Accuracy of the last epoch, on all unseen images where the scale evaluates them."""
    metrics = record["metrics"]
    return float(metrics.get("unseen_accuracy", metrics["last_accuracy"]))


def _eb_train_columns(scale: Scale, spec: Retrain, store: Store) -> dict[str, Any]:
    """EB Train beside the dense network it was found in: accuracies, and training FLOPs as a fraction of dense."""
    record, dense = store.read(spec), store.read(spec.ticket.search)
    out: dict[str, Any] = {"eb_train_key": key(spec), "dense_key": key(spec.ticket.search)}
    if dense and dense["status"] == "ok":
        out["dense_accuracy"] = _accuracy(dense)
    if record and dense and record["status"] == "ok":
        total, whole = (r["cost"]["training_flops"]["authors"] for r in (record, dense))
        out |= {"eb_train_accuracy": _accuracy(record), "eb_train_flops_ratio": total / whole}
    return out


def _grid(grid: dict[tuple[float, str], Retrain], ratio: float, store: Store) -> dict[str, Any]:
    """Best and final draw of Figure 1's grid at this ratio and seed."""
    found = {}
    for (r, draw), spec in grid.items():
        record = store.read(spec) if r == ratio and draw != "best" else None
        if record and record["status"] == "ok":
            found[draw] = record["metrics"]["last_accuracy"]
    if not found:
        return {}
    best = max(found, key=lambda d: found[d])
    final = {"final_draw_accuracy": found["160"], "final_draw_key": key(grid[ratio, "160"])} if "160" in found else {}
    return {"best_draw": best, "best_draw_accuracy": found[best], **final}

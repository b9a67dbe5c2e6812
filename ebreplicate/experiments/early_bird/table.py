"""Records of the runs behind the claims to a tidy table: one row a run, then one a contrast and seed."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from ebreplicate.experiments.common.experiment import NOT_RUN
from ebreplicate.experiments.early_bird import contrasts
from ebreplicate.experiments.early_bird.runs import DATASET, EB_TRAIN, Planned, planned
from ebreplicate.specs.graph import search_of
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Retrain, Sparse, key

if TYPE_CHECKING:
    from ebreplicate.store.store import Store

COLUMNS = ["model", "dataset", "ratio", "arm", "seed", "status", "unseen_accuracy", "official_accuracy"]
COLUMNS += ["last_accuracy", "best_accuracy", "epoch", "emergence", "emergence_steps", "forward_share"]
COLUMNS += ["training_flops", "narrowest"]
COLUMNS += ["empty_layers", "seconds", "key", "search_key", "draw_key"]
COLUMNS += ["claim", "part", "images", "difference", "image_count", "products"]


def table(scale: Scale, store: "Store") -> pd.DataFrame:
    """One row a run; then one a contrast, part of it, set of images and seed, with the status "contrast".

    Accuracies in percent: of all unseen images, of the whole test set, and (last and best epoch) of the test images of
    the learning curve. `emergence`, `emergence_steps`: where the detector fired, in percent of the search and in
    optimiser steps. `forward_share`: forward FLOPs over those of the dense network. `narrowest`: channels of the
    narrowest prunable layer.

    Of a contrast: `difference` in points; `products`, the means over images of its difference times that of each seed
    of the same contrast, in their order (points squared), from which the interval follows; `key`, those of its runs.
    """
    rows = [_row(run, store) for run in planned(scale)]
    return pd.DataFrame([*rows, *contrasts.rows(scale, store, rows)]).reindex(columns=COLUMNS)


def _row(run: Planned, store: "Store") -> dict[str, Any]:
    spec, search = run.spec, search_of(run.spec)
    row = {**run._asdict(), "dataset": DATASET, "key": key(spec), "search_key": key(search), "status": NOT_RUN}
    if isinstance(spec, Retrain):
        row |= _drawn(run, store)
    record = store.read(spec)
    if record is None:
        return row
    metrics, cost = record["metrics"], record["cost"]
    row |= {"status": record["status"], "seconds": cost.get("seconds")}
    row |= {n: metrics.get(n) for n in ("unseen_accuracy", "official_accuracy", "last_accuracy", "best_accuracy")}
    row |= {n: metrics.get(n) for n in ("unseen_images", "official_images")}
    row["training_flops"] = cost.get("training_flops", {}).get("authors")
    if isinstance(spec, Sparse):
        row["forward_share"] = cost.get("relative_forward", {}).get("authors")
    elif not isinstance(spec, Retrain):
        row["forward_share"] = 1.0
    return row


def _drawn(run: Planned, store: "Store") -> dict[str, Any]:
    """What the draw of a retrain says of its ticket."""
    assert isinstance(run.spec, Retrain)
    ticket = run.spec.ticket
    draw_key = {"draw_key": key(ticket)}
    drawn, searched = store.read(ticket), store.read(ticket.search)
    if drawn is None or searched is None:
        return draw_key
    metrics, epochs = drawn["metrics"], ticket.search.recipe.epochs
    row = draw_key | {"epoch": metrics["epoch"], "empty_layers": metrics.get("empty_layers")}
    if run.arm == EB_TRAIN and searched["status"] == "ok":
        emerged = epochs if metrics["epoch"] is None else metrics["epoch"]
        steps = -(-ticket.search.train_images // ticket.search.recipe.batch_size)
        row |= {"emergence": 100 * emerged / epochs, "emergence_steps": emerged * steps}
    if "channels" in metrics:
        row["narrowest"] = min(metrics["channels"])
    small, dense = (r["cost"].get("forward_flops", {}).get("authors") for r in (drawn, searched))
    return row | ({"forward_share": small / dense} if small and dense else {})

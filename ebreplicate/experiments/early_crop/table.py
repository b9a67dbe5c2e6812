"""Records to the table: rows of trainings, of firing epochs, of one search's indicators, and of contrasts."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from ebreplicate.errors import UserError
from ebreplicate.experiments.common import compared
from ebreplicate.experiments.common.arms import Planned
from ebreplicate.experiments.common.experiment import NOT_RUN
from ebreplicate.experiments.common.rows import accuracies
from ebreplicate.experiments.early_crop.claims import COMPARED, FIRES_EARLIER
from ebreplicate.experiments.early_crop.runs import DATASET, MODEL, RULE, RULES, grid_of, planned, seeds_of
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Retrain, Search, Sparse, key

if TYPE_CHECKING:
    from ebreplicate.store.store import Store

COLUMNS = ["arm", "rule", "ratio", "seed", "status", "epoch", "fires", "last_accuracy", "best_accuracy"]
COLUMNS += ["unseen_accuracy", "official_accuracy", "training_flops", "forward_share", "parameters", "narrowest"]
COLUMNS += ["empty_layers", "seconds", "distance", "epi", "growth_code", "growth_paper"]
COLUMNS += ["claim", "images", "difference", "image_count", "products", "key"]
CURVE, FIRES = "curve", "fires"
"""Values of the column `arm` of rows that are no training: an epoch of one search, and where a rule fires."""


def table(scale: Scale, store: "Store") -> pd.DataFrame:
    """One row a training, a rule with its ratio and seed, an epoch of the first seed's search, a contrast and seed."""
    grid, trained = grid_of(scale), [training(run, store) for run in planned(scale)]
    rows = list(trained)
    firing = list[dict[str, Any]]()
    for i, seed in enumerate(seeds_of(scale)):
        search = scale.search(MODEL, DATASET, seed)
        curve, fired = indicators(search, store, grid.ratio, grid.ratios)
        firing += fired
        rows += curve if i == 0 else []
    rows += [*firing, *compared.rows(COMPARED, trained, store), *_earlier(firing, scale)]
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def training(run: Planned, store: "Store") -> dict[str, Any]:
    """Row of a training, with what its draw says of the pruned network."""
    spec = run.spec
    row: dict[str, Any] = {**run._asdict(), "key": key(spec), "status": NOT_RUN}
    record = store.read(spec)
    drawn = store.read(spec.ticket) if isinstance(spec, Retrain) else None
    if isinstance(spec, Retrain):
        row["ratio"] = spec.ticket.ratio
    if drawn is not None:
        metrics = drawn["metrics"]
        row |= {name: metrics.get(name) for name in ("epoch", "empty_layers", "parameters")}
        row["narrowest"] = min(metrics["channels"]) if "channels" in metrics else None
    if record is None:
        return row
    metrics, cost = record["metrics"], record["cost"]
    row |= {"status": record["status"], **accuracies(record), "seconds": cost.get("seconds")}
    row |= {n: metrics.get(n) for n in ("official_accuracy", "unseen_images")}
    row["training_flops"] = cost.get("training_flops", {}).get("authors")
    if isinstance(spec, Sparse):
        row["parameters"] = metrics.get("nnz")
    small = (drawn or {}).get("cost", {}).get("forward_flops", {}).get("authors")
    dense = store.read(spec.ticket.search) if isinstance(spec, Retrain) else None
    if small and dense and dense["cost"].get("forward_flops"):
        row["forward_share"] = small / dense["cost"]["forward_flops"]["authors"]
    return row


def indicators(
    search: Search, store: "Store", ratio: float, ratios: tuple[float, ...]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of a search's indicators after every epoch, at `ratio`, and of the epochs where its rules fire, at `ratios`.

    Of a rule that never fires, `fires` is empty and the status "ok"; "not run" where what it asks was not recorded.
    """
    record = store.read(search)
    names = {"seed": search.seed, "key": key(search)}
    blank = [{**names, "arm": FIRES, "rule": rule, "ratio": r, "status": NOT_RUN} for r in ratios for rule in RULES]
    if record is None or record["status"] != "ok":
        return [], blank
    from ebreplicate.pruning.displacement import growth
    from ebreplicate.runner.inputs import load_displacement, load_scores

    try:
        scores = load_scores(search, store)
        moved = load_displacement(search, store)
    except UserError:  # finished before anybody asked for the displacement, which the next draw makes
        return [], blank
    widths = record["metrics"].get("bn_widths", [])
    rows = [row | {"status": "ok", "fires": _fires(scores, moved, widths, row)} for row in blank]
    measured = _masks(scores, ratio, widths) if widths else [{}] * len(moved)
    grown = zip(growth(moved, RULE), growth(moved, "crop"), strict=True)
    curve = [
        {**names, "arm": CURVE, "status": "ok", "ratio": ratio, "epoch": e, "growth_code": c, "growth_paper": p} | more
        for e, ((c, p), more) in enumerate(zip(grown, measured, strict=True))
    ]
    return curve, rows


def _masks(scores: Any, ratio: float, widths: list[int]) -> list[dict[str, Any]]:
    """Mask distance (largest to the four masks before) and EPI after every epoch."""
    from ebreplicate.pruning.indicator import indicator
    from ebreplicate.pruning.masks import distance_matrix, epoch_masks

    apart = distance_matrix(epoch_masks(scores, ratio)).numpy().round(4)
    distances = [apart[e, e - 4 : e].max() if e >= 4 else math.nan for e in range(len(apart))]
    values = [math.nan if v is None else round(v, 6) for v in indicator(scores, ratio, widths)]
    return [{"distance": d, "epi": v} for d, v in zip(distances, values, strict=True)]


def _fires(scores: Any, moved: Any, widths: list[int], row: dict[str, Any]) -> int | None:
    """Epoch at which the rule of a row fires at its ratio; None: never. Without channels, for masks over weights."""
    from ebreplicate.pruning.displacement import displacement_epoch
    from ebreplicate.pruning.earlybird import emergence_epoch
    from ebreplicate.pruning.indicator import epi_epoch

    rule, ratio = row["rule"], row["ratio"]
    if rule in ("eb", "epi"):
        if not widths:
            return None
        return emergence_epoch(scores, ratio) if rule == "eb" else epi_epoch(scores, ratio, widths)
    return displacement_epoch(moved, ratio, rule, over_weights=not widths)


def _earlier(firing: list[dict[str, Any]], scale: Scale) -> Iterator[dict[str, Any]]:
    """How much earlier EarlyCroP's rule fires than the mask distance, in percent of training: mean of ratios, by seed.

    One that never fires counts as the end of the search.
    """
    end = scale.recipe.epochs
    for seed in sorted({row["seed"] for row in firing if row["status"] == "ok"}):
        epochs = {
            rule: [end if r["fires"] is None else r["fires"] for r in firing if r["seed"] == seed and r["rule"] == rule]
            for rule in ("eb", RULE)
        }
        eb, crop = (sum(found) / len(found) for found in epochs.values())
        keys = " ".join({row["key"] for row in firing if row["seed"] == seed})
        names = {"claim": FIRES_EARLIER, "images": "", "seed": seed, "status": compared.CONTRAST, "key": keys}
        yield names | {"difference": 100 * (eb - crop) / end}

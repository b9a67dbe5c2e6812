"""Table of the pruning indicators, from the records of its runs."""

import math
from typing import Any

import pandas as pd

from ebreplicate.errors import UserError
from ebreplicate.experiments.common.rows import COLUMNS, retrain_row
from ebreplicate.experiments.when_to_prune.runs import METHODS, retrains, seeds_of, series, where_of
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Search, key
from ebreplicate.store.store import Store


def table(scale: Scale, store: Store) -> pd.DataFrame:
    """One row a retrain; for the first seed also one an epoch (draw "curve") with the two indicators.

    `fires`: epoch at which the indicator of the row fires in the stored scores, whether or not it was drawn there;
    nan with `scores_known` true: never.
    """
    rows: list[dict[str, Any]] = []
    for one in series(scale):
        names = where_of(one)
        for seed in seeds_of(scale):
            search = scale.search(one[1], one[0], seed)
            curves, fires = _indicators(search, store, one[2], one[3])
            for (draw, schedule), spec in retrains(scale, one, seed).items():
                row = retrain_row(spec, store, **names, draw=draw, schedule=schedule)
                seen = {"fires": fires.get(draw), "scores_known": bool(fires), "search_key": key(search)}
                rows.append({**row, **seen})
            if seed == scale.seeds[0]:
                common = {**names, "draw": "curve", "seed": seed, "status": "ok", "key": key(search)}
                rows += [{**common, **point} for point in curves]
    return pd.DataFrame(rows).reindex(columns=[*COLUMNS, *INDICATORS])


INDICATORS = ["importance", "fires", "scores_known", "search_key", "distance", "epi"]


def _indicators(
    search: Search, store: Store, ratio: float, importance: str
) -> tuple[list[dict[str, Any]], dict[str, int | None]]:
    """Both indicators after every epoch, and where they fire; empty where the search or its scores are not there."""
    record = store.read(search)
    if record is None or record["status"] != "ok" or "bn_widths" not in record["metrics"]:
        return [], {}
    from ebreplicate.pruning.earlybird import emergence_epoch
    from ebreplicate.pruning.indicator import first_firing, indicator, threshold_of
    from ebreplicate.pruning.masks import distance_matrix, epoch_masks
    from ebreplicate.runner.inputs import load_scores, load_taylor

    try:
        scores = (load_taylor if importance == "taylor" else load_scores)(search, store)
    except UserError:  # a search finished without Taylor scores: not run, as the table says
        return [], {}
    values = indicator(scores, ratio, record["metrics"]["bn_widths"])
    apart = distance_matrix(epoch_masks(scores, ratio)).numpy().round(4)
    curves = [
        {
            "epoch": e,
            "distance": apart[e, e - 4 : e].max() if e >= 4 else math.nan,
            "epi": math.nan if value is None else round(value, 6),
        }
        for e, value in enumerate(values)
        if e >= 1
    ]
    threshold = threshold_of(METHODS[importance])
    return curves, {"eb": emergence_epoch(scores, ratio), "epi": first_firing(values[:-1], threshold)}

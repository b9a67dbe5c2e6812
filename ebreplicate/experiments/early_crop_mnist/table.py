"""Records to the table: rows of trainings, of firing epochs, of one search's indicators, and of contrasts."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from ebreplicate.experiments.common import compared
from ebreplicate.experiments.early_crop.runs import DENSE
from ebreplicate.experiments.early_crop.table import COLUMNS, indicators, training
from ebreplicate.experiments.early_crop_mnist.claims import COMPARED
from ebreplicate.experiments.early_crop_mnist.runs import grid_of, planned
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Search

if TYPE_CHECKING:
    from ebreplicate.store.store import Store


def table(scale: Scale, store: "Store") -> pd.DataFrame:
    """One row a training, a rule and seed, an epoch of the first seed's dense training, a contrast and seed."""
    runs, ratio = planned(scale), grid_of(scale).ratio
    trained = [training(run, store) for run in runs]
    rows: list[dict[str, Any]] = list(trained)
    searches = [run.spec for run in runs if run.arm == DENSE and isinstance(run.spec, Search)]
    for i, search in enumerate(searches):
        curve, fired = indicators(search, store, ratio, (ratio,))
        rows += [
            row for row in fired if row["rule"] not in ("eb", "epi")
        ]  # which ask batch norms, of which it has none
        rows += curve if i == 0 else []
    return pd.DataFrame([*rows, *compared.rows(COMPARED, trained, store)]).reindex(columns=COLUMNS)

"""Table of Figure 2, from the records of its runs."""

from typing import Any

import pandas as pd

from ebreplicate.experiments.common.rows import COLUMNS, retrain_row, search_row
from ebreplicate.experiments.fig2.runs import grid_of, retrain, searches, tickets
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Ticket
from ebreplicate.store.store import Store

EXTRA = ["precision", "emergence", "tied_channels", "mask_distance", "seed_distance", "chance"]


def table(scale: Scale, store: Store) -> pd.DataFrame:
    """One row a search (draw "dense") and one a retrain, with its mask's distances."""
    grid, rows = grid_of(scale), []
    for dataset, model, ratios in grid.panels():
        seeds = sorted({*scale.seeds[: grid.seeds], *scale.seeds_for(model)})
        reference = {s: tickets(scale, scale.search(model, dataset, s), ratios) for s in seeds}
        for seed in scale.seeds[: grid.seeds]:
            for precision, search in searches(scale, dataset, model, seed).items():
                names = {"model": model, "dataset": dataset, "precision": precision}
                rows.append(search_row(search, store, draw="dense", **names))
                for at, ticket in tickets(scale, search, ratios).items():
                    row = retrain_row(retrain(scale, ticket), store, draw=str(at[1]), **names)
                    rows.append(row | _drawn(ticket, store) | {"chance": 2 * at[0] * (1 - at[0])})
                    if precision == scale.precision:
                        others = [reference[s][at] for s in seeds if s != seed]
                        rows[-1]["seed_distance"] = _distance(ticket, others, store)
                    else:
                        rows[-1]["mask_distance"] = _distance(ticket, [reference[seed][at]], store)
    return pd.DataFrame(rows).reindex(columns=[*COLUMNS, *EXTRA])


def _drawn(ticket: Ticket, store: Store) -> dict[str, Any]:
    record = store.read(ticket)
    if record is None:
        return {}
    metrics = record["metrics"]
    return {"emergence": metrics["emergence"]["authors"], "tied_channels": metrics.get("tied_channels")}


def _mask(ticket: Ticket, store: Store) -> Any:
    """Packed mask that a draw left; None if there is none."""
    return store.part(ticket, "mask.npy", axes=1) if (store.folder(ticket) / "mask.npy").is_file() else None


def _distance(ticket: Ticket, others: list[Ticket], store: Store) -> float | None:
    """Mean mask distance of a ticket to others: differing bits over the channels of the search."""
    import numpy as np

    searched = store.read(ticket.search)
    mask, masks = _mask(ticket, store), [m for m in (_mask(t, store) for t in others) if m is not None]
    if searched is None or mask is None or not masks:
        return None
    bits = [int(np.unpackbits(mask ^ m).sum()) for m in masks]  # packing pads both masks with zeros
    channels: int = searched["metrics"]["bn_channels"]
    return round(sum(bits) / len(bits) / channels, 4)

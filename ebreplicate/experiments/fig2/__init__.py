"""Figure 2, low precision: tickets searched for in eight bits and retrained in full precision.

Beside the paper's question (do they retrain as well?) ours: does the ticket found in eight bits differ, and how far?
The searches of one seed share initialisation and batches, so their masks differ by the rounding alone; the distance
between masks of two full-precision seeds is the yardstick.
"""

import math
from typing import Any

from ebreplicate.catalog import TITLES
from ebreplicate.experiments.common.experiment import Cell, Claim, Experiment
from ebreplicate.experiments.common.rows import COLUMNS, by_seed, interval, retrain_row, search_row
from ebreplicate.experiments.fig2.claims import all_claims
from ebreplicate.experiments.fig2.runs import grid_of, retrain, searches, tickets, where_of
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Spec, Ticket

NOT_FOUND = "Fig. 2: not found (docs/paper.md)"
EXTRA = ["precision", "emergence", "tied_channels", "mask_distance", "seed_distance", "chance"]


class Fig2(Experiment):
    """Panels x precisions x ratios x draws."""

    def runs(self, scale: Scale) -> list[Spec]:
        """Searches and retrains of every precision; of further seeds, full-precision tickets for the yardstick."""
        grid, out = grid_of(scale), list[Spec]()
        for seed in scale.seeds[: grid.seeds]:
            for dataset, model, ratios in grid.panels():
                for search in searches(scale, dataset, model, seed).values():
                    found = tickets(scale, search, ratios).values()
                    out += [search, *(retrain(scale, t) for t in found)]
        for dataset, model, ratios in grid.panels():
            for seed in scale.seeds_for(model)[grid.seeds :] if grid.seeds else ():
                out += tickets(scale, scale.search(model, dataset, seed), ratios).values()
        return out

    def table(self, scale: Scale, store: Any) -> Any:
        """One row a search (draw "dense") and one a retrain, with its mask's distances."""
        import pandas as pd

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

    def figure(self, scale: Scale, table: Any) -> Any:
        """Retrain accuracy against the draw epoch, a line a precision; below, how far the masks are apart."""
        from ebreplicate.experiments.fig2.plot import draw

        return draw(scale, table)

    def cells(self, scale: Scale, table: Any) -> list[Cell]:
        """A cell a point; the printed figure was not found, so the paper's side is blank."""
        return [
            Cell(
                f"{TITLES[model]} {TITLES[dataset]}: {p} search, ratio {ratio:g}, draw {draw}",
                math.nan,
                interval(by_seed(table, "best_accuracy", **where_of(dataset, model, p, ratio, draw))),
                "%",
                NOT_FOUND,
                "best epoch on test",
            )
            for dataset, model, ratios in grid_of(scale).panels()
            for p in grid_of(scale).precisions
            for ratio in ratios
            for draw in grid_of(scale).draws
        ]

    def claims(self, scale: Scale, table: Any) -> list[Claim]:
        """For each eight-bit format: as good as full precision, early as good as late, near the same ticket."""
        return all_claims(scale, table)


def _drawn(ticket: Ticket, store: Any) -> dict[str, Any]:
    record = store.read(ticket)
    if record is None:
        return {}
    metrics = record["metrics"]
    return {"emergence": metrics["emergence"]["authors"], "tied_channels": metrics.get("tied_channels")}


def _mask(ticket: Ticket, store: Any) -> Any:
    """Packed mask that a draw left; None if there is none."""
    return store.part(ticket, "mask.npy", axes=1) if (store.folder(ticket) / "mask.npy").is_file() else None


def _distance(ticket: Ticket, others: list[Ticket], store: Any) -> float | None:
    """Mean mask distance of a ticket to others: differing bits over the channels of the search."""
    import numpy as np

    searched = store.read(ticket.search)
    mask, masks = _mask(ticket, store), [m for m in (_mask(t, store) for t in others) if m is not None]
    if mask is None or not masks:
        return None
    bits = [int(np.unpackbits(mask ^ m).sum()) for m in masks]  # packing pads both masks with zeros
    return round(sum(bits) / len(bits) / searched["metrics"]["bn_channels"], 4)


EXPERIMENT = Fig2(
    item="fig2_low_precision",
    title="Figure 2: searching for tickets in eight bits",
    category="Paper figures",
    caption=(
        "The search for a ticket is run in eight bits: weights, gradients, activations and errors are rounded to 8-bit "
        "block floating point (the authors' code) or to FP8 (the paper's words), while the small network is trained in "
        "full precision. Upper rows: its test accuracy against the epoch the ticket was drawn at. Last row: how many "
        "of the network's channels the eight-bit ticket decides otherwise than the full-precision ticket of the same "
        "seed, beside the distance between two seeds and between random masks."
    ),
)

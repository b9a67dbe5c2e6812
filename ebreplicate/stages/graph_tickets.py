"""Graph tickets: everything of one graph at one pair of ratios, in one record (GEBT)."""

import time
from pathlib import Path
from typing import Any

from ebreplicate.graphs import costs
from ebreplicate.graphs.data import load
from ebreplicate.graphs.tickets import run
from ebreplicate.runner.record import save_record
from ebreplicate.specs import spec as specs
from ebreplicate.store.store import Store


def graph_tickets(spec: specs.GraphTickets, store: Store, root: Path) -> dict[str, Any]:
    """Search, draw and retrain on the CPU; save accuracies by arm and draw, emergence, ties and cost.

    A run takes seconds: one that is interrupted begins again.
    """
    started, clock = time.time(), time.perf_counter()
    found = run(spec, load(spec.dataset, root))
    seconds = round(time.perf_counter() - clock, 3)
    status = "ok" if found.finite else "diverged"
    cost = {**costs.of_run(spec, found.metrics["epoch"]), "seconds": seconds}
    return save_record(spec, store, status, found.metrics, cost, started, history=found.history)

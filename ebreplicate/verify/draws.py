"""A draw against what it was drawn from: emergence, epoch, mask, channels, FLOPs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ebreplicate.catalog import DISPLACEMENT_DRAWS, NEEDS_WEIGHTS
from ebreplicate.specs.spec import Ticket, key
from ebreplicate.store.store import Store
from ebreplicate.verify.history import differences

NOWHERE = Path("nowhere")
"""A data root: no method that is checked here looks at images."""


def draw_problems(spec: Ticket, record: dict[str, Any], store: Store) -> Iterator[str]:
    """Draw again as far as that needs no weights, which are never committed; the rest follows from the mask."""
    from ebreplicate.pruning.channels import bn_widths
    from ebreplicate.pruning.weights import weight_counts
    from ebreplicate.runner.inputs import load_mask, load_rows, network
    from ebreplicate.stages.draw import context_of
    from ebreplicate.stages.tickets import draw_epoch, emergence, facts, ticket_mask

    found, folder = store.read(spec.after or spec.search), store.folder(spec.search)
    if found is None or not store.done(spec.search):
        yield f"what it was drawn from, {key(spec.after or spec.search)}, is not here"
        return
    if spec.method == "taylor" and not (folder / "taylor.npy").is_file():
        return
    if spec.at in DISPLACEMENT_DRAWS and not (folder / "displacement.npy").is_file():
        return
    metrics, rows = record["metrics"], load_rows(spec, store)
    fired = emergence(spec, rows)
    for line in differences(metrics["emergence"], fired, ", which is what the scores give"):
        yield f"emergence under {line}"
    epoch = draw_epoch(spec, found, fired)
    if metrics["epoch"] != epoch:
        yield f"epoch {metrics['epoch']} against {epoch}, which {spec.at!r} is"
        return
    if epoch is None:
        return
    dense = network(spec.search)
    length = sum(weight_counts(dense)) if spec.over_weights else sum(bn_widths(dense))
    mask = load_mask(spec, store, length)
    if spec.method not in NEEDS_WEIGHTS:
        again, counts = ticket_mask(spec, context_of(spec, rows, epoch, store, NOWHERE))
        if not again.equal(mask):
            yield f"mask.npy is not the mask of the scores at its epoch (method {spec.method})"
        yield from differences(metrics, counts, " of the scores")
    expected, ledger = facts(spec, dense, mask, found, epoch)
    yield from differences(metrics, expected, " of the mask")
    yield from differences(record["cost"], ledger, " of its network")

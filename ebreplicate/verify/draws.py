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
    from ebreplicate.pruning.surgery import bn_widths
    from ebreplicate.pruning.weights import weight_counts
    from ebreplicate.stages.draw import (
        channel_mask,
        context_of,
        detections,
        displacement_detections,
        draw_epoch,
        facts,
    )
    from ebreplicate.stages.inputs import load_displacement, load_mask, load_scores, load_taylor, network

    found = store.read(spec.after or spec.search)
    if found is None or not store.done(spec.search):
        yield f"what it was drawn from, {key(spec.after or spec.search)}, is not here"
        return
    metrics, scores = record["metrics"], load_scores(spec.search, store)
    taylor = spec.method == "taylor"
    if taylor and not (store.folder(spec.search) / "taylor.npy").is_file():
        return
    importance = load_taylor(spec.search, store) if taylor else scores
    emergence = detections(spec, importance)
    if spec.at in DISPLACEMENT_DRAWS:
        if not (store.folder(spec.search) / "displacement.npy").is_file():
            return
        emergence |= displacement_detections(spec, load_displacement(spec.search, store))
    for line in differences(metrics["emergence"], emergence, ", which is what the scores give"):
        yield f"emergence under {line}"
    epoch = draw_epoch(spec, found, emergence)
    if metrics["epoch"] != epoch:
        yield f"epoch {metrics['epoch']} against {epoch}, which {spec.at!r} is"
        return
    if epoch is None:
        return
    dense = network(spec.search)
    length = sum(weight_counts(dense)) if spec.over_weights else sum(bn_widths(dense))
    mask = load_mask(spec, store, length)
    if spec.method not in NEEDS_WEIGHTS:
        context = context_of(spec, store, NOWHERE, scores[epoch], importance[epoch] if taylor else None, epoch)
        again, rescued = channel_mask(spec, context)
        if not again.equal(mask):
            yield f"mask.npy is not the mask of the scores at its epoch (method {spec.method})"
        yield from differences(metrics, rescued, " of the scores")
    expected, ledger = facts(spec, dense, mask, found, epoch)
    yield from differences(metrics, expected, " of the mask")
    yield from differences(record["cost"], ledger, " of its network")

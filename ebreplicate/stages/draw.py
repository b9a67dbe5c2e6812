"""The draw: from a training's scores and weights to a mask, and the cost of finding its ticket."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ebreplicate.catalog import DISPLACEMENT_DRAWS, NEEDS_WEIGHTS
from ebreplicate.errors import UserError
from ebreplicate.pruning.channels import bn_widths
from ebreplicate.pruning.methods.base import DrawContext
from ebreplicate.pruning.weights import pack, weight_counts
from ebreplicate.runner.inputs import Rows, load_mask, load_rows, needed, network
from ebreplicate.runner.rebuild import have_rows, load_weights
from ebreplicate.runner.record import save_array, save_record
from ebreplicate.runner.samples import sampled_batches, sampled_images
from ebreplicate.specs import spec as specs
from ebreplicate.specs.keep import Keep
from ebreplicate.stages.tickets import draw_epoch, emergence, facts, ticket_mask
from ebreplicate.store import locks
from ebreplicate.store.store import Store
from ebreplicate.training.device import threads


def draw(
    spec: specs.Ticket, store: Store, root: Path = Path("data"), device: torch.device | str = "cpu"
) -> dict[str, Any]:
    """Draw a ticket from a search, or from the retrain of the previous round; save mask, facts and cost.

    On the CPU; a search that must be trained again for it, on `device` or in a slot of the one named so.

    A mask over channels makes a smaller network. One over weights leaves the dense network, and its cost on dense
    hardware, as it is; `sparse_forward_flops` counts the multiplications that are left.
    """
    started, began = time.time(), time.perf_counter()
    found = needed(spec.after or spec.search, store)
    rows = rows_for(spec, store, root, device)

    fired = emergence(spec, rows)
    epoch = draw_epoch(spec, found, fired)
    metrics: dict[str, Any] = {"epoch": epoch, "emergence": fired}
    ledger: dict[str, Any] = {}
    if epoch is not None:
        context = context_of(spec, rows, epoch, store, root, device)
        mask, counts = ticket_mask(spec, context)
        size, ledger = facts(spec, context.dense(), mask, found, epoch)
        metrics |= counts | size
        save_array(store.folder(spec) / "mask.npy", pack(mask))

    ledger["seconds"] = round(time.perf_counter() - began, 3)
    return save_record(spec, store, "ok" if epoch is not None else "no-ticket", metrics, ledger, started)


def rows_for(spec: specs.Ticket, store: Store, root: Path, device: torch.device | str) -> Rows:
    """The rows that a ticket is drawn by; the search is trained again for those that it did not record."""
    if spec.method == "taylor":
        have_rows("taylor", spec.search, store, root, device, Keep(taylor=True))
    if spec.at in DISPLACEMENT_DRAWS:
        fired = Keep(crop={f"{spec.at}:{spec.method}:{spec.ratio}"})
        have_rows("displacement", spec.search, store, root, device, fired)
    return load_rows(spec, store)


def context_of(
    spec: specs.Ticket, rows: Rows, epoch: int, store: Store, root: Path, device: torch.device | str = "cpu"
) -> DrawContext:
    """The inputs of a pruning method; the dense network has its weights only where the method needs them.

    Raises UserError for a method that the network does not take.
    """
    dense, previous = network(spec.search), None
    widths = bn_widths(dense)
    if not widths and not spec.over_weights:
        raise UserError(f"Ticket.method: {spec.method!r} prunes batch-norm channels; {spec.search.model} has none")
    if spec.method in NEEDS_WEIGHTS:
        load_weights(dense, spec.after or spec.search, epoch, store, root, device)
    if spec.after is not None:
        previous = load_mask(spec.after.ticket, store, sum(weight_counts(dense)))
    at = min(epoch, len(rows.scores) - 1)  # a later round's epochs are those of its retrain
    taylor = None if rows.taylor is None else rows.taylor[at]
    images, batches = partial(sampled_images, spec.search, root), partial(sampled_batches, spec.search, root)
    return DrawContext(rows.scores[at], widths, spec.ratio, spec.search.seed, dense, previous, taylor, images, batches)


def have_drawn(spec: specs.Ticket, store: Store, root: Path, device: str = "cpu") -> None:
    """Draw `spec`, unless that was done; of several processes that want it, one draws and the others wait (or raise
    Busy: `Store.patient`).

    On one thread, as the command `draw` does, because a mask must not depend on who asked for it.
    """
    if store.done(spec):
        return
    with store.claim(spec, wait=store.patient) as mine:
        if not mine:
            raise locks.Busy(store.folder(spec))
        if not store.done(spec):
            with threads(1):
                draw(spec, store, root, device)

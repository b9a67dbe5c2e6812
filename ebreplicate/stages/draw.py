"""The draw: from a training's scores and weights to a mask, and the cost of finding its ticket."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ebreplicate import cost
from ebreplicate.catalog import DISPLACEMENT_DRAWS, GRADIENT_FLOW_METHODS, METHODS, NEEDS_WEIGHTS
from ebreplicate.data import arrays as datasets
from ebreplicate.errors import UserError
from ebreplicate.pruning.displacement import displacement_epoch
from ebreplicate.pruning.earlybird import RULES, emergence_epoch
from ebreplicate.pruning.indicator import epi_epoch, threshold_of
from ebreplicate.pruning.masks import rescue_empty_layers, tied
from ebreplicate.pruning.methods.base import DrawContext
from ebreplicate.pruning.methods.crop import BATCH_SIZE, BATCHES, PASSES, sparsities
from ebreplicate.pruning.surgery import bn_widths, kept_channels, split_mask
from ebreplicate.pruning.weights import density, pack, split_weights, weight_counts
from ebreplicate.specs import spec as specs
from ebreplicate.specs.keep import Keep
from ebreplicate.stages.inputs import (
    load_data,
    load_displacement,
    load_mask,
    load_scores,
    load_taylor,
    needed,
    network,
    shape,
)
from ebreplicate.stages.rebuild import have_rows, load_weights
from ebreplicate.stages.record import save_array, save_record
from ebreplicate.store import locks
from ebreplicate.store.store import Store
from ebreplicate.training.device import threads


def draw_epoch(spec: specs.Ticket, found: dict[str, Any], emergence: dict[str, int | None]) -> int | None:
    """Resolve `at` to an epoch of the search or retrain; None if there is no ticket to draw."""
    if spec.at in ("eb", "epi", *DISPLACEMENT_DRAWS):
        epoch = emergence["authors" if spec.at == "eb" else str(spec.at)]
    elif spec.at == "best":
        epoch = found["metrics"]["best_epoch"]
    else:
        epoch = int(spec.at)
    first = 0 if spec.at == 0 else 1
    usable = epoch is not None and first <= epoch <= found["metrics"]["epochs"] and found["status"] == "ok"
    return epoch if usable else None


def detections(spec: specs.Ticket, importance: Tensor) -> dict[str, int | None]:
    """Epoch at which each detector fires on the importance (epochs + 1, N) of channels; None where it does not."""
    if len(importance) < 2 or not importance.shape[1] or spec.over_weights:
        return dict.fromkeys((*RULES, "epi"))
    found = {rule: emergence_epoch(importance, spec.ratio, rule) for rule in RULES}
    widths = bn_widths(network(spec.search))
    return {**found, "epi": epi_epoch(importance, spec.ratio, widths, threshold_of(spec.method))}


def displacement_detections(spec: specs.Ticket, rows: Tensor) -> dict[str, int | None]:
    """Epoch at which each of EarlyCroP's rules fires on the displacement (epochs + 1, 3), for a ticket drawn there."""
    return {rule: displacement_epoch(rows, spec.ratio, rule, spec.over_weights) for rule in DISPLACEMENT_DRAWS}


def _sample(spec: specs.Search, root: Path, count: int) -> torch.Tensor:
    """`count` training images (all, if there are fewer), unaugmented and normalised, with equal class counts."""
    data = datasets.load(spec.dataset, root, spec.train_size)
    if not isinstance(data, datasets.Data):
        raise UserError(f"Ticket.method: looks at images held in memory; {spec.dataset} is read file by file")
    some = datasets.balanced_subset(data.train, min(count, len(data.train)), "images")
    return torch.cat([x for x, _ in datasets.normalised(some, data)])


def _labelled(spec: specs.Search, root: Path, split: str) -> list[tuple[Tensor, Tensor]]:
    """Unaugmented batches of the images of a `split`, "train" or "test", that gradients are taken on.

    As many as there are, up to BATCHES of BATCH_SIZE, with equal class counts: the same for every seed.
    """
    data = load_data(spec, root, torch.device("cpu"))
    if not isinstance(data, datasets.Data):
        raise UserError(f"Ticket.method: looks at images held in memory; {spec.dataset} is read file by file")
    whole = data.train if split == "train" else data.test
    some = datasets.balanced_subset(whole, min(BATCHES * BATCH_SIZE, len(whole)), split)
    images, labels = (torch.cat(pieces) for pieces in zip(*datasets.normalised(some, data), strict=True))
    return list(zip(images.split(BATCH_SIZE), labels.split(BATCH_SIZE), strict=True))


def scoring_flops(spec: specs.Ticket, forward: float) -> float:
    """FLOPs of scoring by gradients, from those of one image through the dense network; 0 for other methods."""
    if spec.method not in GRADIENT_FLOW_METHODS:
        return 0.0
    there = spec.search.test_images if spec.method == "crop-leak" else spec.search.train_images
    steps = len(sparsities(spec.ratio)) if spec.method == "crop-weights" else 1
    return PASSES * forward * min(BATCHES * BATCH_SIZE, there) * steps


def context_of(
    spec: specs.Ticket,
    store: Store,
    root: Path,
    scores: Tensor,
    taylor: Tensor | None,
    epoch: int,
    device: torch.device | str = "cpu",
) -> DrawContext:
    """The inputs of a pruning method; the dense network has its weights only where the method needs them.

    `scores`, `taylor`: of the draw epoch, shape (N,). Raises UserError for a method that the network does not take.
    """
    dense, previous = network(spec.search), None
    widths = bn_widths(dense)
    if not widths and not spec.over_weights:
        raise UserError(f"Ticket.method: {spec.method!r} prunes batch-norm channels; {spec.search.model} has none")
    if spec.method in NEEDS_WEIGHTS:
        load_weights(dense, spec.after or spec.search, epoch, store, root, device)
    if spec.after is not None:
        previous = load_mask(spec.after.ticket, store, sum(weight_counts(dense)))
    images, batches = partial(_sample, spec.search, root), partial(_labelled, spec.search, root)
    return DrawContext(scores, widths, spec.ratio, spec.search.seed, dense, previous, taylor, images, batches)


def searched_flops(spec: specs.Ticket, found: dict[str, Any], epoch: int) -> dict[str, float]:
    """Training FLOPs before the draw: the search up to its epoch, and the earlier rounds of iterative pruning."""
    if spec.after is not None:
        return {c: found["cost"]["search_flops"][c] + f for c, f in found["cost"]["retrain_flops"].items()}
    # "best" is known only when the search has ended; every other draw needs the search up to its epoch.
    searched, count = spec.search.recipe.epochs if spec.at == "best" else epoch, spec.search.train_images
    return {c: cost.training_flops(f, count, searched) for c, f in found["cost"]["forward_flops"].items()}


def channel_mask(spec: specs.Ticket, context: DrawContext) -> tuple[Tensor, dict[str, Any]]:
    """Mask over channels, bool (N,), and counts of tied channels and of emptied and rescued layers."""
    dense = context.dense()
    mask = METHODS.load(spec.method)(context)
    empty = sum(not m.any() for m in split_mask(dense, mask))
    if not dense.residual:
        importance = context.scores if context.taylor is None else context.taylor
        mask, _ = rescue_empty_layers(mask, importance, context.widths)
    rescued = 0 if dense.residual else empty
    return mask, {"tied_channels": tied(context.scores, spec.ratio), "empty_layers": empty, "rescued_layers": rescued}


def channel_facts(spec: specs.Ticket, dense: nn.Module, mask: Tensor) -> tuple[dict[str, Any], dict[str, Any]]:
    """Channels and parameters under a mask over channels, bool (N,), and FLOPs of an image through that network."""
    channels = kept_channels(dense, mask)
    small = network(spec.search, channels=channels)
    metrics = {"channels": channels, "parameters": sum(p.numel() for p in small.parameters())}
    return metrics, {"forward_flops": cost.forward_flops(small, shape(spec.search))}


def weight_facts(spec: specs.Ticket, dense: nn.Module, mask: Tensor) -> tuple[dict[str, Any], dict[str, Any]]:
    """Remaining weights under a mask over weights, bool (N,), and FLOPs of an image: dense, and of kept weights."""
    pieces, size = split_weights(dense, mask), shape(spec.search)
    metrics = {
        "round": spec.round,
        "remaining_fraction": mask.float().mean().item(),
        "density": density(dense, mask),
        "empty_layers": sum(not m.any() for m in pieces),
        "parameters": sum(p.numel() for p in dense.parameters()) - int((~mask).sum()),
    }
    sparse = cost.sparse_forward_flops(dense, size, [int(m.sum()) for m in pieces])
    return metrics, {"forward_flops": cost.forward_flops(dense, size), "sparse_forward_flops": sparse}


def facts(
    spec: specs.Ticket, dense: nn.Module, mask: Tensor, found: dict[str, Any], epoch: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Metrics and cost of a draw: they follow from its mask (N,), its epoch and the record `found` of its origin."""
    metrics, ledger = (weight_facts if spec.over_weights else channel_facts)(spec, dense, mask)
    # Masks made: one per check of a detector (the indicator asks after every epoch), one for the ticket otherwise.
    checks: dict[int | str, int] = {"eb": epoch + 1, "epi": epoch}
    ledger["search_flops"] = searched_flops(spec, found, epoch)
    dense_flops = found["cost"]["forward_flops"]["authors"]
    ledger["draw_flops"] = cost.detector_flops(len(mask), checks.get(spec.at, 1)) + scoring_flops(spec, dense_flops)
    return {"kept": int(mask.sum()), "removed_fraction": 1 - mask.float().mean().item(), **metrics}, ledger


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
    scores = load_scores(spec.search, store)
    if spec.method == "taylor":
        have_rows("taylor", spec.search, store, root, device, Keep(taylor=True))
    taylor = load_taylor(spec.search, store) if spec.method == "taylor" else None
    emergence = detections(spec, scores if taylor is None else taylor)
    if spec.at in DISPLACEMENT_DRAWS:
        fired = Keep(crop={f"{spec.at}:{spec.method}:{spec.ratio}"})
        have_rows("displacement", spec.search, store, root, device, fired)
        emergence |= displacement_detections(spec, load_displacement(spec.search, store))
    epoch = draw_epoch(spec, found, emergence)
    metrics: dict[str, Any] = {"epoch": epoch, "emergence": emergence}
    ledger: dict[str, Any] = {}
    if epoch is not None:
        at = min(epoch, len(scores) - 1)  # a later round's epochs are those of its retrain
        importance = None if taylor is None else taylor[at]
        context = context_of(spec, store, root, scores[at], importance, epoch, device)
        mask, rescued = (METHODS.load(spec.method)(context), {}) if spec.over_weights else channel_mask(spec, context)
        save_array(store.folder(spec) / "mask.npy", pack(mask))
        more, ledger = facts(spec, context.dense(), mask, found, epoch)
        metrics |= rescued | more
    ledger["seconds"] = round(time.perf_counter() - began, 3)
    return save_record(spec, store, "ok" if epoch is not None else "no-ticket", metrics, ledger, started)


def have_drawn(spec: specs.Ticket, store: Store, root: Path, device: str = "cpu") -> None:
    """Draw `spec`, unless that was done; of several processes that want it, one draws and the others wait (or raise
    Busy: `Store.patient`).

    On one thread, as the command `draw` does, because a mask must not depend on who asked for it.
    """
    if store.done(spec):
        return
    with store.claim(spec, wait=store.patient) as mine:
        if not mine:
            raise locks.Busy
        if not store.done(spec):
            with threads(1):
                draw(spec, store, root, device)

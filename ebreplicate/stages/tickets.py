"""The ticket, computed from what a search recorded: where it emerges, its mask, its size and its cost."""

from typing import Any

from torch import Tensor, nn

from ebreplicate import cost
from ebreplicate.catalog import DISPLACEMENT_DRAWS, GRADIENT_FLOW_METHODS, METHODS
from ebreplicate.pruning.channels import bn_widths, kept_channels, split_mask
from ebreplicate.pruning.displacement import displacement_epoch
from ebreplicate.pruning.earlybird import RULES, emergence_epoch
from ebreplicate.pruning.indicator import epi_epoch, threshold_of
from ebreplicate.pruning.masks import rescue_empty_layers, tied
from ebreplicate.pruning.methods.base import DrawContext
from ebreplicate.pruning.methods.crop import BATCH_SIZE, BATCHES, PASSES, sparsities
from ebreplicate.pruning.weights import density, split_weights
from ebreplicate.runner.inputs import Rows, network, shape
from ebreplicate.specs import spec as specs


def emergence(spec: specs.Ticket, rows: Rows) -> dict[str, int | None]:
    """Epoch at which each detector fires for this ticket; None where it does not, or where there is nothing to see."""
    importance, moved = rows.importance, rows.displacement
    if len(importance) < 2 or not importance.shape[1] or spec.over_weights:
        found: dict[str, int | None] = dict.fromkeys((*RULES, "epi"))
    else:
        found = {rule: emergence_epoch(importance, spec.ratio, rule) for rule in RULES}
        found["epi"] = epi_epoch(importance, spec.ratio, bn_widths(network(spec.search)), threshold_of(spec.method))
    if moved is None:
        return found
    return found | {r: displacement_epoch(moved, spec.ratio, r, spec.over_weights) for r in DISPLACEMENT_DRAWS}


def draw_epoch(spec: specs.Ticket, found: dict[str, Any], fired: dict[str, int | None]) -> int | None:
    """Epoch of the search or retrain that `at` means, from its record and `emergence`; None if there is no ticket."""
    if spec.at in ("eb", "epi", *DISPLACEMENT_DRAWS):
        epoch = fired["authors" if spec.at == "eb" else str(spec.at)]
    elif spec.at == "best":
        epoch = found["metrics"]["best_epoch"]
    else:
        epoch = int(spec.at)
    first = 0 if spec.at == 0 else 1
    usable = epoch is not None and first <= epoch <= found["metrics"]["epochs"] and found["status"] == "ok"
    return epoch if usable else None


def scoring_flops(spec: specs.Ticket, forward: float) -> float:
    """FLOPs of scoring by gradients, from those of one image through the dense network; 0 for other methods."""
    if spec.method not in GRADIENT_FLOW_METHODS:
        return 0.0
    there = spec.search.test_images if spec.method == "crop-leak" else spec.search.train_images
    steps = len(sparsities(spec.ratio)) if spec.method == "crop-weights" else 1
    return PASSES * forward * min(BATCHES * BATCH_SIZE, there) * steps


def searched_flops(spec: specs.Ticket, found: dict[str, Any], epoch: int) -> dict[str, float]:
    """Training FLOPs before the draw: the search up to its epoch, and the earlier rounds of iterative pruning."""
    if spec.after is not None:
        return {c: found["cost"]["search_flops"][c] + f for c, f in found["cost"]["retrain_flops"].items()}
    # "best" is known only when the search has ended; every other draw needs the search up to its epoch.
    searched, count = spec.search.recipe.epochs if spec.at == "best" else epoch, spec.search.train_images
    return {c: cost.training_flops(f, count, searched) for c, f in found["cost"]["forward_flops"].items()}


def ticket_mask(spec: specs.Ticket, context: DrawContext) -> tuple[Tensor, dict[str, Any]]:
    """Mask of a ticket, bool (N,); and for one over channels, counts of tied ones and of emptied and rescued layers."""
    mask = METHODS.load(spec.method)(context)
    if spec.over_weights:
        return mask, {}
    dense = context.dense()
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


def weight_facts(
    spec: specs.Ticket, dense: nn.Module, mask: Tensor, full: dict[str, float]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Remaining weights under a mask over weights, bool (N,), and FLOPs of an image: dense (`full`, by convention), and
    of kept weights."""
    # `count_nonzero`: the sum of a mask takes twenty times as long.
    kept = [int(piece.count_nonzero()) for piece in split_weights(dense, mask)]
    metrics = {
        "round": spec.round,
        "remaining_fraction": mask.float().mean().item(),
        "density": density(dense, mask),
        "empty_layers": kept.count(0),
        "parameters": sum(p.numel() for p in dense.parameters()) - (len(mask) - sum(kept)),
    }
    sparse = cost.sparse_forward_flops(dense, shape(spec.search), kept, full)
    return metrics, {"forward_flops": full, "sparse_forward_flops": sparse}


def facts(
    spec: specs.Ticket, dense: nn.Module, mask: Tensor, found: dict[str, Any], epoch: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Metrics and cost of a draw: they follow from its mask (N,), its epoch and the record `found` of its origin."""
    full = found["cost"]["forward_flops"]
    metrics, ledger = weight_facts(spec, dense, mask, full) if spec.over_weights else channel_facts(spec, dense, mask)
    # Masks made: one per check of a detector (the indicator asks after every epoch), one for the ticket otherwise.
    checks: dict[int | str, int] = {"eb": epoch + 1, "epi": epoch}
    ledger["search_flops"] = searched_flops(spec, found, epoch)
    ledger["draw_flops"] = cost.detector_flops(len(mask), checks.get(spec.at, 1)) + scoring_flops(spec, full["authors"])
    return {"kept": int(mask.count_nonzero()), "removed_fraction": 1 - mask.float().mean().item(), **metrics}, ledger

"""The draw: from the scores of a search to a mask and what its ticket costs to find."""

import dataclasses
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ebreplicate import cost
from ebreplicate.plan import spec as specs
from ebreplicate.pruning.earlybird import RULES, emergence_epoch
from ebreplicate.pruning.masks import rescue_empty_layers
from ebreplicate.pruning.methods import METHODS, NEEDS_WEIGHTS
from ebreplicate.pruning.methods.base import DrawContext
from ebreplicate.pruning.surgery import bn_widths, kept_channels, split_mask
from ebreplicate.records import Store
from ebreplicate.stages.common import images, load_scores, load_weights, needed, network, save_array, shape
from ebreplicate.training import data as datasets
from ebreplicate.training.device import provenance


def _draw_epoch(spec: specs.Ticket, found: dict[str, Any], emergence: dict[str, int | None]) -> int | None:
    """Resolve `at` to an epoch of the search; None if there is no ticket to draw."""
    if spec.at == "eb":
        epoch = emergence["authors"]
    elif spec.at == "best":
        epoch = found["metrics"]["best_epoch"]
    else:
        epoch = int(spec.at)
    usable = epoch is not None and 1 <= epoch <= found["metrics"]["epochs"] and found["status"] == "ok"
    return epoch if usable else None


def _sample(spec: specs.Search, root: Path, count: int) -> torch.Tensor:
    """`count` training images (all, if there are fewer), unaugmented and normalised, with equal class counts."""
    data = datasets.load(spec.dataset, root, spec.train_size)
    some = datasets.balanced_subset(data.train, min(count, len(data.train)), "images")
    return torch.cat([x for x, _ in datasets.normalised(some, data)])


def _context(spec: specs.Ticket, store: Store, root: Path, scores: torch.Tensor, epoch: int) -> DrawContext:
    """What the method is given: scores of the draw epoch, and weights and images for methods that look at weights."""
    dense = network(spec.search)
    known = DrawContext(scores[epoch], bn_widths(dense), spec.ratio, spec.search.seed)
    if spec.method not in NEEDS_WEIGHTS:
        return known
    load_weights(dense, spec.search, store, epoch)
    return dataclasses.replace(known, model=dense, images=partial(_sample, spec.search, root))


def draw(spec: specs.Ticket, store: Store, root: Path = Path("data")) -> dict[str, Any]:
    """Take a mask from a search: leave the mask, its channel configuration and what the ticket costs to find."""
    started, began = time.time(), time.perf_counter()
    found = needed(spec.search, store)
    scores = load_scores(spec.search, store)
    emergence = {rule: emergence_epoch(scores, spec.ratio, rule) if len(scores) > 1 else None for rule in RULES}
    epoch = _draw_epoch(spec, found, emergence)
    metrics: dict[str, Any] = {"epoch": epoch, "emergence": emergence}
    ledger: dict[str, Any] = {}
    if epoch is not None:
        dense = network(spec.search)
        widths = bn_widths(dense)
        mask = METHODS.load(spec.method)(_context(spec, store, root, scores, epoch))
        empty = sum(not m.any() for m in split_mask(dense, mask))
        if not dense.residual:
            mask, _ = rescue_empty_layers(mask, scores[epoch], widths)
        channels = kept_channels(dense, mask)
        small = network(spec.search, channels=channels)
        save_array(store.folder(spec) / "mask.npy", np.packbits(mask.numpy()))
        count = images(spec.search)
        dense_forward = found["cost"]["forward_flops"]
        # "best" is known only when the search has ended; every other draw needs the search up to its epoch.
        searched = spec.search.recipe.epochs if spec.at == "best" else epoch
        checks = epoch + 1 if spec.at == "eb" else 1
        metrics |= {
            "kept": int(mask.sum()),
            "removed_fraction": 1 - mask.float().mean().item(),
            "channels": channels,
            "empty_layers": empty,
            "rescued_layers": 0 if dense.residual else empty,
            "parameters": sum(p.numel() for p in small.parameters()),
        }
        ledger = {
            "forward_flops": cost.forward_flops(small, shape(spec.search)),
            "search_flops": {c: cost.training_flops(f, count, searched) for c, f in dense_forward.items()},
            "draw_flops": cost.detector_flops(len(mask), checks),
        }
    ledger["seconds"] = round(time.perf_counter() - began, 3)
    record = {
        "status": "ok" if epoch is not None else "no-ticket",
        "metrics": metrics,
        "cost": ledger,
        "provenance": provenance(torch.device("cpu"), started),
    }
    store.write(spec, record)
    return record

"""The retrain: training of a drawn ticket, and the whole cost of search, draw and retrain."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ebreplicate import cost
from ebreplicate.models.common import Network
from ebreplicate.pruning.channels import bn_widths, kept_channels
from ebreplicate.pruning.surgery import shrink
from ebreplicate.pruning.weights import weight_counts
from ebreplicate.runner.hooks import hooks_of
from ebreplicate.runner.inputs import load_mask, needed, network
from ebreplicate.runner.rebuild import load_weights
from ebreplicate.runner.record import save_record
from ebreplicate.runner.run import Run, unseen_metrics
from ebreplicate.specs import spec as specs
from ebreplicate.specs.keep import Keep
from ebreplicate.stages.draw import have_drawn
from ebreplicate.store.store import Store
from ebreplicate.training.masking import MaskWeights
from ebreplicate.training.observers import KeepWeights

RETRAIN_SEED = 10_000
"""Added to the seed of a retrain, so that it sees other batches, and `reinit` other weights, than its search."""

BUDGET_LIMIT = 2.0
"""Longest stretch of a recipe under "budget"."""


def retrain(
    spec: specs.Retrain, store: Store, root: Path, device: torch.device, keep: Keep | None = None
) -> dict[str, Any]:
    """Train a drawn ticket; save accuracy and the whole cost: search, draw and retrain.

    `keep`: the epochs whose weights are saved. Returns the record: of a search that gave no ticket, "no-ticket"; of a
    training that has been run under another name, that one's results and `trained_as`.
    """
    started, keep, drawn = time.time(), keep or Keep(), needed(spec.ticket, store)
    epoch = drawn["metrics"]["epoch"]
    if not has_ticket(spec, drawn):
        return _without_training(spec, store, root, device, started)
    # The folder of the same training under another name has its own weights; who needs this run's trains it.
    same = None if keep.epochs else store.read_same(spec, epoch)
    if same is not None:
        return _under_another_name(spec, store, same, drawn)

    run = Run(spec, store, root, device)
    seed = RETRAIN_SEED + (run.search.seed if spec.seed is None else spec.seed)
    mask = ticket_mask_of(spec.ticket, store)
    weights = starting_weights(spec, store, epoch, root, device)
    recipe, resume = recipe_of(spec, store, drawn), run.checkpoint.load()

    model = ticket_network(spec, weights, mask, seed).to(device)
    masking = [MaskWeights(mask)] if spec.ticket.over_weights else []
    trained = run.train(
        model,
        recipe,
        seed,
        hooks=[*hooks_of(spec.recipe, spec.precision, seed), *masking, *run.validating],  # masked, then evaluated
        observers=[KeepWeights(run.folder / "weights", Keep(keep.epochs), best=False)],
        resume=resume,
        start=epoch if spec.schedule == "continue" else 0,
    )

    count = run.search.train_images
    flops = {c: cost.training_flops(f, count, trained.epochs) for c, f in drawn["cost"]["forward_flops"].items()}
    return run.save(trained, {}, _total_cost(spec, flops, drawn))


def has_ticket(spec: specs.Retrain, drawn: dict[str, Any]) -> bool:
    """Whether there is something to train: a ticket, and where its search's schedule goes on, an epoch of that."""
    metrics = drawn["metrics"]
    over = spec.schedule == "continue" and metrics["epoch"] == spec.recipe.epochs  # the best epoch was the last
    return bool(drawn["status"] == "ok") and metrics["epoch"] is not None and not over


def ticket_mask_of(ticket: specs.Ticket, store: Store) -> Tensor:
    """The mask that a draw saved, bool (N,), over channels or weights."""
    dense = network(ticket.search)
    return load_mask(ticket, store, sum(weight_counts(dense) if ticket.over_weights else bn_widths(dense)))


def starting_weights(spec: specs.Retrain, store: Store, epoch: int, root: Path, device: torch.device) -> Network | None:
    """The dense network with the weights a retrain starts from, on the CPU: those of the draw, or the search's own
    early ones; None for `reinit`."""
    ticket = spec.ticket
    if spec.init == "reinit":
        return None
    dense = network(ticket.search)
    if spec.init == "inherit":
        return load_weights(dense, ticket.after or ticket.search, epoch, store, root, device)
    return load_weights(dense, ticket.search, spec.rewind, store, root, device) if spec.rewind else dense


def recipe_of(spec: specs.Retrain, store: Store, drawn: dict[str, Any]) -> specs.Recipe:
    """The recipe of a retrain, stretched for "budget"."""
    if spec.schedule != "budget":
        return spec.recipe
    dense = needed(spec.ticket.search, store)["cost"]["forward_flops"]["authors"]
    return budget_recipe(spec.recipe, dense, drawn["cost"]["forward_flops"]["authors"])


def budget_recipe(recipe: specs.Recipe, dense: float, small: float) -> specs.Recipe:
    """The recipe stretched until the small network has cost what the dense one costs, at most twofold.

    `dense`, `small`: forward FLOPs, authors' convention. Scratch-B of Rethinking the Value of Network Pruning (Liu et
    al., ICLR 2019, section 3).
    """
    return recipe.scaled(min(BUDGET_LIMIT, dense / small))


def ticket_network(spec: specs.Retrain, dense: Network | None, mask: Tensor, seed: int) -> Network:
    """The network a retrain starts from: `dense` shrunk by a `mask` over channels, or as it is under one over weights,
    bool (N,). Where `dense` is None, one of that size, initialised from `seed`."""
    if dense is not None:
        return dense if spec.ticket.over_weights else shrink(dense, mask)
    search = spec.ticket.search
    return network(search, seed, None if spec.ticket.over_weights else kept_channels(network(search), mask))


def _total_cost(spec: specs.Retrain, retrained: dict[str, float], drawn: dict[str, Any]) -> dict[str, Any]:
    """Training FLOPs = search + draw + retrain, under every convention, and the precision they are in."""
    ledger = drawn["cost"]
    total = {c: ledger["search_flops"][c] + ledger["draw_flops"] + f for c, f in retrained.items()}
    return {
        "search_precision": spec.ticket.search.precision,
        "precision": spec.precision,
        "forward_flops": ledger["forward_flops"],
        "search_flops": ledger["search_flops"],
        "draw_flops": ledger["draw_flops"],
        "retrain_flops": retrained,
        "training_flops": total,
    }


def _under_another_name(
    spec: specs.Retrain, store: Store, same: dict[str, Any], drawn: dict[str, Any]
) -> dict[str, Any]:
    """Record a training that the record `same` is of, with the cost of this draw."""
    measured = {name: same["cost"][name] for name in ("seconds", "peak_memory_mb", "energy_j", "energy_source")}
    record = {k: same[k] for k in ("status", "metrics", "provenance")}
    record["cost"] = _total_cost(spec, same["cost"]["retrain_flops"], drawn) | measured
    record["trained_as"] = same.get("trained_as", same["key"])
    store.write(spec, record)
    return record


def _without_training(
    spec: specs.Retrain, store: Store, root: Path, device: torch.device, started: float
) -> dict[str, Any]:
    """Record that there was nothing to retrain: the search diverged, its ticket never emerged or came too late."""
    metrics = {"epochs": 0, "last_accuracy": None, "best_accuracy": None, "best_epoch": None}
    metrics |= _final_ticket(spec, store, root, device)
    return save_record(spec, store, "no-ticket", metrics, {}, started)


def _final_ticket(spec: specs.Retrain, store: Store, root: Path, device: torch.device) -> dict[str, Any]:
    """Accuracies on unseen images of an EB Train whose ticket did not emerge, where its spec asks for them.

    It has then trained the dense network to the end of the schedule: it counts as the final ticket, pruned and not
    retrained (docs/statistics.md, runs that go wrong).
    """
    ticket = spec.ticket
    goes_on = spec.schedule == "continue" and spec.init == "inherit" and ticket.at == "eb"
    if ticket.search.evaluation != "unseen" or not goes_on or needed(ticket.search, store)["status"] != "ok":
        return {}
    final = dataclasses.replace(ticket, at="final")
    have_drawn(final, store, root)
    epoch = needed(final, store)["metrics"]["epoch"]
    dense = load_weights(network(ticket.search), ticket.search, epoch, store, root, device)
    model = ticket_network(spec, dense, ticket_mask_of(final, store), seed=0).to(device)
    return unseen_metrics(ticket.search, model, root, spec.precision, store.folder(spec))

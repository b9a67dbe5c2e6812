"""The retrain: training of a drawn ticket, and the whole cost of search, draw and retrain."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ebreplicate import cost
from ebreplicate.catalog import DISPLACEMENT_DRAWS
from ebreplicate.models.common import Network
from ebreplicate.pruning.surgery import bn_widths, shrink
from ebreplicate.pruning.weights import prunable, stray_weights, weight_counts
from ebreplicate.specs import spec as specs
from ebreplicate.specs.keep import Keep
from ebreplicate.stages.draw import have_drawn
from ebreplicate.stages.inputs import load_mask, needed, network
from ebreplicate.stages.rebuild import load_weights
from ebreplicate.stages.record import save_record
from ebreplicate.stages.training import Run, hooks_of, unseen_metrics
from ebreplicate.store.store import Store
from ebreplicate.training.masking import MaskWeights
from ebreplicate.training.observers import KeepWeights

RETRAIN_SEED = 10_000
"""Added to the seed of a retrain, so that it sees other batches, and `reinit` other weights, than its search."""

BUDGET_LIMIT = 2.0
"""Longest stretch of a recipe under "budget"."""


def budget_recipe(recipe: specs.Recipe, dense: float, small: float) -> specs.Recipe:
    """The recipe stretched until the small network has cost what the dense one costs, at most twofold.

    `dense`, `small`: forward FLOPs, authors' convention. Scratch-B of Rethinking the Value of Network Pruning (Liu et
    al., ICLR 2019, section 3).
    """
    return recipe.scaled(min(BUDGET_LIMIT, dense / small))


def _recipe(spec: specs.Retrain, store: Store, drawn: dict[str, Any]) -> specs.Recipe:
    if spec.schedule != "budget":
        return spec.recipe
    dense = needed(spec.ticket.search, store)["cost"]["forward_flops"]["authors"]
    return budget_recipe(spec.recipe, dense, drawn["cost"]["forward_flops"]["authors"])


def _starting_weights(spec: specs.Retrain, store: Store, epoch: int, root: Path, device: torch.device) -> Network:
    """The dense network with the weights a retrain starts from: those of the draw, or the search's own early ones."""
    ticket = spec.ticket
    dense = network(ticket.search)
    if spec.init == "inherit":
        return load_weights(dense, ticket.after or ticket.search, epoch, store, root, device)
    return load_weights(dense, ticket.search, spec.rewind, store, root, device) if spec.rewind else dense


def ticket_network(
    spec: specs.Retrain, store: Store, drawn: dict[str, Any], seed: int, root: Path, device: torch.device
) -> Network:
    """The network a retrain starts from: shrunk by a mask over channels, dense under a mask over weights."""
    search_spec = spec.ticket.search
    if spec.init == "reinit":
        return network(search_spec, seed, drawn["metrics"].get("channels"))
    dense = _starting_weights(spec, store, drawn["metrics"]["epoch"], root, device)
    if spec.ticket.over_weights:
        return dense
    return shrink(dense, load_mask(spec.ticket, store, sum(bn_widths(dense))))


def masking_of(spec: specs.Retrain, store: Store, model: nn.Module) -> list[MaskWeights]:
    """The hook that keeps pruned weights at zero, for a ticket over weights."""
    if not spec.ticket.over_weights:
        return []
    return [MaskWeights(load_mask(spec.ticket, store, sum(weight_counts(model))))]


def check_sparse(model: nn.Module, hooks: list[MaskWeights]) -> dict[str, int]:
    """Non-zero prunable weights after training. Raises RuntimeError if a pruned one moved: no result may rest on it."""
    for hook in hooks:
        stray = stray_weights(model, hook.mask)
        if stray:
            raise RuntimeError(f"{stray} pruned weights are not zero after training")
    return {"nonzero_weights": sum(int(w.count_nonzero()) for w in prunable(model))} if hooks else {}


def other_names(spec: specs.Retrain, epoch: int) -> list[specs.Retrain]:
    """The same training by every name that a draw at `epoch` can have: its number, "best", and where detectors fire."""
    detected = DISPLACEMENT_DRAWS if spec.ticket.over_weights else ("eb", "epi", *DISPLACEMENT_DRAWS)
    named = (dataclasses.replace(spec.ticket, at=at) for at in (epoch, *detected, "best"))
    return [dataclasses.replace(spec, ticket=ticket) for ticket in named if ticket.at != spec.ticket.at]


def equivalent_run(spec: specs.Retrain, store: Store, epoch: int) -> dict[str, Any] | None:
    """Record of the same training under another name ("best" or where a detector fires, against the number)."""
    if spec.ticket.after is not None:
        return None  # a later round has one name
    for twin in other_names(spec, epoch):
        if not store.done(twin) or not store.done(twin.ticket):
            continue
        drawn = store.read(twin.ticket)
        if drawn and drawn["metrics"]["epoch"] == epoch:
            return store.read(twin)
    return None


def retrain(
    spec: specs.Retrain, store: Store, root: Path, device: torch.device, keep: Keep | None = None
) -> dict[str, Any]:
    """Train a drawn ticket; save accuracy and the whole cost: search, draw and retrain.

    `keep`: the epochs whose weights are saved. Returns the record: of a search that gave no ticket, "no-ticket"; of a
    training that has been run under another name, that one's results and `trained_as`.
    """
    started = time.time()
    drawn = needed(spec.ticket, store)
    epoch = drawn["metrics"]["epoch"]
    nothing_left = spec.schedule == "continue" and epoch == spec.recipe.epochs  # the best epoch was the last
    if drawn["status"] != "ok" or epoch is None or nothing_left:
        return _without_training(spec, store, started, _final_ticket(spec, store, root, device))
    keep = keep or Keep()
    # The folder of an equivalent run holds its own weights; whoever needs this run's trains it.
    same = None if keep.epochs else equivalent_run(spec, store, epoch)
    if same is not None:
        return _under_another_name(spec, store, same, drawn)
    run = Run(spec, store, root, device)
    seed = RETRAIN_SEED + (run.search.seed if spec.seed is None else spec.seed)
    model = ticket_network(spec, store, drawn, seed, root, device).to(device)
    masking = masking_of(spec, store, model)
    trained = run.train(
        model,
        _recipe(spec, store, drawn),
        seed,
        hooks=[*hooks_of(spec.recipe, spec.precision, seed), *masking, *run.validating],  # masked, then evaluated
        observers=[KeepWeights(run.folder / "weights", Keep(keep.epochs), [], best=False)],
        resume=run.checkpoint.load(),
        start=epoch if spec.schedule == "continue" else 0,
    )
    count = run.search.train_images
    flops = {c: cost.training_flops(f, count, trained.epochs) for c, f in drawn["cost"]["forward_flops"].items()}
    return run.save(trained, check_sparse(model, masking), _total_cost(spec, flops, drawn))


def _under_another_name(
    spec: specs.Retrain, store: Store, same: dict[str, Any], drawn: dict[str, Any]
) -> dict[str, Any]:
    """Record a training that the record `same` is of, with the cost of this draw."""
    total = _total_cost(spec, same["cost"]["retrain_flops"], drawn) | _measured(same["cost"])
    record = {k: same[k] for k in ("status", "metrics", "provenance")}
    record = {**record, "cost": total, "trained_as": same.get("trained_as", same["key"])}
    store.write(spec, record)
    return record


def _measured(ledger: dict[str, Any]) -> dict[str, Any]:
    return {k: ledger[k] for k in ("seconds", "peak_memory_mb", "energy_j", "energy_source")}


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


def _final_ticket(spec: specs.Retrain, store: Store, root: Path, device: torch.device) -> dict[str, Any]:
    """Accuracies on unseen images of an EB Train whose ticket did not emerge, where its spec asks for them.

    It has then trained the dense network to the end of the schedule: it counts as the final ticket, pruned and not
    retrained (docs/statistics.md, runs that go wrong).
    """
    ticket = spec.ticket
    goes_on = spec.schedule == "continue" and spec.init == "inherit" and ticket.at == "eb"
    if ticket.search.evaluation != "unseen" or not goes_on or needed(ticket.search, store)["status"] != "ok":
        return {}
    final = dataclasses.replace(spec, ticket=dataclasses.replace(ticket, at="final"), schedule="full")
    have_drawn(final.ticket, store, root)
    model = ticket_network(final, store, needed(final.ticket, store), seed=0, root=root, device=device).to(device)
    return unseen_metrics(ticket.search, model, root, spec.precision, store.folder(spec))


def _without_training(spec: specs.Retrain, store: Store, started: float, untrained: dict[str, Any]) -> dict[str, Any]:
    """Record that there was nothing to retrain: the search diverged, its ticket never emerged or came too late.

    `untrained`: what was measured of a ticket all the same.
    """
    metrics = {"epochs": 0, "last_accuracy": None, "best_accuracy": None, "best_epoch": None, **untrained}
    return save_record(spec, store, "no-ticket", metrics, {}, started)

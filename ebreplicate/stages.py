"""The stages of the method, composed from the pieces: search, draw, retrain. Each leaves one record."""

import dataclasses
import io
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ebreplicate import cost
from ebreplicate.errors import UserError
from ebreplicate.models import build
from ebreplicate.plan import spec as specs
from ebreplicate.pruning.earlybird import RULES, emergence_epoch
from ebreplicate.pruning.masks import rescue_empty_layers
from ebreplicate.pruning.methods import METHODS
from ebreplicate.pruning.methods.base import DrawContext
from ebreplicate.pruning.surgery import bn_widths, kept_channels, shrink, split_mask
from ebreplicate.records import Store, atomic_write
from ebreplicate.training import data as datasets
from ebreplicate.training.datasets import INFO
from ebreplicate.training.device import provenance
from ebreplicate.training.loop import State, fit
from ebreplicate.training.observers import KeepWeights, Progress, Scores, weights_name

RETRAIN_SEED = 10_000
"""Added to the seed of a retrain, so that it sees other batches, and `reinit` other weights, than its search."""


def network(search: specs.Search, seed: int | None = None, channels: list[int] | None = None) -> nn.Module:
    """The network of a search on the CPU, initialised from `seed` (default: the search's)."""
    torch.manual_seed(search.seed if seed is None else seed)
    return build(search.model, INFO[search.dataset].classes, search.width, channels)


def _images(search: specs.Search) -> int:
    return search.train_size or INFO[search.dataset].train


def _shape(search: specs.Search) -> tuple[int, int, int]:
    side = INFO[search.dataset].side
    return (3, side, side)


def _load(search: specs.Search, root: Path, device: torch.device) -> datasets.Data:
    data = datasets.load(search.dataset, root, search.train_size, search.test_size)
    return dataclasses.replace(data, train=data.train.to(device), test=data.test.to(device))


def _metrics(state: State) -> dict[str, Any]:
    """Last-epoch and best-epoch accuracy, both exact; best is selected on the test set, as the authors' code does."""
    if not state.history:
        return {"epochs": 0, "last_accuracy": None, "best_accuracy": None, "best_epoch": None, "last_train_loss": None}
    best = max(state.history, key=lambda row: row["test_accuracy"])
    last = state.history[-1]
    loss = last["train_loss"]
    return {
        "epochs": len(state.history),
        "last_accuracy": last["test_accuracy"],
        "best_accuracy": best["test_accuracy"],
        "best_epoch": int(best["epoch"]),
        "last_train_loss": loss if math.isfinite(loss) else None,
    }


def _status(state: State) -> str:
    finite = all(math.isfinite(row["train_loss"]) for row in state.history)
    return "ok" if finite and state.epoch == state.recipe.epochs else "diverged"


class Checkpoint:
    """The resumable snapshot of an unfinished run; written at most every `every` seconds, removed at the end."""

    def __init__(self, folder: Path, key: str, every: float = 60.0):
        self.path, self.key, self.every, self.told = folder / "checkpoint.pt", key, every, time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """Snapshot of this run, or None; a damaged or foreign one is discarded, because the run can start afresh."""
        if not self.path.is_file():
            return None
        try:
            snapshot = torch.load(self.path, weights_only=True, map_location="cpu")
            return snapshot if snapshot["key"] == self.key else None
        except Exception:  # torch raises many kinds for a truncated file
            return None

    def save(self, snapshot: dict[str, Any]) -> None:
        """Write the snapshot, atomically, if it is time to."""
        if time.monotonic() - self.told < self.every:
            return
        buffer = io.BytesIO()
        torch.save({**snapshot, "key": self.key}, buffer)
        atomic_write(self.path, buffer.getvalue())
        self.told = time.monotonic()

    def clear(self) -> None:
        """Remove the snapshot of a finished run."""
        self.path.unlink(missing_ok=True)


def search(
    spec: specs.Search,
    store: Store,
    root: Path,
    device: torch.device,
    keep_epochs: tuple[int, ...] = (),
    keep_ratios: tuple[float, ...] = (),
) -> dict[str, Any]:
    """Train the dense network; leave its scores at every epoch and its weights where tickets will be drawn."""
    started, folder = time.time(), store.folder(spec)
    data = _load(spec, root, device)
    model = network(spec).to(device)
    forward = cost.forward_flops(model, _shape(spec))
    checkpoint = Checkpoint(folder, specs.key(spec))
    resume = checkpoint.load()
    scores = Scores(list(resume["scores"]) if resume else None)
    keeper = KeepWeights(folder / "weights", set(keep_epochs), keep_ratios, scores.rows)
    if resume:
        keeper.restore(resume["history"])
    with cost.Ledger(device) as ledger:
        state = fit(
            model,
            data,
            spec.recipe,
            seed=spec.seed,
            precision=spec.precision,
            observers=[scores, keeper, Progress(specs.key(spec))],
            resume=resume,
            checkpoint=lambda s: checkpoint.save({**s, "scores": torch.stack(scores.rows)}),
        )
    keeper.finish()
    _save_array(folder / "scores.npy", torch.stack(scores.rows).numpy())
    images, n = _images(spec), len(scores.rows[0])
    record = {
        "status": _status(state),
        "metrics": {**_metrics(state), "bn_channels": n, "bn_widths": bn_widths(model)},
        "cost": {
            "forward_flops": forward,
            "training_flops": {c: cost.training_flops(f, images, len(state.history)) for c, f in forward.items()},
            **_seen(ledger, state, resume),
        },
        "provenance": provenance(device, started),
    }
    store.write(spec, record, state.history)
    checkpoint.clear()
    return record


def _seen(ledger: cost.Ledger, state: State, resume: dict[str, Any] | None) -> dict[str, Any]:
    """What the ledger measured. A resumed run was measured in part only: its seconds are those of all its epochs, and
    its energy is blank."""
    seen = ledger.measured()
    if resume:
        total = math.fsum(row["train_seconds"] + row["test_seconds"] for row in state.history)
        seen |= {"seconds": round(total, 3), "energy_j": None, "energy_source": None}
    return seen


def _save_array(path: Path, array: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    atomic_write(path, buffer.getvalue())


def load_scores(search_spec: specs.Search, store: Store) -> Tensor:
    """Scores (epochs + 1, N) that a search left."""
    path = store.folder(search_spec) / "scores.npy"
    try:
        return torch.from_numpy(np.load(path, allow_pickle=False))
    except (OSError, ValueError) as e:
        key = specs.key(search_spec)
        raise UserError(f"scores of search {key}: unreadable ({e}); delete its folder to run it again") from None


def _needed(spec: specs.Spec, store: Store) -> dict[str, Any]:
    record = store.read(spec)
    if record is None:
        raise UserError(f"{spec.stage} {specs.key(spec)} has not been run; run it first")  # type: ignore[attr-defined]
    return record


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


def draw(spec: specs.Ticket, store: Store) -> dict[str, Any]:
    """Take a mask from a search: leave the mask, its channel configuration and what the ticket costs to find."""
    started, began = time.time(), time.perf_counter()
    found = _needed(spec.search, store)
    scores = load_scores(spec.search, store)
    emergence = {rule: emergence_epoch(scores, spec.ratio, rule) if len(scores) > 1 else None for rule in RULES}
    epoch = _draw_epoch(spec, found, emergence)
    metrics: dict[str, Any] = {"epoch": epoch, "emergence": emergence}
    ledger: dict[str, Any] = {}
    if epoch is not None:
        dense = network(spec.search)
        widths = bn_widths(dense)
        context = DrawContext(scores[epoch], widths, spec.ratio, spec.search.seed)
        mask = METHODS.load(spec.method)(context)
        empty = sum(not m.any() for m in split_mask(dense, mask))
        if not dense.residual:
            mask, _ = rescue_empty_layers(mask, scores[epoch], widths)
        channels = kept_channels(dense, mask)
        small = network(spec.search, channels=channels)
        _save_array(store.folder(spec) / "mask.npy", np.packbits(mask.numpy()))
        images = _images(spec.search)
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
            "forward_flops": cost.forward_flops(small, _shape(spec.search)),
            "search_flops": {c: cost.training_flops(f, images, searched) for c, f in dense_forward.items()},
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


def load_mask(ticket: specs.Ticket, store: Store, length: int) -> Tensor:
    """Mask (N,) that a draw left."""
    packed = np.load(store.folder(ticket) / "mask.npy", allow_pickle=False)
    return torch.from_numpy(np.unpackbits(packed, count=length).astype(bool))


def _ticket_network(spec: specs.Retrain, store: Store, drawn: dict[str, Any], seed: int) -> nn.Module:
    """The network a retrain starts from: shrunk with inherited weights, or freshly initialised at the same shape."""
    search_spec = spec.ticket.search
    if spec.init == "reinit":
        return network(search_spec, seed, drawn["metrics"]["channels"])
    dense = network(search_spec)
    path = store.folder(search_spec) / "weights" / weights_name(drawn["metrics"]["epoch"])
    if not path.is_file():
        raise UserError(
            f"weights of search {specs.key(search_spec)} at epoch {drawn['metrics']['epoch']} are not here (weights "
            f"are never committed); make them again: delete {store.record_path(search_spec)} and rerun snakemake"
        )
    dense.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    return shrink(dense, load_mask(spec.ticket, store, sum(bn_widths(dense))))


def _twin(spec: specs.Retrain, store: Store, epoch: int) -> dict[str, Any] | None:
    """Record of the same training asked for by another name ("best" or "eb" against the epoch they resolve to)."""
    for at in (epoch, "eb", "best"):
        twin = dataclasses.replace(spec, ticket=dataclasses.replace(spec.ticket, at=at))
        if twin.ticket.at == spec.ticket.at or not store.done(twin) or not store.done(twin.ticket):
            continue
        drawn = store.read(twin.ticket)
        if drawn and drawn["metrics"]["epoch"] == epoch:
            return store.read(twin)
    return None


def retrain(spec: specs.Retrain, store: Store, root: Path, device: torch.device) -> dict[str, Any]:
    """Train a drawn ticket; leave accuracy and the whole cost: search, draw and retrain."""
    started = time.time()
    drawn = _needed(spec.ticket, store)
    epoch = drawn["metrics"]["epoch"]
    nothing_left = spec.schedule == "continue" and epoch == spec.recipe.epochs  # the best epoch was the last
    if drawn["status"] != "ok" or epoch is None or nothing_left:
        return _without_training(spec, store, drawn, started)
    twin = _twin(spec, store, epoch)
    if twin is not None:
        cost_now = _total_cost(twin["cost"]["retrain_flops"], drawn) | _measured(twin["cost"])
        record = {k: twin[k] for k in ("status", "metrics", "provenance")}
        record = {**record, "cost": cost_now, "trained_as": twin.get("trained_as", twin["key"])}
        store.write(spec, record)
        return record
    seed = RETRAIN_SEED + (spec.ticket.search.seed if spec.seed is None else spec.seed)
    data = _load(spec.ticket.search, root, device)
    model = _ticket_network(spec, store, drawn, seed).to(device)
    checkpoint = Checkpoint(store.folder(spec), specs.key(spec))
    resume = checkpoint.load()
    with cost.Ledger(device) as ledger:
        state = fit(
            model,
            data,
            spec.recipe,
            seed=seed,
            start=epoch if spec.schedule == "continue" else 0,
            precision=spec.precision,
            observers=[Progress(specs.key(spec))],
            resume=resume,
            checkpoint=checkpoint.save,
        )
    images, epochs = _images(spec.ticket.search), len(state.history)
    forward = drawn["cost"]["forward_flops"]
    retrained = {c: cost.training_flops(f, images, epochs) for c, f in forward.items()}
    record = {
        "status": _status(state),
        "metrics": _metrics(state),
        "cost": _total_cost(retrained, drawn) | _seen(ledger, state, resume),
        "provenance": provenance(device, started),
    }
    store.write(spec, record, state.history)
    checkpoint.clear()
    return record


def _measured(ledger: dict[str, Any]) -> dict[str, Any]:
    return {k: ledger[k] for k in ("seconds", "peak_memory_mb", "energy_j", "energy_source")}


def _total_cost(retrained: dict[str, float], drawn: dict[str, Any]) -> dict[str, Any]:
    """Training FLOPs = search + draw + retrain, under every convention."""
    ledger = drawn["cost"]
    total = {c: ledger["search_flops"][c] + ledger["draw_flops"] + f for c, f in retrained.items()}
    return {
        "forward_flops": ledger["forward_flops"],
        "search_flops": ledger["search_flops"],
        "draw_flops": ledger["draw_flops"],
        "retrain_flops": retrained,
        "training_flops": total,
    }


def _without_training(spec: specs.Retrain, store: Store, drawn: dict[str, Any], started: float) -> dict[str, Any]:
    """Record that there was nothing to retrain: the search diverged, its ticket never emerged or came too late."""
    record = {
        "status": "no-ticket",
        "metrics": {"epochs": 0, "last_accuracy": None, "best_accuracy": None, "best_epoch": None},
        "cost": {},
        "provenance": provenance(torch.device("cpu"), started),
    }
    store.write(spec, record)
    return record

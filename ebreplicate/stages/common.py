"""What the stages share: the network of a run, its data, its metrics, its checkpoint, what it left on disk."""

import io
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ebreplicate import cost
from ebreplicate.errors import UserError
from ebreplicate.models import build
from ebreplicate.models.common import Network
from ebreplicate.plan import spec as specs
from ebreplicate.records import Store, atomic_write
from ebreplicate.training import data as datasets
from ebreplicate.training import distributed, lowprecision
from ebreplicate.training.averaging import WeightAverage
from ebreplicate.training.datasets import INFO
from ebreplicate.training.folder import FolderData
from ebreplicate.training.loop import State, StepHook


def network(search: specs.Training, seed: int | None = None, channels: list[int] | None = None) -> Network:
    """The network of a search on the CPU, initialised from `seed` (default: the search's)."""
    torch.manual_seed(search.seed if seed is None else seed)
    return build(search.model, INFO[search.dataset].classes, search.width, channels, shape(search))


def images(search: specs.Training) -> int:
    """Training images of a run."""
    return search.train_size or INFO[search.dataset].train


def shape(search: specs.Training) -> tuple[int, int, int]:
    """Shape of one image, (channels, side, side)."""
    return INFO[search.dataset].shape


def load_data(search: specs.Training, root: Path, device: torch.device) -> datasets.Data | FolderData:
    """The run's images, on `device`."""
    return datasets.load(search.dataset, root, search.train_size, search.test_size).to(device)


def metrics_of(state: State) -> dict[str, Any]:
    """Last-epoch and best-epoch accuracy, both exact; best is selected on the test set, as the authors' code does.

    Early stopping is at the epoch of minimum test loss (the lottery-ticket paper's criterion, on its validation set);
    `best_top5` is the top-5 accuracy of the epoch with the best top-1.
    """
    if not state.history:
        return {"epochs": 0, "last_accuracy": None, "best_accuracy": None, "best_epoch": None, "last_train_loss": None}
    best = max(state.history, key=lambda row: row["test_accuracy"])
    finite = [row for row in state.history if math.isfinite(row["test_loss"])]
    stop = min(finite or state.history[:1], key=lambda row: row["test_loss"])
    last = state.history[-1]
    loss = last["train_loss"]
    return {
        "epochs": len(state.history),
        "last_accuracy": last["test_accuracy"],
        "best_accuracy": best["test_accuracy"],
        "best_epoch": int(best["epoch"]),
        "early_stop_accuracy": stop["test_accuracy"],
        "early_stop_epoch": int(stop["epoch"]),
        "last_top5": last.get("test_top5"),
        "best_top5": best.get("test_top5"),
        "last_train_loss": loss if math.isfinite(loss) else None,
    }


def status_of(state: State) -> str:
    """ "ok", or "diverged" where the loss was not finite or training stopped early."""
    finite = all(math.isfinite(row["train_loss"]) for row in state.history)
    return "ok" if finite and state.epoch == state.recipe.epochs else "diverged"


def hooks_of(recipe: specs.Recipe, precision: str, seed: int) -> list[StepHook]:
    """Step hooks of a training: rounding in low precision, then averaging of the rounded weights."""
    averages = [] if recipe.swa_start is None else [WeightAverage()]
    return [*lowprecision.hooks(precision, seed), *averages]


def averaged_metrics(hooks: list[StepHook], state: State, data: datasets.ImageData, seed: int) -> dict[str, Any]:
    """Accuracy of the averaged weights beside that of the training, where the recipe averages; None if it diverged."""
    average = next((hook for hook in hooks if isinstance(hook, WeightAverage)), None)
    if average is None:
        return {}
    return {"swa_accuracy": average.accuracy(data, seed) if status_of(state) == "ok" else None}


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

    def save(self, snapshot: dict[str, Any], now: bool = False) -> None:
        """Write the snapshot, atomically, if it is time to or `now`."""
        if not distributed.leads() or (not now and time.monotonic() - self.told < self.every):
            return
        buffer = io.BytesIO()
        torch.save({**snapshot, "key": self.key}, buffer)
        atomic_write(self.path, buffer.getvalue())
        self.told = time.monotonic()

    def clear(self) -> None:
        """Remove the snapshot of a finished run."""
        if distributed.leads():
            self.path.unlink(missing_ok=True)


def seen(ledger: cost.Ledger, state: State, resume: dict[str, Any] | None) -> dict[str, Any]:
    """What the ledger measured; energy of all processes. A resumed run was measured in part only: its seconds are those
    of all its epochs, and its energy is blank."""
    seen = ledger.measured()
    seen["energy_j"] = distributed.energy(seen["energy_j"], ledger.energy.source, ledger.device)
    if resume:
        total = math.fsum(row["train_seconds"] + row["test_seconds"] for row in state.history)
        seen |= {"seconds": round(total, 3), "energy_j": None, "energy_source": None}
    return seen


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an array of any shape, atomically; of several processes, the first does."""
    if not distributed.leads():
        return
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    atomic_write(path, buffer.getvalue())


def load_scores(search_spec: specs.Search, store: Store) -> Tensor:
    """Scores (epochs + 1, N) that a search left. Raises UserError where they cannot be read."""
    path = store.folder(search_spec) / "scores.npy"
    try:
        return torch.from_numpy(np.load(path, allow_pickle=False))
    except (OSError, ValueError) as e:
        key = specs.key(search_spec)
        raise UserError(f"scores of search {key}: unreadable ({e}); delete its folder to run it again") from None


def load_taylor(search_spec: specs.Search, store: Store) -> Tensor:
    """Taylor scores (epochs + 1, N) that a search left if asked to. Raises UserError where they are not here."""
    path, key = store.folder(search_spec) / "taylor.npy", specs.key(search_spec)
    if not path.is_file():
        raise UserError(
            f"taylor scores of search {key} are not here: it ran without --keep-taylor; make them: delete "
            f"{store.record_path(search_spec)} and rerun snakemake"
        )
    try:
        return torch.from_numpy(np.load(path, allow_pickle=False))
    except (OSError, ValueError) as e:
        raise UserError(f"taylor scores of search {key}: unreadable ({e}); delete its folder to run it again") from None


def needed(spec: specs.Spec, store: Store) -> dict[str, Any]:
    """Record of a run that must have finished; raises UserError if it has not."""
    record = store.read(spec)
    if record is None:
        raise UserError(f"{spec.stage} {specs.key(spec)} has not been run; run it first")
    return record


def load_mask(ticket: specs.Ticket, store: Store, length: int) -> Tensor:
    """Mask (N,) that a draw left."""
    packed = np.load(store.folder(ticket) / "mask.npy", allow_pickle=False)
    return torch.from_numpy(np.unpackbits(packed, count=length).astype(bool))

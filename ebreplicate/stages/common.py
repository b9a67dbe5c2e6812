"""What the stages share: the network of a run, its data, its metrics, its checkpoint, what it left on disk."""

import io
import math
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ebreplicate import cost
from ebreplicate.catalog import INFO
from ebreplicate.data import arrays as datasets
from ebreplicate.data.folders import FolderData
from ebreplicate.errors import UserError
from ebreplicate.files import atomic_write
from ebreplicate.models import build
from ebreplicate.models.common import Network, initialised
from ebreplicate.specs import spec as specs
from ebreplicate.store import snapshots
from ebreplicate.store.store import CHECKPOINT, Store
from ebreplicate.training import distributed, lowprecision
from ebreplicate.training.averaging import WeightAverage
from ebreplicate.training.loop import State, StepHook
from ebreplicate.training.unseen import CORRECT, accuracies, correct_images
from ebreplicate.training.validation import Validation


def network(search: specs.Training, seed: int | None = None, channels: list[int] | None = None) -> Network:
    """The network of a search on the CPU, initialised from `seed` (default: the search's)."""
    torch.manual_seed(search.seed if seed is None else seed)
    model = build(search.model, INFO[search.dataset].classes, search.width, channels, shape(search))
    return initialised(model, search.weight_init)


def shape(search: specs.Training) -> tuple[int, int, int]:
    """Shape of one image, (channels, side, side)."""
    return INFO[search.dataset].shape


def load_data(search: specs.Training, root: Path, device: torch.device) -> datasets.Data | FolderData:
    """The run's images, on `device`."""
    sizes = (search.train_size, search.test_size, search.validation)
    data = datasets.load(search.dataset, root, *sizes, search.standardise)
    return data.to(device)


def validations(search: specs.Training, data: datasets.Data | FolderData, precision: str) -> list[Validation]:
    """The hook that evaluates on held-out images, for a training whose spec holds some out."""
    if not search.validation:
        return []
    assert isinstance(data, datasets.Data)  # the spec refuses streamed datasets
    return [Validation(data, search.validation_interval, precision)]


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


def validated_metrics(metrics: dict[str, Any], hooks: Iterable[Validation]) -> dict[str, Any]:
    """The metrics with early stopping on held-out images in the place of that on the test loss, where there are any."""
    for hook in hooks:
        metrics = {k: v for k, v in metrics.items() if k != "early_stop_epoch"} | hook.metrics()
    return metrics


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


def unseen_metrics(
    search: specs.Training, model: nn.Module, root: Path, precision: str, folder: Path
) -> dict[str, Any]:
    """Accuracies of a trained network on the images that no training of `search` sees, where its spec asks for them.

    Writes correct.npy, one bit an image, into the run's `folder`. Hooks are off: activations are in `precision`, and of
    an eight-bit training in fp32.
    """
    if search.evaluation != "unseen":
        return {}
    correct = correct_images(model, search, root, precision)
    save_array(folder / CORRECT, np.packbits(correct))
    return accuracies(search, correct)


def checkpoint_seconds() -> float:
    """Least time between two checkpoints of a run: EBREPLICATE_CHECKPOINT_SECONDS, 60 by default.

    Raises UserError for a value that is no number of seconds.
    """
    text = os.environ.get("EBREPLICATE_CHECKPOINT_SECONDS", "60")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise UserError(f"EBREPLICATE_CHECKPOINT_SECONDS: expected seconds, 0 for every epoch, got {text!r}")
    return seconds


SNAPSHOT = {"model", "optimizer", "hooks", "epoch", "history"}
"""What a snapshot holds for `fit`."""


class Checkpoint:
    """The resumable snapshot of an unfinished run; written at most every `every` seconds, removed at the end.

    By default EBREPLICATE_CHECKPOINT_SECONDS, or a minute.
    """

    def __init__(self, folder: Path, key: str, every: float | None = None):
        self.path, self.key, self.told = folder / CHECKPOINT, key, time.monotonic()
        self.every = checkpoint_seconds() if every is None else every

    def load(self) -> dict[str, Any] | None:
        """Snapshot of this run, or None; a damaged or foreign one is discarded with a line: a run can start over."""
        try:
            snapshot = snapshots.load(self.path)
            if not isinstance(snapshot, dict) or snapshot.get("key") != self.key:
                raise snapshots.Damaged("of another run")
            if not set(snapshot) >= SNAPSHOT:
                raise snapshots.Damaged("of another version")
            return snapshot
        except FileNotFoundError:
            return None
        except (OSError, snapshots.Damaged) as e:
            print(f"{self.path}: checkpoint discarded ({e}); starting over", file=sys.stderr)
            return None

    def save(self, snapshot: dict[str, Any], now: bool = False) -> bool:
        """Write the snapshot, atomically, if it is time to or `now`; True if it was written."""
        if not distributed.leads() or (not now and time.monotonic() - self.told < self.every):
            return False
        snapshots.save(self.path, {**snapshot, "key": self.key})
        self.told = time.monotonic()
        return True

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
    return _scores(search_spec, store, "scores.npy")


def _scores(search_spec: specs.Search, store: Store, name: str) -> Tensor:
    found = store.part(search_spec, name, axes=2)
    if found.dtype != np.float32:
        raise UserError(f"{name} of search {specs.key(search_spec)}: not float32; delete its folder to run it again")
    return torch.from_numpy(found)


def load_taylor(search_spec: specs.Search, store: Store) -> Tensor:
    """Taylor scores (epochs + 1, N) that a search left if asked to. Raises UserError where they are not here."""
    path, key = store.folder(search_spec) / "taylor.npy", specs.key(search_spec)
    if not path.is_file():
        raise UserError(
            f"taylor scores of search {key} are not here: it ran without --keep-taylor; make them: delete "
            f"{store.record_path(search_spec)} and rerun snakemake"
        )
    return _scores(search_spec, store, "taylor.npy")


def needed(spec: specs.Spec, store: Store) -> dict[str, Any]:
    """Record of a run that must have finished; raises UserError if it has not."""
    record = store.read(spec)
    if record is None:
        raise UserError(f"{spec.stage} {specs.key(spec)} has not been run; run it first")
    return record


def load_mask(ticket: specs.Ticket | specs.Sparse, store: Store, length: int) -> Tensor:
    """Mask (N,) that a draw or a sparse training left. Raises UserError where it is not one of `length` entries."""
    packed = store.part(ticket, "mask.npy", axes=1)
    if packed.dtype != np.uint8 or len(packed) != -(-length // 8):
        key = specs.key(ticket)
        raise UserError(
            f"mask.npy of {ticket.stage} {key}: not a mask of {length} places; delete its folder to run it again"
        )
    return torch.from_numpy(np.unpackbits(packed, count=length).astype(bool))

"""Rebuild missing checkpoints of a finished search by retraining it deterministically; weights are never committed."""

import contextlib
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ebreplicate.errors import UserError
from ebreplicate.models.common import Network
from ebreplicate.pruning.channels import bn_widths, prunable_scores
from ebreplicate.runner.checkpoint import Checkpoint
from ebreplicate.runner.hooks import search_hooks
from ebreplicate.runner.inputs import load_data, load_scores, needed, network
from ebreplicate.runner.record import save_array
from ebreplicate.runner.recorder import Recorder, usable
from ebreplicate.specs import spec as specs
from ebreplicate.specs.keep import Keep
from ebreplicate.store import locks, manifest, snapshots
from ebreplicate.store.merging import checked_run
from ebreplicate.store.schema import MOST_THREADS
from ebreplicate.store.store import Store
from ebreplicate.training import distributed
from ebreplicate.training.device import on, threads
from ebreplicate.training.loop import Observer, State, fit
from ebreplicate.training.observers import Progress, weights_name

AGAIN = ".again"
"""Folder, inside a search's, for the files of its retraining."""
TOLERANCE = 1e-3
"""Largest difference of any score at an epoch that counts as rounding, not as another training."""


def load_weights(
    model: Network, run: specs.Search | specs.Retrain, epoch: int, store: Store, root: Path, device: torch.device | str
) -> Network:
    """Load into `model` the weights of the finished training `run` after `epoch` epochs.

    A search whose weights are not on disk is retrained, on `device` (a name takes a slot of that device). Raises
    UserError where that does not reproduce its recorded scores (another kind of device), and for a retrain whose
    weights are missing.
    """
    path = store.folder(run) / "weights" / weights_name(epoch)
    _discard_damaged(model, run, epoch, path, store)
    if isinstance(run, specs.Search):
        _have(run, epoch, path, store, root, device)
    elif not path.is_file():
        raise UserError(
            f"weights of {run.stage} {specs.key(run)} at epoch {epoch} are not here (weights are never committed); "
            f"make them again: delete {store.record_path(run)} and run it again"
        )
    model.load_state_dict(snapshots.load(path))
    return model


def _difference(model: nn.Module, recorded: Tensor) -> float:
    """Largest difference of the model's scores from the recorded ones, shape (N,)."""
    return (prunable_scores(model).cpu() - recorded).abs().max().item() if recorded.numel() else 0.0


def _discard_damaged(model: Network, run: specs.Search | specs.Retrain, epoch: int, path: Path, store: Store) -> None:
    """Remove weights, with a message, that are damaged, of another network, or of another epoch.

    Those of a search must have the scores that it recorded at the epoch.
    """
    try:
        model.load_state_dict(snapshots.load(path))
        if isinstance(run, specs.Search) and _difference(model, load_scores(run, store)[epoch]) > TOLERANCE:
            raise snapshots.Damaged("their scores are not those of the epoch")
    except FileNotFoundError:
        return
    except (snapshots.Damaged, RuntimeError, TypeError, AttributeError, IndexError) as e:  # by load_state_dict
        print(f"{path}: weights discarded ({str(e).splitlines()[0]})", file=sys.stderr)
        path.unlink(missing_ok=True)


def _have(spec: specs.Search, epoch: int, path: Path, store: Store, root: Path, device: torch.device | str) -> None:
    """Rebuild the weights of a search unless they are at `path`; of several processes, one does."""
    if not path.is_file():
        if distributed.world() > 1:
            raise UserError(
                f"weights of search {specs.key(spec)} at epoch {epoch} are missing; let one process rebuild them: "
                "run this once without --processes"
            )
        with on(device) as there, _alone(spec, store):
            if not path.is_file():  # another process may have just rebuilt them
                _rebuild(spec, epoch, store, root, there)


@contextlib.contextmanager
def _alone(spec: specs.Search, store: Store) -> Iterator[None]:
    """Hold the lock for retraining the search; raises Busy if another process does and this one must not wait.

    Entered with the device already held: waiting for a device in here could deadlock with those who hold one and wait
    for this lock.
    """
    with locks.held(store.folder(spec), store.patient, name=locks.AGAIN) as mine:
        if not mine:
            raise locks.Busy(store.folder(spec))
        yield


def _drawn_epochs(spec: specs.Search, store: Store) -> set[int]:
    """Every epoch at which tickets of this search were drawn: one retraining serves all of them."""
    epochs = set()
    for path in (store.root / "runs" / "draw").glob(f"{specs.key(spec).rsplit('-', 1)[0]}-*/spec.json"):
        try:
            ticket, record = checked_run(path.parent)
        except UserError:  # `verify` says what is wrong with it
            continue
        ours = isinstance(ticket, specs.Ticket) and ticket.search == spec and ticket.after is None
        if ours and record and record["metrics"]["epoch"]:
            epochs.add(record["metrics"]["epoch"])
    return epochs


def _planned(spec: specs.Search, store: Store) -> Keep:
    """What the runs that are planned will need of the weights, of this search; they are saved on the way."""
    found = manifest.find(specs.key(spec), store.root)
    return replace(found.keep, taylor=False) if found else Keep()


def _rebuild(spec: specs.Search, epoch: int, store: Store, root: Path, device: torch.device) -> None:
    """Retrain the search in a folder of its own, and move the missing weights over once its scores agree."""
    folder = store.folder(spec) / "weights"
    keep = Keep({epoch} | {e for e in _drawn_epochs(spec, store) if not (folder / weights_name(e)).is_file()})
    with _trained_again(spec, max(keep.epochs), keep, store, root, device) as (beside, _):
        _take(beside, folder)


def _take(beside: Path, folder: Path) -> None:
    """Move weights from `beside` to where they are missing in `folder`."""
    folder.mkdir(exist_ok=True)
    for file in beside.glob("epoch_*.pt"):
        if not (folder / file.name).is_file():
            file.replace(folder / file.name)


def have_rows(name: str, spec: specs.Search, store: Store, root: Path, device: torch.device | str, keep: Keep) -> None:
    """Make sure that what a finished search records of every epoch is on disk, by retraining it if need be.

    `name`: "taylor" or "displacement", as `keep` asks for it; the weights that `keep` names are saved along the way.
    """
    path = store.folder(spec) / f"{name}.npy"
    if path.is_file():
        return
    with on(device) as there, _alone(spec, store):
        if not path.is_file():
            last = needed(spec, store)["metrics"]["epochs"]
            with _trained_again(spec, last, keep, store, root, there) as (beside, rows):
                _take(beside, store.folder(spec) / "weights")
                save_array(path, rows[name].numpy())


@contextlib.contextmanager
def _trained_again(
    spec: specs.Search, until: int, keep: Keep, store: Store, root: Path, device: torch.device
) -> Iterator[tuple[Path, dict[str, Tensor]]]:
    """Retrain a finished search for `until` epochs; yields the folder of its weights, and the rows it recorded.

    Its checkpoints are in that folder, which is removed when the block ends; after an interruption the retraining is
    resumed from them. Raises UserError at the first epoch whose scores differ from the recorded ones.
    """
    keep = keep | _planned(spec, store)
    model, beside, name = network(spec).to(device), store.folder(spec) / AGAIN, f"{specs.key(spec)} again"
    checkpoint = Checkpoint(beside, name)
    resume = _complete(usable(checkpoint.load(), keep), keep, beside)
    if resume is None:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir()
    recorder = Recorder(keep, beside, bn_widths(model), resume, best=False)
    try:
        with threads(threads_of(needed(spec, store))):
            data = load_data(spec, root, device)
            fit(
                model,
                data,
                spec.recipe,
                seed=spec.seed,
                precision=spec.precision,
                hooks=[*search_hooks(spec, data), *recorder.hooks],
                observers=[_same_as_recorded(spec, store), *recorder.observers, Progress(name)],
                resume=resume,
                checkpoint=recorder.checkpoint(checkpoint),
                until=until,
            )
    except UserError:  # it cannot be resumed
        shutil.rmtree(beside, ignore_errors=True)
        raise
    yield beside, recorder.arrays()
    shutil.rmtree(beside, ignore_errors=True)


def _same_as_recorded(spec: specs.Search, store: Store) -> Observer:
    """Return an observer that raises UserError after an epoch whose scores differ from the recorded ones."""
    recorded = load_scores(spec, store)

    def compare(state: State) -> None:
        off = _difference(state.model, recorded[state.epoch])
        if off > TOLERANCE:
            raise UserError(
                f"search {specs.key(spec)}: training it again here does not give its recorded scores (off by {off:.2g} "
                f"at epoch {state.epoch}; another device or processor?), so its tickets cannot be trained here. Run "
                "them where the search was run (docs/troubleshooting.md says how to compute as an older processor "
                "does), or all of it here: in a results folder of its own (--results FOLDER, of the workflow --config "
                f"results=FOLDER), or after deleting {store.folder(spec)} and what builds on it"
            )

    return compare


def threads_of(record: dict[str, Any]) -> int:
    """CPU threads named in a record, on whose number sums depend; else the present number."""
    then = record["provenance"].get("threads")
    return then if type(then) is int and 1 <= then <= MOST_THREADS else torch.get_num_threads()


def _complete(snapshot: dict[str, Any] | None, keep: Keep, folder: Path) -> dict[str, Any] | None:
    """The snapshot, if the checkpoints wanted from the epochs before it were saved."""
    past = [] if snapshot is None else [e for e in keep.epochs if e <= snapshot["epoch"]]
    return snapshot if all((folder / weights_name(e)).is_file() for e in past) else None

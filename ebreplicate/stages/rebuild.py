"""Weights of a finished search that are not here: they are never committed, so they are grown again when asked for."""

import contextlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ebreplicate.errors import UserError
from ebreplicate.models.common import Network
from ebreplicate.pruning.surgery import prunable_scores
from ebreplicate.specs import spec as specs
from ebreplicate.specs.keep import Keep
from ebreplicate.stages.checkpoint import Checkpoint
from ebreplicate.stages.inputs import load_data, load_scores, needed, network
from ebreplicate.stages.record import save_array
from ebreplicate.stages.search import fitting, rows_of
from ebreplicate.stages.training import hooks_of
from ebreplicate.store import locks, snapshots
from ebreplicate.store.merging import checked_run
from ebreplicate.store.store import Store
from ebreplicate.training import distributed
from ebreplicate.training.device import on, threads
from ebreplicate.training.loop import Observer, State, fit
from ebreplicate.training.observers import KeepWeights, Progress, Scores, weights_name
from ebreplicate.training.soft import SoftFilters
from ebreplicate.training.taylor import Taylor

AGAIN = ".again"
"""Folder, in a search's, of what it leaves while it is trained again."""
MOST_THREADS = 1024
"""That a record may ask for."""
TOLERANCE = 1e-3
"""Largest difference of any score at the epoch that is still the same training: rounding, not another trajectory."""


def load_weights(
    model: Network, run: specs.Search | specs.Retrain, epoch: int, store: Store, root: Path, device: torch.device | str
) -> Network:
    """Load into `model` what the finished training `run` was after `epoch` epochs.

    A search is trained again if its weights are not on disk, on `device` or in a slot of the one named so. Raises
    UserError where that does not reproduce the scores it left (another kind of device), and for a retrain whose weights
    are gone.
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


def _off(model: nn.Module, left: Tensor) -> float:
    """Largest difference of the model's scores from those that were left, shape (N,)."""
    return (prunable_scores(model).cpu() - left).abs().max().item() if left.numel() else 0.0


def _discard_damaged(model: Network, run: specs.Search | specs.Retrain, epoch: int, path: Path, store: Store) -> None:
    """Remove weights that are not those the run left, saying so: damaged, of another network, or of another epoch.

    Those of a search must have the scores that it recorded at the epoch.
    """
    try:
        model.load_state_dict(snapshots.load(path))
        if isinstance(run, specs.Search) and _off(model, load_scores(run, store)[epoch]) > TOLERANCE:
            raise snapshots.Damaged("their scores are not those of the epoch")
    except FileNotFoundError:
        return
    except (snapshots.Damaged, RuntimeError, TypeError, AttributeError, IndexError) as e:  # by load_state_dict
        print(f"{path}: weights discarded ({str(e).splitlines()[0]})", file=sys.stderr)
        path.unlink(missing_ok=True)


def _have(spec: specs.Search, epoch: int, path: Path, store: Store, root: Path, device: torch.device | str) -> None:
    """Grow the weights of a search unless they are at `path`; of several processes, one."""
    if not path.is_file():
        if distributed.world() > 1:
            raise UserError(
                f"weights of search {specs.key(spec)} at epoch {epoch} are not here; let one process grow them again: "
                "run this once without --processes"
            )
        with on(device) as there, _alone(spec, store):
            if not path.is_file():  # another process may have just grown them
                _regrow(spec, epoch, store, root, there)


@contextlib.contextmanager
def _alone(spec: specs.Search, store: Store) -> Iterator[None]:
    """Be the one process that trains the search again; raises Busy if another is, and we are not to wait.

    Entered with the device in hand: whoever waited for one in here would wait for those who wait for this, with theirs.
    """
    with locks.held(store.folder(spec), store.patient, name=locks.AGAIN) as mine:
        if not mine:
            raise locks.Busy
        yield


def _drawn_epochs(spec: specs.Search, store: Store) -> set[int]:
    """Every epoch that tickets of this search have been drawn at: one training serves all of them."""
    epochs = set()
    for path in (store.root / "runs" / "draw").glob(f"{specs.key(spec).rsplit('-', 1)[0]}-*/spec.json"):
        try:
            ticket = checked_run(path.parent)
        except UserError:  # `verify` says what is wrong with it
            continue
        ours = isinstance(ticket, specs.Ticket) and ticket.search == spec and ticket.after is None
        record = store.read(ticket) if ours else None
        if record and record["metrics"]["epoch"]:
            epochs.add(record["metrics"]["epoch"])
    return epochs


def _regrow(spec: specs.Search, epoch: int, store: Store, root: Path, device: torch.device) -> None:
    """Train the search again beside its weights, and add what is missing once its scores have come out right."""
    keep, folder = Keep({epoch} | _drawn_epochs(spec, store)), store.folder(spec) / "weights"
    with _trained_again(spec, max(keep.epochs), keep, store, root, device) as (beside, _):
        folder.mkdir(exist_ok=True)
        for file in beside.glob("epoch_*.pt"):
            if not (folder / file.name).is_file():
                file.replace(folder / file.name)


def have_taylor(spec: specs.Search, store: Store, root: Path, device: torch.device | str) -> None:
    """Have the Taylor scores of a finished search on disk: one that ran without recording them is trained again."""
    path = store.folder(spec) / "taylor.npy"
    if path.is_file():
        return
    with on(device) as there, _alone(spec, store):
        if not path.is_file():
            last = needed(spec, store)["metrics"]["epochs"]
            with _trained_again(spec, last, Keep(taylor=True), store, root, there) as (_, rows):
                save_array(path, rows["taylor"].numpy())


@contextlib.contextmanager
def _trained_again(
    spec: specs.Search, until: int, keep: Keep, store: Store, root: Path, device: torch.device
) -> Iterator[tuple[Path, dict[str, Tensor]]]:
    """Train a finished search again for `until` epochs; the folder of its weights, and rows of scores.

    It leaves checkpoints in that folder, which goes when the block ends: stopped before, it is continued next time.
    Raises UserError at the first epoch whose scores do not come out as they were left.
    """
    model, beside, name = network(spec).to(device), store.folder(spec) / AGAIN, f"{specs.key(spec)} again"
    checkpoint = Checkpoint(beside, name)
    resume = _usable(fitting(checkpoint.load(), keep), keep, beside)
    if resume is None:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir()
    scores = Scores(list(resume["scores"]) if resume else None)
    recorded = [Taylor(list(resume["taylor"]) if resume else None)] if keep.taylor else []
    soft = [SoftFilters(spec.soft_ratio)] if spec.soft_ratio else []
    keeper = KeepWeights(beside, keep, [], best=False)
    try:
        with threads(threads_of(needed(spec, store))):
            fit(
                model,
                load_data(spec, root, device),
                spec.recipe,
                seed=spec.seed,
                precision=spec.precision,
                hooks=[*hooks_of(spec.recipe, spec.precision, spec.seed), *soft, *recorded],
                observers=[_same_as_left(spec, store), scores, *recorded, keeper, Progress(name)],
                resume=resume,
                checkpoint=lambda s, now: checkpoint.save(s | rows_of(scores, *recorded), now),
                until=until,
            )
    except UserError:  # nobody can go on from there
        shutil.rmtree(beside, ignore_errors=True)
        raise
    yield beside, rows_of(scores, *recorded)
    shutil.rmtree(beside, ignore_errors=True)


def _same_as_left(spec: specs.Search, store: Store) -> Observer:
    """Raises UserError after an epoch whose scores are not those that the search left."""
    left = load_scores(spec, store)

    def compare(state: State) -> None:
        off = _off(state.model, left[state.epoch])
        if off > TOLERANCE:
            raise UserError(
                f"search {specs.key(spec)}: training it again here does not give the scores it left (off by {off:.2g} "
                f"at epoch {state.epoch}; another device?), so its tickets cannot be trained here. Run them where the "
                "search was run, or all of it here: in a results folder of its own (--results FOLDER, of the workflow "
                f"--config results=FOLDER), or after deleting {store.folder(spec)} and what builds on it"
            )

    return compare


def threads_of(record: dict[str, Any]) -> int:
    """CPU threads of the run that left the record, if it says so: sums depend on how many share them."""
    then = record["provenance"].get("threads")
    return then if type(then) is int and 1 <= then <= MOST_THREADS else torch.get_num_threads()


def _usable(snapshot: dict[str, Any] | None, keep: Keep, folder: Path) -> dict[str, Any] | None:
    """The snapshot, if what is to be kept of the epochs before it was kept."""
    past = [] if snapshot is None else [e for e in keep.epochs if e <= snapshot["epoch"]]
    return snapshot if all((folder / weights_name(e)).is_file() for e in past) else None

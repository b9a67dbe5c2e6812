"""Weights of a finished search that are not here: they are never committed, so they are grown again when asked for."""

import fcntl
import shutil
import sys
from pathlib import Path
from typing import Any

import torch

from ebreplicate.errors import UserError
from ebreplicate.merging import checked_run
from ebreplicate.models.common import Network
from ebreplicate.plan import spec as specs
from ebreplicate.plan.keep import Keep
from ebreplicate.pruning.surgery import prunable_scores
from ebreplicate.records import TEMPORARY, Store
from ebreplicate.stages.common import hooks_of, load_data, load_scores, needed, network, save_array
from ebreplicate.training import distributed, snapshots
from ebreplicate.training.loop import StepHook, fit
from ebreplicate.training.observers import KeepWeights, Progress, Scores, weights_name
from ebreplicate.training.soft import SoftFilters
from ebreplicate.training.taylor import Taylor

TOLERANCE = 1e-3
"""Largest difference of any score at the epoch that is still the same training: rounding, not another trajectory."""


def load_weights(
    model: Network, run: specs.Search | specs.Retrain, epoch: int, store: Store, root: Path, device: torch.device
) -> Network:
    """Load into `model` what the finished training `run` was after `epoch` epochs.

    A search is trained again if its weights are not on disk. Raises UserError where that does not reproduce the scores
    it left (another kind of device), and for a retrain whose weights are gone.
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


def _discard_damaged(model: Network, run: specs.Search | specs.Retrain, epoch: int, path: Path, store: Store) -> None:
    """Remove weights that are not those the run left, saying so: damaged, of another network, or of another epoch.

    Those of a search must have the scores that it recorded at the epoch.
    """
    try:
        model.load_state_dict(snapshots.load(path))
        if isinstance(run, specs.Search):
            left = load_scores(run, store)[epoch]
            if left.numel() and (prunable_scores(model).cpu() - left).abs().max() > TOLERANCE:
                raise snapshots.Damaged("their scores are not those of the epoch")
    except FileNotFoundError:
        return
    except (snapshots.Damaged, RuntimeError, TypeError, AttributeError, IndexError) as e:  # by load_state_dict
        print(f"{path}: weights discarded ({str(e).splitlines()[0]})", file=sys.stderr)
        path.unlink(missing_ok=True)


def _have(spec: specs.Search, epoch: int, path: Path, store: Store, root: Path, device: torch.device) -> None:
    """Grow the weights of a search unless they are at `path`; of several processes, one."""
    folder = store.folder(spec)
    if not path.is_file():
        if distributed.world() > 1:
            raise UserError(
                f"weights of search {specs.key(spec)} at epoch {epoch} are not here; let one process grow them again: "
                "run this once without --processes"
            )
        with (folder / ".regrow.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.is_file():  # another process may have just grown them
                _regrow(spec, epoch, store, root, device)


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
    folder, keep = store.folder(spec) / "weights", Keep({epoch} | _drawn_epochs(spec, store))
    beside = folder / f"{TEMPORARY}again"
    shutil.rmtree(beside, ignore_errors=True)
    try:
        keeper = KeepWeights(beside, keep, [], best=False)
        _train_again(spec, epoch, store, root, device, [keeper], until=max(keep.epochs))
        for file in beside.iterdir():
            if not (folder / file.name).is_file():
                file.replace(folder / file.name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def have_taylor(spec: specs.Search, store: Store, root: Path) -> None:
    """Have the Taylor scores of a finished search on disk: one that ran without recording them is trained again."""
    folder = store.folder(spec)
    if (folder / "taylor.npy").is_file():
        return
    with (folder / ".regrow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "taylor.npy").is_file():
            recorder, last = Taylor(None), needed(spec, store)["metrics"]["epochs"]
            _train_again(spec, last, store, root, torch.device("cpu"), [recorder], until=last)
            save_array(folder / "taylor.npy", torch.stack(recorder.rows).numpy())


def _train_again(
    spec: specs.Search, epoch: int, store: Store, root: Path, device: torch.device, recorders: list[Any], until: int
) -> None:
    """Train a finished search again with `recorders` as observers (and hooks, those that are).

    Raises UserError unless its scores at `epoch` come out as they were left.
    """
    left, model, scores = load_scores(spec, store), network(spec).to(device), Scores()
    soft = [SoftFilters(spec.soft_ratio)] if spec.soft_ratio else []
    hooks = [*hooks_of(spec.recipe, spec.precision, spec.seed), *soft]
    fit(
        model,
        load_data(spec, root, device),
        spec.recipe,
        seed=spec.seed,
        precision=spec.precision,
        hooks=[*hooks, *(r for r in recorders if isinstance(r, StepHook))],
        observers=[scores, *recorders, Progress(f"{specs.key(spec)} again")],
        until=until,
    )
    off = (scores.rows[epoch] - left[epoch]).abs().max().item() if left.shape[1] else 0.0
    if off > TOLERANCE:
        raise UserError(
            f"search {specs.key(spec)}: training it again here does not give the scores it left (off by {off:.2g} at "
            f"epoch {epoch}; another device?), so its tickets cannot be trained here. Either run them where the search "
            f"was run, or delete {store.folder(spec)} and what builds on it to run all of it here"
        )

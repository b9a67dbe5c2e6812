"""Weights of a finished search that are not here: they are never committed, so they are grown again when asked for."""

import fcntl
from pathlib import Path
from typing import Any

import torch

from ebreplicate.errors import UserError
from ebreplicate.models.common import Network
from ebreplicate.plan import spec as specs
from ebreplicate.plan.keep import Keep
from ebreplicate.records import Store
from ebreplicate.stages.common import hooks_of, load_data, load_scores, needed, network, save_array
from ebreplicate.training import distributed
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
    folder = store.folder(run)
    path = folder / "weights" / weights_name(epoch)
    if isinstance(run, specs.Search):
        _have(run, epoch, path, store, root, device)
    elif not path.is_file():
        raise UserError(
            f"weights of {run.stage} {specs.key(run)} at epoch {epoch} are not here (weights are never committed); "
            f"make them again: delete {store.record_path(run)} and run it again"
        )
    model.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    return model


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
        ticket = specs.from_json(path.read_text())
        record = store.read(ticket) if ticket.search == spec and ticket.after is None else None
        if record and record["metrics"]["epoch"]:
            epochs.add(record["metrics"]["epoch"])
    return epochs


def _regrow(spec: specs.Search, epoch: int, store: Store, root: Path, device: torch.device) -> None:
    folder, keep = store.folder(spec) / "weights", Keep({epoch} | _drawn_epochs(spec, store))
    keeper = KeepWeights(folder, keep, [])
    try:
        _train_again(spec, epoch, store, root, device, [keeper], until=max(keep.epochs))
    except UserError:
        for file in folder.iterdir():
            file.unlink()
        raise
    (folder / "best.pt").unlink(missing_ok=True)


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

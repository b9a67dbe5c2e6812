"""The networks that finished runs made, with their weights, for use outside the suite."""

import shutil
from pathlib import Path

from ebreplicate.errors import UserError, shown
from ebreplicate.models.common import Network
from ebreplicate.pruning.channels import bn_widths
from ebreplicate.pruning.surgery import shrink
from ebreplicate.pruning.weights import apply_mask, weight_counts
from ebreplicate.runner.inputs import load_mask, needed, network
from ebreplicate.runner.rebuild import AGAIN, load_weights, threads_of
from ebreplicate.specs import spec as specs
from ebreplicate.specs.fields import Spec
from ebreplicate.specs.keep import Keep
from ebreplicate.stages.retrain import retrain
from ebreplicate.store import locks, snapshots
from ebreplicate.store.merging import checked_run
from ebreplicate.store.store import Store
from ebreplicate.training.device import on, threads
from ebreplicate.training.observers import weights_name


class _Repeat(Store):
    """A store in which one finished run has not been run: it is repeated in a folder of its own inside the run's."""

    def __init__(self, store: Store, run: specs.Retrain):
        super().__init__(store.root, store.patient)
        self.run = run

    def folder(self, spec: Spec) -> Path:
        """Folder of the run `spec`."""
        folder = super().folder(spec)
        return folder / AGAIN if spec == self.run else folder


def load_ticket(
    run: str | Path, results: Path | str = "results", data: Path | str = "data", device: str = "cpu"
) -> Network:
    """Return the pruned network of a finished draw or retrain, with its weights, on the CPU and in evaluation mode.

    `run`: name of the run, or its folder (then `results` is not looked at). A retrain gives the network after its last
    epoch, a draw the one that it starts from by default: the weights of the draw epoch, pruned. A mask over channels
    makes the network smaller; one over single weights sets them to zero.

    Weights that were not saved are trained again, on `device` (auto, cpu or cuda) and with the images in `data`.
    Raises UserError for a run that is not there, has no ticket, or whose training gives other results here.
    """
    folder = Path(run)
    if len(folder.parts) > 1:
        folder, results = folder.absolute(), folder.absolute().parents[2]
    store = Store(results)
    spec = _spec_of(folder.name, store)
    if isinstance(spec, specs.Retrain):
        return _retrained(spec, store, Path(data), device).eval()
    return _drawn(spec, store, Path(data), device).eval()


def _spec_of(name: str, store: Store) -> specs.Ticket | specs.Retrain:
    for stage in ("retrain", "draw"):
        folder = store.root / "runs" / stage / name
        if (folder / "spec.json").is_file():
            spec, _ = checked_run(folder)
            assert isinstance(spec, (specs.Ticket, specs.Retrain))
            return spec
    raise UserError(
        f"run: {store.root} has no draw or retrain called {shown(name)}; `ls {store.root}/runs/*` lists all"
    )


def _epoch_of(ticket: specs.Ticket, store: Store) -> int:
    epoch = needed(ticket, store)["metrics"]["epoch"]
    if epoch is None:
        raise UserError(f"draw {specs.key(ticket)}: its search gave no ticket, so there is no pruned network")
    return int(epoch)


def _drawn(ticket: specs.Ticket, store: Store, root: Path, device: str) -> Network:
    epoch = _epoch_of(ticket, store)
    dense = load_weights(network(ticket.search), ticket.after or ticket.search, epoch, store, root, device)
    if not ticket.over_weights:
        return shrink(dense, load_mask(ticket, store, sum(bn_widths(dense))))
    apply_mask(dense, load_mask(ticket, store, sum(weight_counts(dense))))
    return dense


def _retrained(spec: specs.Retrain, store: Store, root: Path, device: str) -> Network:
    record = needed(spec, store)
    if record["status"] != "ok":
        raise UserError(f"retrain {specs.key(spec)}: its status is {record['status']}, so it has no trained network")
    start = _epoch_of(spec.ticket, store) if spec.schedule == "continue" else 0
    path = store.folder(spec) / "weights" / weights_name(start + record["metrics"]["epochs"])
    if not path.is_file():
        _repeat(spec, store, root, device, path)
    model = network(spec.ticket.search, channels=needed(spec.ticket, store)["metrics"].get("channels"))
    try:
        model.load_state_dict(snapshots.load(path))
    except (snapshots.Damaged, RuntimeError) as e:
        raise UserError(f"{path}: not the weights of this run ({str(e).splitlines()[0]}); delete it") from None
    return model


def _repeat(spec: specs.Retrain, store: Store, root: Path, device: str, path: Path) -> None:
    """Train a finished retrain again, and put its last weights at `path` if it came out as recorded."""
    repeat, recorded = _Repeat(store, spec), needed(spec, store)
    with on(device) as there, locks.held(store.folder(spec), store.patient, name=locks.AGAIN) as mine:
        if not mine:
            raise locks.Busy(store.folder(spec))
        if path.is_file():  # another process has just put them there
            return
        with threads(threads_of(recorded)):
            record = retrain(spec, repeat, root, there, Keep({int(path.stem.rpartition("_")[2])}))
        beside = repeat.folder(spec)
        accuracies = [record["metrics"]["last_accuracy"], recorded["metrics"]["last_accuracy"]]
        if accuracies[0] != accuracies[1]:
            shutil.rmtree(beside)
            raise UserError(
                f"retrain {specs.key(spec)}: trained again here it ends at {accuracies[0]} %, not at the recorded "
                f"{accuracies[1]} % (another kind of processor?); train it in a results folder of its own (--results)"
            )
        path.parent.mkdir(exist_ok=True)
        (beside / "weights" / path.name).replace(path)
        shutil.rmtree(beside)

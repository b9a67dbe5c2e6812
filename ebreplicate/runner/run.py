"""One training, as every stage runs it: from its checkpoint if there is one, measured, and evaluated at its end."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ebreplicate import cost
from ebreplicate.data import arrays as datasets
from ebreplicate.data.text import Text
from ebreplicate.runner.checkpoint import Checkpoint
from ebreplicate.runner.inputs import load_data
from ebreplicate.runner.record import save_array, save_record
from ebreplicate.specs import spec as specs
from ebreplicate.store.store import Store
from ebreplicate.training import distributed
from ebreplicate.training.loop import Ended, Observer, State, StepHook, evaluate, fit
from ebreplicate.training.observers import Progress
from ebreplicate.training.outcome import metrics_of, status_of
from ebreplicate.training.unseen import CORRECT, accuracies, correct_images
from ebreplicate.training.validation import Validation


@dataclass(frozen=True)
class Trained:
    """What a training came to: its state after the last epoch; its status, metrics and cost, as a record has them, the
    reports of its hooks among them; and its evaluations on held-out images."""

    state: State
    status: str
    metrics: dict[str, Any]
    cost: dict[str, Any]
    evaluations: list[dict[str, float]]

    @property
    def epochs(self) -> int:
        """Epochs that it trained for."""
        return len(self.state.history)


class Run:
    """A training about to begin: its images, its checkpoint and its clock.

    `validating`: the hooks that evaluate on held-out images, where the spec holds some out; a stage puts them among its
    hooks.
    """

    def __init__(self, spec: specs.Training | specs.Retrain, store: Store, root: Path, device: torch.device):
        self.started = time.time()
        self.spec, self.store, self.root, self.device = spec, store, root, device
        self.search: specs.Training = spec.ticket.search if isinstance(spec, specs.Retrain) else spec
        self.folder, self.key = store.folder(spec), specs.key(spec)
        self.data = load_data(self.search, root, device)
        self.origin = self.data.origin if isinstance(self.data, Text) else {}
        self.checkpoint = Checkpoint(self.folder, self.key)
        self.validating = self._validations()

    def _validations(self) -> list[Validation]:
        if not self.search.validation:
            return []
        assert isinstance(self.data, datasets.Data)  # the spec refuses streamed datasets
        return [Validation(self.data, self.search.validation_interval, self.spec.precision)]

    def train(
        self,
        model: nn.Module,
        recipe: specs.Recipe,
        seed: int,
        hooks: Sequence[StepHook],
        resume: dict[str, Any] | None,
        observers: Sequence[Observer] = (),
        start: int = 0,
        checkpoint: Callable[[dict[str, Any], bool], Any] | None = None,
    ) -> Trained:
        """Train `model` (on the run's device) from epoch `start` of the recipe, or from the snapshot `resume`.

        `checkpoint`: saves a snapshot; default: the run's own.
        """
        with cost.Ledger(self.device) as ledger:
            state = fit(
                model,
                self.data,
                recipe,
                seed=seed,
                start=start,
                precision=self.spec.precision,
                observers=[*observers, Progress(self.key)],
                hooks=list(hooks),
                resume=resume,
                checkpoint=checkpoint or self.checkpoint.save,
            )
        metrics, status, spent = metrics_of(state), status_of(state), _measured(ledger, state, resume is not None)
        if self.validating:  # early stopping on held-out images takes the place of that on the test loss
            metrics.pop("early_stop_epoch", None)  # of a training without epochs there is none
        if status == "ok" and isinstance(self.data, Text):
            metrics["bits"] = state.history[-1]["test_loss"] / math.log(2)
        if status == "ok":
            metrics |= unseen_metrics(self.search, model, self.root, self.spec.precision, self.folder)
        ended = self._ended(model, status, metrics, seed)
        for report in [hook.report(ended) for hook in hooks]:
            metrics |= report.metrics
            spent |= report.cost
            for name, array in report.arrays.items():
                save_array(self.folder / f"{name}.npy", array.numpy())
        return Trained(state, status, metrics, spent, [row for hook in self.validating for row in hook.rows])

    def _ended(self, model: nn.Module, status: str, metrics: dict[str, Any], seed: int) -> Ended:
        def again() -> float:
            if self.search.evaluation == "unseen":
                return 100 * float(correct_images(model, self.search, self.root, self.spec.precision).mean())
            return evaluate(model, self.data, self.spec.precision)[1]

        accuracy = metrics.get("unseen_accuracy", metrics["last_accuracy"]) if status == "ok" else None
        return Ended(status, self.data, seed, self.search.train_images, accuracy, again)

    def save(self, trained: Trained, metrics: dict[str, Any], flops: dict[str, Any]) -> dict[str, Any]:
        """Write and return the record: of the training, and what the stage adds to its metrics and cost."""
        record = save_record(
            self.spec,
            self.store,
            trained.status,
            {**trained.metrics, **metrics},
            {**flops, **trained.cost},
            self.started,
            self.device,
            trained.state.history,
            trained.evaluations,
            self.origin,
        )
        self.checkpoint.clear()
        return record


def unseen_metrics(
    search: specs.Training, model: nn.Module, root: Path, precision: str, folder: Path
) -> dict[str, Any]:
    """Accuracies of a trained network on the images that no training of `search` sees, where its spec asks for them.

    Writes correct.npy, one bit an image, into the run's `folder`. Hooks are off: activations are in `precision`, and of
    an eight-bit training in fp32. Convolutions of a search with `bits` stay quantised, at the bits of the last step.
    """
    if search.evaluation != "unseen":
        return {}
    correct = correct_images(model, search, root, precision)
    save_array(folder / CORRECT, np.packbits(correct))
    return accuracies(search, correct)


def _measured(ledger: cost.Ledger, state: State, resumed: bool) -> dict[str, Any]:
    """Seconds, memory and energy of all processes. A resumed run was measured in part only: its seconds are those of
    all its epochs, and its energy is blank."""
    found = ledger.measured()
    found["energy_j"] = distributed.energy(found["energy_j"], ledger.energy.source, ledger.device)
    if resumed:
        total = math.fsum(row["train_seconds"] + row["test_seconds"] for row in state.history)
        found |= {"seconds": round(total, 3), "energy_j": None, "energy_source": None}
    return found

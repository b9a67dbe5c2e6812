"""Observers of a training: callables given the state at epoch 0 and after every epoch."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from torch import Tensor

from ebreplicate.catalog import METHODS, WEIGHT_METHODS
from ebreplicate.errors import UserError
from ebreplicate.pruning.channels import prunable_scores
from ebreplicate.pruning.displacement import EarlyCroP
from ebreplicate.pruning.earlybird import EarlyBird
from ebreplicate.pruning.indicator import EarlyPruning, threshold_of
from ebreplicate.specs.keep import Keep
from ebreplicate.store import snapshots
from ebreplicate.training import distributed
from ebreplicate.training.loop import State

Detector = EarlyBird | EarlyPruning | EarlyCroP


def detectors(keep: Keep, widths: list[int]) -> tuple[list[Detector], list[Detector]]:
    """What may emerge: detectors on |gamma| and, where they are recorded, on Taylor scores.

    Raises UserError for an entry of `keep.epi` that is not method:ratio, or that needs scores not recorded.
    """
    by_magnitude: list[Detector] = [EarlyBird(r) for r in keep.ratios]
    by_taylor: list[Detector] = [EarlyBird(r) for r in keep.ratios if keep.taylor]
    for entry in sorted(keep.epi):
        try:
            method, ratio = entry.split(":")
            number = float(ratio)
        except ValueError:
            raise UserError(f"--keep-epi: expected METHOD:RATIO, got {entry!r}; for example slimming:0.5") from None
        if METHODS.check(method) == "taylor" and not keep.taylor:
            raise UserError(f"--keep-epi: {entry!r} needs --keep-taylor as well")
        detector = EarlyPruning(number, widths, threshold_of(method))
        (by_taylor if method == "taylor" else by_magnitude).append(detector)
    return by_magnitude, by_taylor


def displacement_detectors(keep: Keep) -> list[Detector]:
    """EarlyCroP's rules that are watched. Raises UserError for an entry of `keep.crop` not rule:method:ratio."""
    found: list[Detector] = []
    for entry in sorted(keep.crop):
        try:
            rule, method, ratio = entry.split(":")
            number = float(ratio)
        except ValueError:
            example = "crop-code:crop:0.5"
            raise UserError(f"--keep-crop: expected RULE:METHOD:RATIO, got {entry!r}; for example {example}") from None
        found.append(EarlyCroP(rule, number, METHODS.check(method) in WEIGHT_METHODS))
    return found


class Scores:
    """Collects |gamma| of every batch norm at every epoch, the untrained network first: rows of (epochs + 1, N)."""

    def __init__(self, rows: list[Tensor] | None = None):
        self.rows = rows or []

    def __call__(self, state: State) -> None:
        """Append the scores of the state's epoch."""
        self.rows.append(prunable_scores(state.model).cpu())


class KeepWeights:
    """Writes the weights that later draws will ask for: given epochs, the best epoch, and emergence at given ratios.

    `folder` receives epoch_0012.pt and, while the search runs, best_0012.pt; `finish` names it like the others.
    `scores`, `taylor` and `displacement`: the lists that a search's rows are added to before this observer is called,
    with those of an interrupted search in them; `widths`: its channels per batch norm. With `best` false only what is
    asked is written.
    """

    def __init__(
        self,
        folder: Path,
        keep: Keep,
        scores: Sequence[Tensor] = (),
        taylor: Sequence[Tensor] = (),
        displacement: Sequence[Tensor] = (),
        widths: Sequence[int] = (),
        best: bool = True,
    ):
        self.folder, self.epochs, self.keep_best = folder, keep.epochs, best
        self.detectors = detectors(keep, list(widths))
        self.moving = displacement_detectors(keep)
        self.taylor, self.displacement = taylor, displacement
        self.best, self.best_epoch, self.settled = -1.0, 0, 0
        if best or keep.epochs:
            folder.mkdir(parents=True, exist_ok=True)
        for epoch, row in enumerate(scores):
            self._emerging(row, epoch)

    def _emerging(self, scores: Tensor, epoch: int) -> bool:
        """Ask every detector that has not fired; True if one fires now."""
        by_magnitude, by_taylor = self.detectors
        answers = [d.update(scores) for d in by_magnitude if d.first is None]  # every one is asked
        answers += [d.update(self.taylor[epoch]) for d in by_taylor if d.first is None]
        answers += [d.update(self.displacement[epoch]) for d in self.moving if d.first is None]
        return any(answers)

    def _announce(self, epoch: int) -> None:
        """Say which tickets emerge at `epoch`: the event that a search is watched for."""
        for detector in (d for of_kind in (*self.detectors, self.moving) for d in of_kind if d.first == epoch):
            how = "EPI fires" if isinstance(detector, EarlyPruning) else "the ticket emerges"
            how = "EarlyCroP fires" if isinstance(detector, EarlyCroP) else how
            say(f"{self.folder.parent.name}: {how} at epoch {epoch} (ratio {detector.ratio:g})")

    def _save(self, state: State, name: str) -> None:
        if not distributed.leads():
            return
        snapshots.save(self.folder / name, state.model.state_dict())

    def _drop_bests(self, *kept: int) -> None:
        for path in self.folder.glob("best_*.pt"):
            if distributed.leads() and path.name not in [best_name(epoch) for epoch in kept]:
                path.unlink(missing_ok=True)

    def settle(self, written: bool) -> None:
        """Told whether a checkpoint was written: the best weights before it are then no longer needed to go on."""
        self.settled = self.best_epoch if written else self.settled

    def restore(self, history: list[dict[str, float]]) -> None:
        """Take up the best epoch of an interrupted search."""
        for row in history:
            if row["test_accuracy"] > self.best:
                self.best, self.best_epoch = row["test_accuracy"], int(row["epoch"])
        self.settle(True)

    def __call__(self, state: State) -> None:
        """Write the weights of the state's epoch where something will ask for them."""
        # As in the authors' loop, the state after the last epoch is not asked.
        asked = state.epoch < state.recipe.epochs
        emerged = asked and self._emerging(prunable_scores(state.model).cpu(), state.epoch)
        if emerged and distributed.leads():
            self._announce(state.epoch)
        if state.epoch in self.epochs or emerged:
            self._save(state, weights_name(state.epoch))
        if self.keep_best and state.epoch > state.start and state.test_accuracy > self.best:
            self.best, self.best_epoch = state.test_accuracy, state.epoch
            self._save(state, best_name(state.epoch))
            self._drop_bests(state.epoch, self.settled)

    def finish(self) -> None:
        """Give the best weights the name of their epoch."""
        best = self.folder / best_name(self.best_epoch)
        if distributed.leads() and best.is_file():
            best.replace(self.folder / weights_name(self.best_epoch))
        self._drop_bests()


def best_name(epoch: int) -> str:
    """File name, while a search runs, of the weights of its best epoch so far."""
    return f"best_{epoch:04d}.pt"


def weights_name(epoch: int) -> str:
    """File name of the weights after `epoch` completed epochs."""
    return f"epoch_{epoch:04d}.pt"


def say(text: str, stream: TextIO | None = None) -> None:
    """Write a line that stays, on a terminal in the place of the line that shows progress."""
    stream = stream or sys.stderr
    stream.write(f"\r\033[K{text}\n" if stream.isatty() else f"{text}\n")
    stream.flush()


class Progress:
    """Epoch, accuracy and time left: one updating line on a terminal, a plain line every ten seconds in a log.

    Of long epochs it says how much is done: see `during`.
    """

    def __init__(self, name: str, stream: TextIO | None = None, every: float = 10.0):
        self.name, self.stream, self.every = name, stream or sys.stderr, every
        self.tty = self.stream.isatty()
        self.began = self.shown = time.monotonic()
        self.first: int | None = None

    def during(self, state: State, share: float) -> None:
        """Report that a `share` (0 to 1) of the epoch after the state's is done, ten seconds after the last line."""
        now = time.monotonic()
        self.first = state.epoch if self.first is None else self.first
        if now - self.shown < self.every or not distributed.leads():
            return
        self.shown, done = now, state.epoch - self.first + share
        left = (now - self.began) / done * (state.recipe.epochs - state.epoch - share)
        self._show(
            f"{self.name}: epoch {state.epoch + 1}/{state.recipe.epochs}, {share:.0%} of it done, {left:.0f} s left"
        )

    def _show(self, text: str, stays: bool = False) -> None:
        """Write a line, on a terminal in the place of the last one."""
        self.stream.write(f"\r\033[K{text}" + "\n" * stays if self.tty else f"{text}\n")
        self.stream.flush()

    def __call__(self, state: State) -> None:
        """Report the state if it is time to."""
        now = time.monotonic()
        self.first = state.epoch if self.first is None else self.first
        done, left = state.epoch - self.first, state.recipe.epochs - state.epoch
        if not done or not distributed.leads() or (left and not self.tty and now - self.shown < self.every):
            return
        self.shown = now
        eta = (now - self.began) / done * left
        text = f"{self.name}: epoch {state.epoch}/{state.recipe.epochs}, test {state.test_accuracy:.2f} %, "
        text += f"{eta:.0f} s left" if left else f"{now - self.began:.1f} s"
        self._show(text, stays=not left)

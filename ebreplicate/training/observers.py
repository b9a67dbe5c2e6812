"""Observers of a training: callables given the state at epoch 0 and after every epoch."""

import sys
import time
from pathlib import Path
from typing import TextIO

import torch
from torch import Tensor

from ebreplicate.plan.keep import Keep
from ebreplicate.pruning.earlybird import EarlyBird
from ebreplicate.pruning.surgery import prunable_scores
from ebreplicate.training.loop import State


class Scores:
    """Collects |gamma| of every batch norm at every epoch, the untrained network first: rows of (epochs + 1, N)."""

    def __init__(self, rows: list[Tensor] | None = None):
        self.rows = rows or []

    def __call__(self, state: State) -> None:
        """Append the scores of the state's epoch."""
        self.rows.append(prunable_scores(state.model).cpu())


class KeepWeights:
    """Writes the weights that later draws will ask for: given epochs, the best epoch, and emergence at given ratios.

    `folder` receives epoch_0012.pt and, while the search runs, best.pt; `finish` names best.pt by its epoch. With
    `best` false only what is asked is written.
    """

    def __init__(self, folder: Path, keep: Keep, past: list[Tensor], best: bool = True):
        self.folder, self.epochs, self.keep_best = folder, keep.epochs, best
        self.detectors = {r: EarlyBird(r) for r in keep.ratios}
        self.best, self.best_epoch = -1.0, 0
        if best or keep.epochs:
            folder.mkdir(parents=True, exist_ok=True)
        for row in past:
            self._emerging(row)

    def _emerging(self, scores: Tensor) -> bool:
        """Ask every detector that has not fired; True if one fires now."""
        answers = [d.update(scores) for d in self.detectors.values() if d.first is None]  # every one is asked
        return any(answers)

    def _save(self, state: State, name: str) -> None:
        temporary = self.folder / f".{name}"
        torch.save(state.model.state_dict(), temporary)
        temporary.replace(self.folder / name)

    def restore(self, history: list[dict[str, float]]) -> None:
        """Take up the best epoch of an interrupted search."""
        for row in history:
            if row["test_accuracy"] > self.best:
                self.best, self.best_epoch = row["test_accuracy"], int(row["epoch"])

    def __call__(self, state: State) -> None:
        """Write the weights of the state's epoch where something will ask for them."""
        # As in the authors' loop, the state after the last epoch is not asked.
        asked = state.epoch < state.recipe.epochs
        emerged = asked and self._emerging(prunable_scores(state.model).cpu())
        if state.epoch in self.epochs or emerged:
            self._save(state, weights_name(state.epoch))
        if self.keep_best and state.epoch > state.start and state.test_accuracy > self.best:
            self.best, self.best_epoch = state.test_accuracy, state.epoch
            self._save(state, "best.pt")

    def finish(self) -> None:
        """Give the best weights the name of their epoch."""
        best = self.folder / "best.pt"
        if best.is_file():
            best.replace(self.folder / weights_name(self.best_epoch))


def weights_name(epoch: int) -> str:
    """File name of the weights after `epoch` completed epochs."""
    return f"epoch_{epoch:04d}.pt"


class Progress:
    """Epoch, accuracy and time left: one updating line on a terminal, a plain line every half minute in a log."""

    def __init__(self, name: str, stream: TextIO | None = None, every: float = 30.0):
        self.name, self.stream, self.every = name, stream or sys.stderr, every
        self.tty = self.stream.isatty()
        self.began = self.told = time.monotonic()
        self.first: int | None = None

    def __call__(self, state: State) -> None:
        """Report the state if it is time to."""
        now = time.monotonic()
        self.first = state.epoch if self.first is None else self.first
        done, left = state.epoch - self.first, state.recipe.epochs - state.epoch
        if not done or (left and not self.tty and now - self.told < self.every):
            return
        self.told = now
        eta = (now - self.began) / done * left
        text = f"{self.name}: epoch {state.epoch}/{state.recipe.epochs}, test {state.test_accuracy:.2f} %, "
        text += f"{eta:.0f} s left" if left else f"{now - self.began:.1f} s"
        self.stream.write(f"\r\033[K{text}" if self.tty else f"{text}\n")
        if self.tty and not left:
            self.stream.write("\n")
        self.stream.flush()

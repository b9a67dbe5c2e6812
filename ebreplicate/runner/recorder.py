"""What a search records of every epoch, and which weights it saves, for the tickets that are drawn later."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ebreplicate.errors import UserError
from ebreplicate.runner.checkpoint import Checkpoint
from ebreplicate.runner.record import save_array
from ebreplicate.specs.keep import Keep
from ebreplicate.training.displacement import Displacement
from ebreplicate.training.loop import Observer, StepHook
from ebreplicate.training.observers import KeepWeights, Scores
from ebreplicate.training.taylor import Taylor


def usable(snapshot: dict[str, Any] | None, keep: Keep) -> dict[str, Any] | None:
    """The snapshot, if a search that keeps `keep` can go on from it.

    One without the Taylor scores or the displacement that are asked for now cannot have them after the fact: the search
    starts over. Taylor scores no longer asked for are left out, with the state of their hook, which is the last.
    """
    if snapshot is not None and keep.crop and "displacement" not in snapshot:
        return None
    if snapshot is None or ("taylor" in snapshot) == keep.taylor:
        return snapshot
    return None if keep.taylor else {**snapshot, "hooks": snapshot["hooks"][:-1]}


class Recorder:
    """Scores of every epoch and, where `keep` asks for them, Taylor scores and the displacement of the weights.

    `folder`: where the weights that `keep` names are saved; `widths`: channels of every batch norm; `snapshot`: of an
    interrupted search, as `usable` gives it; `best`: whether the weights of the best epoch are saved as well. Raises
    UserError where detectors are asked for that have nothing to look at.
    """

    def __init__(self, keep: Keep, folder: Path, widths: list[int], snapshot: dict[str, Any] | None, best: bool = True):
        if not widths and (keep.ratios or keep.epi):
            option = "--keep-ratios" if keep.ratios else "--keep-epi"
            raise UserError(f"{option}: the network has no batch norms, so no ticket emerges in it; leave it out")
        saved = snapshot or {}
        self.keep = keep
        self.scores = Scores(list(saved.get("scores", ())))
        self.taylor, self.displacement = Taylor(list(saved.get("taylor", ()))), Displacement(saved.get("displacement"))
        rows = self.scores.rows, self.taylor.rows, self.displacement.rows
        self.weights = KeepWeights(folder, keep, *rows, widths=widths, best=best)
        if best:
            self.weights.restore(saved.get("history", []))

    @property
    def hooks(self) -> list[StepHook]:
        """Those that measure at every step; they change nothing."""
        return [self.taylor] if self.keep.taylor else []

    @property
    def observers(self) -> list[Observer]:
        """The weights are saved after all has been recorded, because detectors look at it."""
        taylor = [self.taylor] if self.keep.taylor else []
        displacement = [self.displacement] if self.keep.crop else []
        return [self.scores, *taylor, *displacement, self.weights]

    def arrays(self) -> dict[str, Tensor]:
        """What was recorded, by name: rows of all epochs, the untrained network first; each (epochs + 1, ...)."""
        found = {"scores": torch.stack(self.scores.rows)}
        if self.keep.taylor:
            found["taylor"] = torch.stack(self.taylor.rows)
        return found | ({"displacement": self.displacement.table()} if self.keep.crop else {})

    def checkpoint(self, file: Checkpoint) -> Callable[[dict[str, Any], bool], None]:
        """What saves a snapshot of the training, and of what was recorded, in `file` (`fit`'s `checkpoint`)."""

        def save(snapshot: dict[str, Any], now: bool) -> None:
            moved = {"displacement": self.displacement.state_dict()} if self.keep.crop else {}
            self.weights.settle(file.save(snapshot | self.arrays() | moved, now))

        return save

    def finish(self, folder: Path) -> None:
        """Write what was recorded into the search's `folder`, and give the best weights their name."""
        self.weights.finish()
        for name, rows in self.arrays().items():
            save_array(folder / f"{name}.npy", rows.numpy())

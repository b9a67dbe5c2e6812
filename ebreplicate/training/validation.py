"""Early stopping on training images that are held out (Frankle & Carbin, ICLR 2019, section 2 and Figure 1)."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ebreplicate.data.arrays import Data
from ebreplicate.specs.spec import Recipe
from ebreplicate.training.loop import Ended, Report, StepHook, measure

COLUMNS = ("iteration", "validation_loss", "validation_accuracy", "test_accuracy")


@dataclass(frozen=True)
class EarlyStop:
    """The iteration of minimum validation loss (optimiser steps) and the test accuracy there, in percent."""

    iteration: int
    accuracy: float


def early_stop(rows: list[dict[str, float]]) -> EarlyStop | None:
    """Early stop of rows of `COLUMNS`: the first of the least finite losses; None if no loss is finite."""
    finite = [row for row in rows if math.isfinite(row["validation_loss"])]
    if not finite:
        return None
    best = min(finite, key=lambda row: row["validation_loss"])
    return EarlyStop(int(best["iteration"]), best["test_accuracy"])


class Validation(StepHook):
    """Evaluate on the held-out images every `interval` steps, and on the test images at each new minimum of the loss.

    `rows`: what was measured, a dict of `COLUMNS` each; `test_accuracy` is nan where it was not measured. Draws no
    random numbers and changes no weight, so the training is the one without it.
    """

    def __init__(self, data: Data, interval: int, precision: str = "fp32"):
        self.data, self.held_out = data, data.validating()
        self.interval, self.used_precision = interval, precision
        self.rows: list[dict[str, float]] = []

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, steps_per_epoch: int) -> None:
        """Take the model that is evaluated."""
        self.model = model

    def after_step(self, step: int) -> None:
        """Evaluate after each `interval`-th step."""
        if (step + 1) % self.interval:
            return
        held_out = measure(self.model, self.held_out, self.used_precision)
        # Rounded as the file keeps it, so that a resumed run and a reader of the file find the same minimum.
        loss = float(f"{held_out.loss:.6g}")
        least = min((r["validation_loss"] for r in self.rows if math.isfinite(r["validation_loss"])), default=math.inf)
        accuracy = measure(self.model, self.data, self.used_precision).accuracy if loss < least else math.nan
        self.rows.append(dict(zip(COLUMNS, (step + 1, loss, held_out.accuracy, accuracy), strict=True)))
        self.model.train()

    def state_dict(self) -> dict[str, Any]:
        """The rows, float64 (n, 4)."""
        return {"rows": torch.tensor([[row[c] for c in COLUMNS] for row in self.rows], dtype=torch.float64)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the rows of `state_dict`."""
        found: Tensor = state["rows"]
        self.rows = [dict(zip(COLUMNS, row, strict=True)) for row in found.tolist()]

    def report(self, ended: Ended) -> Report:
        """Early stopping; None for both where no loss was finite."""
        stop = early_stop(self.rows)
        iteration, accuracy = (stop.iteration, stop.accuracy) if stop else (None, None)
        return Report({"early_stop_iteration": iteration, "early_stop_accuracy": accuracy})

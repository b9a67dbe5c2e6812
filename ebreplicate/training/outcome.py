"""What a training came to, as its record has it: status and accuracies. They follow from its history."""

import math
from typing import Any

from ebreplicate.training.loop import State


def metrics_of(state: State) -> dict[str, Any]:
    """Last-epoch and best-epoch accuracy, both exact; best is selected on the test set, as the authors' code does.

    Early stopping is at the epoch of minimum test loss (the lottery-ticket paper's criterion, on its validation set);
    `best_top5` is the top-5 accuracy of the epoch with the best top-1.
    """
    if not state.history:
        return {"epochs": 0, "last_accuracy": None, "best_accuracy": None, "best_epoch": None, "last_train_loss": None}
    best = max(state.history, key=lambda row: row["test_accuracy"])
    finite = [row for row in state.history if math.isfinite(row["test_loss"])]
    stop = min(finite or state.history[:1], key=lambda row: row["test_loss"])
    last = state.history[-1]
    loss = last["train_loss"]
    return {
        "epochs": len(state.history),
        "last_accuracy": last["test_accuracy"],
        "best_accuracy": best["test_accuracy"],
        "best_epoch": int(best["epoch"]),
        "early_stop_accuracy": stop["test_accuracy"],
        "early_stop_epoch": int(stop["epoch"]),
        "last_top5": last.get("test_top5"),
        "best_top5": best.get("test_top5"),
        "last_train_loss": loss if math.isfinite(loss) else None,
    }


def status_of(state: State) -> str:
    """ "ok", or "diverged" where the loss was not finite or training stopped early.

    A last step that ends in weights which are not finite shows in the test loss alone: no training loss comes after it.
    """
    finite = all(math.isfinite(row["train_loss"]) for row in state.history)
    finite &= all(math.isfinite(row["test_loss"]) for row in state.history[-1:])
    return "ok" if finite and state.epoch == state.recipe.epochs else "diverged"

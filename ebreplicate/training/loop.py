"""The training loop: one `fit` for every stage, and exact evaluation."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ebreplicate.errors import UserError
from ebreplicate.plan.spec import Recipe
from ebreplicate.pruning.surgery import batch_norms
from ebreplicate.training.data import Batches, Data, normalised


@dataclass
class State:
    """What observers see, at epoch 0 (before training) and after every completed epoch."""

    model: nn.Module
    recipe: Recipe
    epoch: int
    """Completed epochs, absolute."""
    start: int
    """Epoch at which this training began (0 unless it continues a search's schedule)."""
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def test_accuracy(self) -> float:
        """Test accuracy in percent after the latest epoch; nan before training."""
        return self.history[-1]["test_accuracy"] if self.history else math.nan


Observer = Callable[[State], None]


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Autocast context of a precision: a no-op for fp32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


@torch.no_grad()
def evaluate(model: nn.Module, data: Data, precision: str = "fp32") -> tuple[float, float]:
    """Mean cross-entropy and exact accuracy (correct / total, in percent) on the test split."""
    model.eval()
    loss, correct = 0.0, 0
    device = data.test.labels.device
    for x, y in normalised(data.test, data):
        with autocast(precision, device):
            logits = model(x)
        loss += nn.functional.cross_entropy(logits.float(), y, reduction="sum").item()
        correct += int((logits.argmax(1) == y).sum())
    return loss / len(data.test), 100.0 * correct / len(data.test)


class Trainer:
    """SGD with momentum, weight decay on every parameter, and the L1 subgradient on every batch-norm scale.

    The subgradient s * sign(gamma) is added after backward and before the step, so it passes through momentum like
    any gradient (network slimming, equation 1; authors' main.py).
    """

    def __init__(self, model: nn.Module, recipe: Recipe, precision: str = "fp32"):
        self.model, self.recipe, self.precision = model, recipe, precision
        self.optimizer = torch.optim.SGD(
            model.parameters(),
            lr=recipe.lr,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        self.gammas = [bn.weight for bn in batch_norms(model)]

    @torch.no_grad()
    def _add_l1(self) -> None:
        grads = [g.grad for g in self.gammas]
        torch._foreach_add_(grads, torch._foreach_sign([g.detach() for g in self.gammas]), alpha=self.recipe.l1)

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        """One optimiser step on a batch; returns the detached mean loss, without synchronising."""
        with autocast(self.precision, x.device):
            loss = nn.functional.cross_entropy(self.model(x), y)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.recipe.l1:
            self._add_l1()
        self.optimizer.step()
        return loss.detach()

    def epoch(self, batches: Batches, epoch: int) -> float:
        """Train the 0-based absolute `epoch`; returns the mean training loss over images."""
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.lr_at(epoch)
        total = torch.zeros((), device=batches.device)
        for x, y in batches.epoch(epoch):
            total += self.step(x, y) * len(y)
        return total.item() / len(batches.labels)


def check_trainable(model: nn.Module, device: torch.device) -> None:
    """Raise UserError for a network that torch 2.15 trains wrongly on a CPU.

    There the backward pass of a channels-last 1x1 convolution of stride 2 with 2 to 7 input channels writes outside its
    buffers. Only networks narrower than any scale's have one: the residual stream is never pruned.
    """
    for name, layer in model.named_modules():
        broken = isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and layer.stride != (1, 1)
        if broken and 2 <= layer.in_channels < 8 and device.type == "cpu":
            raise UserError(
                f"width: too narrow to train on a CPU ({name} has {layer.in_channels} input channels; torch overwrites "
                "memory in 1x1 convolutions of stride 2 below 8); choose a larger width"
            )


def fit(
    model: nn.Module,
    data: Data,
    recipe: Recipe,
    *,
    seed: int,
    start: int = 0,
    precision: str = "fp32",
    observers: Sequence[Observer] = (),
    resume: dict[str, Any] | None = None,
    checkpoint: Callable[[dict[str, Any]], None] | None = None,
) -> State:
    """Train `model` in place for the epochs start..recipe.epochs - 1 and return the final state.

    The learning rate is a function of the absolute epoch. Data order depends on (seed, epoch). `checkpoint` is given
    a resumable snapshot after each epoch; `resume` takes one back. Stops early, with a non-finite last loss in the
    history, when training diverges.
    """
    check_trainable(model, data.train.labels.device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    # torch lets convolutions use TF32 by default; here a precision is what its name says.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    trainer = Trainer(model, recipe, precision)
    batches = Batches(data, recipe.batch_size, recipe.augment, seed)
    state = State(model, recipe, start, start)
    if resume is None:
        for observer in observers:
            observer(state)
    else:
        model.load_state_dict(resume["model"])
        trainer.optimizer.load_state_dict(resume["optimizer"])
        state.epoch, state.history = resume["epoch"], resume["history"]
    while state.epoch < recipe.epochs:
        began = time.perf_counter()
        loss = trainer.epoch(batches, state.epoch)
        trained = time.perf_counter()
        test_loss, accuracy = evaluate(model, data, precision)
        state.history.append(
            {
                "epoch": state.epoch + 1,
                "lr": recipe.lr_at(state.epoch),
                "train_loss": loss,
                "test_loss": test_loss,
                "test_accuracy": accuracy,
                "train_seconds": trained - began,
                "test_seconds": time.perf_counter() - trained,
            }
        )
        state.epoch += 1
        for observer in observers:
            observer(state)
        if not math.isfinite(loss):
            break
        if checkpoint is not None:
            checkpoint(
                {
                    "model": model.state_dict(),
                    "optimizer": trainer.optimizer.state_dict(),
                    "epoch": state.epoch,
                    "history": state.history,
                }
            )
    return state

"""The training loop: one `fit` for every stage, and exact evaluation."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from ebreplicate import interrupt
from ebreplicate.data.arrays import BatchSource, ImageData
from ebreplicate.errors import UserError
from ebreplicate.models.common import NARROW, StridedPointwise, weights_and_rest
from ebreplicate.pruning.channels import batch_norms
from ebreplicate.specs.spec import LOW_PRECISIONS, Recipe
from ebreplicate.training import compiling, distributed, graphs
from ebreplicate.training.arithmetic import arithmetic
from ebreplicate.training.device import deterministic
from ebreplicate.training.gradients import gradients


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


@runtime_checkable
class Watching(Protocol):
    """An observer that is called within an epoch too, after every step, with the share of the epoch that is done.

    It must not wait for the device.
    """

    def during(self, state: State, share: float) -> None:
        """See the class."""


class Evaluation(NamedTuple):
    """Mean cross-entropy and exact accuracies (correct / total, in percent) on the test split."""

    loss: float
    accuracy: float
    top5: float


@torch.no_grad()
def measure(model: nn.Module, data: ImageData, precision: str = "fp32") -> Evaluation:
    """Evaluate `model` on the test split, each process on its share. Top-5 of fewer than five classes is top-all."""
    model.eval()
    sums = torch.zeros(3, dtype=torch.float64, device=data.device)
    for x, y in data.evaluation():
        with arithmetic(precision, data.device):
            logits = model(x)
        top = logits.topk(min(5, logits.shape[1])).indices
        sums[0] += nn.functional.cross_entropy(logits.float(), y, reduction="sum")
        sums[1] += (logits.argmax(1) == y).sum()
        sums[2] += (top == y[:, None]).sum()
    loss, correct, near = distributed.total(sums).tolist()  # the only wait for the device
    return Evaluation(loss / data.test_images, 100.0 * correct / data.test_images, 100.0 * near / data.test_images)


def evaluate(model: nn.Module, data: ImageData, precision: str = "fp32") -> tuple[float, float]:
    """Loss and accuracy of `measure`."""
    return measure(model, data, precision)[:2]


@dataclass(frozen=True)
class Ended:
    """A training that has come to its end, as `StepHook.report` is given it.

    `seed`: of the training; `images`: trained on in an epoch; `accuracy`: after the last epoch, in percent, on those
    that the run is judged by, None if it diverged; `evaluate`: measures the same of the network as it is now.
    """

    status: str
    data: ImageData
    seed: int
    images: int
    accuracy: float | None
    evaluate: Callable[[], float]


@dataclass(frozen=True)
class Report:
    """What a hook adds to the record of its run, and arrays that are saved in the run's folder, by name."""

    metrics: Mapping[str, Any] = field(default_factory=dict)
    cost: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Tensor] = field(default_factory=dict)


class StepHook:
    """Something that takes part in every optimiser step: masks, quantisers. Methods do nothing unless overridden.

    `step` counts optimiser steps from the start of the schedule (0-based, absolute, like epochs).
    """

    precision: str | None = None
    """The low precision that the hook brings, if any."""

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, steps_per_epoch: int) -> None:
        """Called once, before the first step and before a resumed state is loaded."""

    def detach(self) -> None:
        """Called once, after the last epoch: leave the model as its final evaluation is to find it."""

    def begin_step(self, step: int) -> None:
        """Before the forward pass."""

    def before_step(self, step: int) -> bool:
        """After backward (and the L1 subgradient). False leaves the optimiser step out."""
        return True

    def after_step(self, step: int) -> None:
        """After the optimiser step, or where it was left out."""

    def after_epoch(self, history: list[dict[str, float]]) -> None:
        """After an epoch and its evaluation; `history` ends with that epoch's row."""

    def report(self, ended: Ended) -> Report:
        """After the training, and all evaluations of its network."""
        return Report()

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs; plain tensors and numbers."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state of `state_dict`."""


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over every parameter; weight decay on all (reference audit, section 2) or on weights."""
    lr, decay = recipe.lr, recipe.weight_decay
    groups: Any = model.parameters()
    if recipe.weight_decay_on == "weights":
        weights, rest = weights_and_rest(model)
        groups = [{"params": weights}, {"params": rest, "weight_decay": 0.0}]
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr, weight_decay=decay, fused=True)
    momentum, nesterov = recipe.momentum, recipe.nesterov
    return torch.optim.SGD(groups, lr, momentum, weight_decay=decay, nesterov=nesterov, fused=True)


class Trainer:
    """One optimiser step after another, with the L1 subgradient on every batch-norm scale and the hooks of the run.

    The subgradient s * sign(gamma) is added after backward and before the step, so it passes through momentum like
    any gradient (network slimming, equation 1; authors' main.py).
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        precision: str = "fp32",
        hooks: Sequence[StepHook] = (),
        steps_per_epoch: int = 1,
    ):
        if precision in LOW_PRECISIONS and all(hook.precision != precision for hook in hooks):
            raise UserError(f"precision: this training cannot run in {precision!r}; use fp32")
        self.model, self.recipe, self.precision = model, recipe, precision
        self.hooks, self.steps_per_epoch = hooks, steps_per_epoch
        self.optimizer = make_optimizer(model, recipe)
        self.gammas = [bn.weight for bn in batch_norms(model)]
        for hook in hooks:
            hook.attach(model, self.optimizer, recipe, steps_per_epoch)
        self.called: Callable[[Tensor], Any] = distributed.parallel(model)
        device = next(model.parameters()).device
        plain = all(hook.precision is None for hook in hooks)  # a quantiser rounds at random, inside the network
        if plain and distributed.world() == 1 and compiling.wanted(recipe.compiled, precision, device):
            self.called = compiling.Compiled(self.called)
        self.weight = 1.0
        """Of this process's loss in the mean over the global batch."""
        self.compute = self._computation()

    @torch.no_grad()
    def _add_l1(self) -> None:
        signs = torch._foreach_sign([g.detach() for g in self.gammas])
        torch._foreach_add_(gradients(self.gammas), signs, alpha=self.recipe.l1)

    def forward_backward(self, x: Tensor, y: Tensor) -> Tensor:
        """Mean loss, detached; gradients of this process's share are left in the parameters."""
        with arithmetic(self.precision, x.device):
            loss = nn.functional.cross_entropy(self.called(x), y, label_smoothing=self.recipe.label_smoothing)
        (loss if self.weight == 1 else loss * self.weight).backward()
        return loss.detach()

    def _eager(self, x: Tensor, y: Tensor) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        return self.forward_backward(x, y)

    def _computation(self) -> graphs.Compute:
        """Forward and backward, captured on a GPU where nothing in them draws random numbers, communicates or carries
        a state from step to step.

        Hooks act before and after them; only those of low precision round, at random, inside.
        """
        device = next(self.model.parameters()).device
        plain = all(hook.precision is None for hook in self.hooks) and distributed.world() == 1
        captured = plain and graphs.wanted(device) and not getattr(self.model, "carries_state", False)
        return graphs.Captured(self.forward_backward, self.model) if captured else self._eager

    def step(self, x: Tensor, y: Tensor, step: int = 0) -> Tensor:
        """Optimiser step number `step` on a batch: images x (B, C, H, W), labels y (B,); of a text, characters x (B, T)
        and the next ones y (B * T,). Returns the detached mean loss
        (a scalar), without synchronising."""
        for hook in self.hooks:
            hook.begin_step(step)
        loss = self.compute(x, y)
        if self.recipe.l1 and self.gammas:
            self._add_l1()
        wanted = [hook.before_step(step) for hook in self.hooks]  # every hook is asked
        if all(wanted):
            if self.recipe.clip:  # after masks: the norm is that of the gradient which moves weights
                nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip, foreach=True)
            self.optimizer.step()
        for hook in self.hooks:
            hook.after_step(step)
        return loss

    def _set_rate(self, epoch: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.lr_at(epoch)

    def epoch(self, batches: BatchSource, epoch: int, during: Callable[[float], object] = lambda _: None) -> float:
        """Train the 0-based absolute `epoch`; returns the mean training loss over images.

        `during` is given the share of the epoch that is done after every step.
        """
        self.model.train()
        self._set_rate(epoch)
        total = torch.zeros((), device=batches.device)
        for i, (x, y) in enumerate(batches.epoch(epoch)):
            if epoch < self.recipe.warmup:
                self._set_rate(epoch + (i + 1) / len(batches))
            if distributed.world() > 1:
                whole = min(batches.batch_size, batches.images_per_epoch - i * batches.batch_size)
                self.weight = distributed.weight(len(y), whole)
            total += self.step(x, y, epoch * self.steps_per_epoch + i) * len(y)
            during((i + 1) / len(batches))
        distributed.average_statistics(self.model)
        return distributed.total(total).item() / batches.images_per_epoch


def check_trainable(model: nn.Module, device: torch.device) -> None:
    """Raise UserError for a network with a layer that torch 2.15 trains wrongly on a CPU (`models.common.NARROW`).

    The networks of this package use `models.common.conv`, which avoids it at every width.
    """
    if device.type != "cpu":
        return
    for name, layer in model.named_modules():
        strided = isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and layer.stride != (1, 1)
        if strided and 2 <= layer.in_channels < NARROW and not isinstance(layer, StridedPointwise):
            raise UserError(
                f"model: {name} is a 1x1 convolution of stride {layer.stride[0]} with {layer.in_channels} input "
                f"channels; below {NARROW} torch overwrites memory when it trains one on a CPU. Make it with "
                "ebreplicate.models.common.conv, or choose a larger width"
            )


def check_last_batch(model: nn.Module, data: ImageData, batches: BatchSource) -> None:
    """Raise UserError where some process has one image of an epoch's last batch and a batch norm one value a channel of
    it, whose variance torch refuses: at the end of the first epoch."""
    size, images, norms = batches.batch_size, batches.images_per_epoch, batch_norms(model)
    last = images % size or size
    if last >= 2 * distributed.world() or not norms:
        return
    values: list[int] = []
    handles = [bn.register_forward_pre_hook(lambda _, x: values.append(x[0][0, 0].numel())) for bn in norms]
    training = model.training
    with torch.no_grad():
        model.eval()(next(iter(data.evaluation()))[0][:1])
    model.train(training)
    for handle in handles:
        handle.remove()
    if min(values) == 1:
        raise UserError(
            f"Recipe.batch_size: the last batch of an epoch has {last} of {images} images (batch_size {size}), "
            "and a batch norm of this network needs two values a channel; choose another batch size or train_size"
        )


def _take_up(resume: dict[str, Any], state: State, trainer: Trainer) -> None:
    """Continue where the snapshot `resume` was taken."""
    state.model.load_state_dict(resume["model"])
    trainer.optimizer.load_state_dict(resume["optimizer"])
    for hook, saved in zip(trainer.hooks, resume.get("hooks", ()), strict=True):
        hook.load_state_dict(saved)
    state.epoch, state.history = resume["epoch"], resume["history"]


def fit(
    model: nn.Module,
    data: ImageData,
    recipe: Recipe,
    *,
    seed: int,
    start: int = 0,
    precision: str = "fp32",
    observers: Sequence[Observer] = (),
    hooks: Sequence[StepHook] = (),
    resume: dict[str, Any] | None = None,
    checkpoint: Callable[[dict[str, Any], bool], object] | None = None,
    until: int | None = None,
) -> State:
    """Train `model` in place for the epochs start..recipe.epochs - 1 and return the final state.

    The learning rate is a function of the absolute epoch. Data order depends on (seed, epoch). `checkpoint` is given
    a resumable snapshot after each epoch, and whether it must be written now; `resume` takes one back. Stops early,
    with a non-finite last loss in the history, when training diverges; after `until` epochs, where that is given; and
    with `Interrupted`, the snapshot written, when the process was asked to stop. Raises UserError for a
    network, a batch size or a precision that cannot be trained so.
    """
    check_trainable(model, data.device)
    model.to(memory_format=torch.channels_last)
    # torch lets convolutions use TF32 by default; here a precision is what its name says.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    deterministic(data.device)
    batches = data.batches(recipe.batch_size, recipe.augment, seed)
    distributed.check_batches(batches.images_per_epoch, recipe.batch_size)
    check_last_batch(model, data, batches)
    trainer = Trainer(model, recipe, precision, hooks, len(batches))
    state = State(model, recipe, start, start)
    watching = [cast(Watching, observer) for observer in observers if isinstance(observer, Watching)]

    def during(share: float) -> None:
        for observer in watching:
            observer.during(state, share)

    if resume is None:
        for observer in observers:
            observer(state)
    else:
        try:
            _take_up(resume, state, trainer)
        except (KeyError, ValueError, TypeError, RuntimeError) as e:
            said = str(e).splitlines()[0] if str(e) else type(e).__name__
            raise UserError(f"checkpoint: does not fit this run ({said}); delete checkpoint.pt in its folder") from None
    while state.epoch < (recipe.epochs if until is None else until):
        began = time.perf_counter()
        loss = trainer.epoch(batches, state.epoch, during)
        trained = time.perf_counter()
        test = measure(model, data, precision)
        state.history.append(
            {
                "epoch": state.epoch + 1,
                "lr": recipe.lr_at(state.epoch),
                "train_loss": loss,
                "test_loss": test.loss,
                "test_accuracy": test.accuracy,
                "test_top5": test.top5,
                "train_seconds": trained - began,
                "test_seconds": time.perf_counter() - trained,
            }
        )
        state.epoch += 1
        for hook in hooks:
            hook.after_epoch(state.history)
        for observer in observers:
            observer(state)
        if not math.isfinite(loss):
            break
        stop = distributed.agreed(interrupt.wanted(), data.device) and state.epoch < recipe.epochs
        if checkpoint is not None:
            snapshot = {
                "model": model.state_dict(),
                "optimizer": trainer.optimizer.state_dict(),
                "hooks": [hook.state_dict() for hook in hooks],
                "epoch": state.epoch,
                "history": state.history,
            }
            checkpoint(snapshot, stop)
        if stop:
            raise interrupt.Interrupted(f"stopped after epoch {state.epoch} of {recipe.epochs}")
    for hook in hooks:
        hook.detach()
    return state

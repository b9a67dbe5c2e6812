"""What is timed: this library's own training beside the plain loop, on the same images and first weights."""

import copy
import time
from collections.abc import Callable

import torch
from torch import nn

from benchmarks.alone import Alone
from benchmarks.plain import Plain
from benchmarks.setting import Setting, network, pictures
from benchmarks.timing import Elapsed
from ebreplicate.data.arrays import Data
from ebreplicate.pruning import shrink
from ebreplicate.specs.spec import Recipe
from ebreplicate.training.loop import State, Trainer, fit

TUNED = "plain, this allocator"
"""The plain loop in a process that keeps freed memory, as those of this library do."""


def even_mask(model: nn.Module, ratio: float) -> torch.Tensor:
    """A mask that removes the fraction `ratio` of channels at random, the same in every layer on average."""
    channels = sum(m.num_features for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    order = torch.randperm(channels, generator=torch.Generator().manual_seed(0))
    return order >= int(ratio * channels)


def deep_mask(model: nn.Module, ratio: float) -> torch.Tensor:
    """A mask whose threshold is global over scores that fall with depth, as those of trained networks do.

    Scores are uniform between 0 and a top that falls linearly from 1 in the first batch norm to 0.1 in the last: at
    ratio 0.5 VGG16 keeps most of the first layers, which hold the FLOPs, as early-bird tickets do.
    """
    widths = [m.num_features for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    g = torch.Generator().manual_seed(0)
    tops = torch.linspace(1.0, 0.1, len(widths))
    scores = torch.cat([top * torch.rand(width, generator=g) for top, width in zip(tops, widths, strict=True)])
    return scores > scores.sort().values[int(len(scores) * ratio)]


class Library:
    """Epochs of this library's training as a run of it trains: `fit`, on data on the device.

    On a GPU a call trains two and the second counts: the first chooses kernels, compiles and captures a graph, which a
    run does once. How many seconds longer it took is kept in `beginnings`.
    """

    def __init__(self, model: nn.Module, data: Data, setting: Setting, precision: str, compiled: bool = False):
        self.model = model.to(setting.device)
        self.data = data.to(setting.device)
        self.recipe = Recipe(batch_size=setting.batch_size, compiled=compiled)
        self.precision = precision
        self.epoch = 0
        self.beginnings = list[float]()

    def __call__(self) -> Elapsed:
        """Train the next epoch; its training seconds as the history has them, and CPU seconds, the evaluation of a few
        images among them."""
        start, self.epoch = self.epoch, self.epoch + (2 if self.data.device.type == "cuda" else 1)
        clock = list[float]()

        def watch(_: State) -> None:
            clock.append(time.process_time())

        state = fit(
            self.model,
            self.data,
            self.recipe,
            seed=0,
            start=start,
            until=self.epoch,
            precision=self.precision,
            observers=[watch],
        )
        *first, last = (epoch["train_seconds"] for epoch in state.history)
        self.beginnings += [seconds - last for seconds in first]
        return Elapsed(last, clock[-1] - clock[-2])


def cases(name: str, setting: Setting) -> dict[str, Callable[[], object]]:
    """The timed cases of a network: plain loops, dense training in every way offered, tickets of ratio 0.5."""
    data = pictures(setting.images)
    dense = network(name, setting)

    def library(model: nn.Module, precision: str = "fp32") -> Callable[[], object]:
        return Library(copy.deepcopy(model), data, setting, precision)

    found: dict[str, Callable[[], object]] = {"plain": Alone(name, setting)}
    if "preresnet" in name:
        found["plain, authors' selection"] = Alone(name, setting, authors=True)
    if setting.device.type == "cpu":
        found[TUNED] = Alone(name, setting, tuned=True)
    for precision in ("fp32", "bf16") if setting.device.type == "cpu" else ("fp32", "tf32", "bf16"):
        found[precision] = library(dense, precision)
    for mask, draw in (("even", even_mask), ("deep", deep_mask)):
        found[f"ticket, {mask}"] = library(shrink(dense, draw(dense, 0.5)))
    return found


def promised(name: str, setting: Setting) -> dict[str, float]:
    """Share of the dense network's FLOPs that each ticket saves."""
    from ebreplicate.cost import flops

    dense = network(name, setting)
    whole = flops(dense, (3, 32, 32))
    draws = {"ticket, even": even_mask, "ticket, deep": deep_mask}
    return {ticket: 1 - flops(shrink(dense, draw(dense, 0.5)), (3, 32, 32)) / whole for ticket, draw in draws.items()}


def curve_difference(name: str, setting: Setting, steps: int) -> float:
    """Largest relative difference of losses between the plain loop and this library, fp32, on the same batches."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False  # whatever the last case used
    data = pictures(setting.images).to(setting.device)
    recipe = Recipe(batch_size=setting.batch_size)
    first = network(name, setting).to(setting.device).train()
    ours = copy.deepcopy(first).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    trainer, plain = Trainer(ours, recipe), Plain(first, data.to(torch.device("cpu")), 2, setting.device, workers=0)
    batches = data.batches(setting.batch_size, recipe.augment, seed=0)
    differences, epoch = list[float](), 0
    while len(differences) < steps:
        for x, y in batches.epoch(epoch):
            expected = plain.step(x.contiguous(), y)[0]
            differences.append(abs(trainer.step(x, y).item() / expected - 1))
        epoch += 1
    return max(differences[:steps])

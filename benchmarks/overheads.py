"""What a search does beside training, and the parts of a step that are neither convolution nor batch norm."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.plain import Plain
from benchmarks.setting import Setting, network, pictures
from benchmarks.table import Row, row
from benchmarks.timing import Spread, interleave, ratios, repeated
from ebreplicate.pruning.masks import distance_matrix, epoch_masks
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.spec import Recipe
from ebreplicate.training.loop import State, Trainer
from ebreplicate.training.observers import KeepWeights, Scores

RATIOS = (0.1, 0.3, 0.5, 0.7)
EPOCH = 50_000
"""Images of a CIFAR epoch, of which the detector's time is a share."""


def watching(name: str, setting: Setting, seconds_per_image: float, repeats: int) -> Row:
    """Scores, four detectors and their mask distances at the end of an epoch, as a share of the epoch's training."""
    model = network(name, setting).to(setting.device)
    state = State(model, Recipe(), epoch=1, start=0)
    with tempfile.TemporaryDirectory() as folder:
        scores, keeper = Scores(), KeepWeights(Path(folder), Keep(ratios=set(RATIOS)), [], best=False)

        def watch() -> None:
            for bn in (m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)):
                bn.weight.data.uniform_()  # masks far apart: no ticket emerges, so every detector goes on
            scores(state)
            keeper(state)

        found = repeated(watch, max(10, repeats))
    percent = 100 / (seconds_per_image * EPOCH)
    share = Spread(found.value * percent, found.low * percent, found.high * percent, found.repeats)
    return row(name, "scores, 4 detectors, mask distances / training time", share, "%", "<=0.5")


def matrices(name: str, setting: Setting, repeats: int) -> Row:
    """The mask-distance matrices of a search of 160 epochs at four ratios, from its scores."""
    channels = sum(m.num_features for m in network(name, setting).modules() if isinstance(m, torch.nn.BatchNorm2d))
    scores = torch.rand(160, channels, generator=torch.Generator().manual_seed(0))
    found = repeated(lambda: [distance_matrix(epoch_masks(scores, r)) for r in RATIOS], max(5, repeats))
    return row(name, "mask distances, 160 x 160 x 4", found, "s", "<=2")


def parts(name: str, setting: Setting, rounds: int) -> list[Row]:
    """Loading a batch and the optimiser's step, plain beside this library's."""
    data = pictures(setting.images)
    on_device = data.to(setting.device)
    batches = on_device.batches(setting.batch_size, "crop-flip", 0)
    plain = Plain(network(name, setting), data, setting.batch_size, setting.device, workers=0)
    trainer = Trainer(network(name, setting).to(setting.device), Recipe())
    for model in (plain.model, trainer.model):
        for p in model.parameters():
            p.grad = torch.ones_like(p)

    def finish(call: Callable[[], object]) -> Callable[[], object]:
        def timed() -> None:
            call()
            if setting.device.type == "cuda":
                torch.cuda.synchronize()

        return timed

    rows = []
    for what, slow, fast in (
        ("images: PIL in this process / on the device", lambda: list(plain.loader), lambda: list(batches.epoch(0))),
        ("optimiser step: torch's default / fused", plain.optimizer.step, trainer.optimizer.step),
    ):
        times = interleave({"slow": finish(slow), "fast": finish(fast)}, max(3, rounds))
        rows.append(row(name, what, ratios(times["slow"].wall, times["fast"].wall), "x"))
    return rows

"""A training step on a device that has no numbers: what would mix devices, or wait for one, fails there.

Tensors of the device "meta" have shapes but no contents: reading a value is an error, and so is computing with a tensor
of the CPU. No GPU is needed to see that a step neither waits for one nor forgets something beside it.
"""

import contextlib
import types

import pytest
import torch
from helpers import NOWHERE, random_network
from torch import nn

from ebreplicate.data import arrays as datasets
from ebreplicate.models import build
from ebreplicate.pruning import prunable_scores, shrink
from ebreplicate.pruning.masks import global_mask
from ebreplicate.specs.spec import Recipe
from ebreplicate.training import lowprecision
from ebreplicate.training.loop import Trainer

META = torch.device("meta")


class Draws(torch.Generator):
    """Random numbers of no device: `Generator(device)` knows real ones only."""

    def __new__(cls, *_):
        return super().__new__(cls)


@pytest.fixture(autouse=True)
def device(monkeypatch):
    """Teach the step the two things that torch offers for real devices only."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(torch.Tensor, "random_", lambda self, *_, **__: self)
    replaced = types.SimpleNamespace(**vars(torch) | {"Generator": Draws})
    monkeypatch.setattr(lowprecision, "torch", replaced)


def epoch(model, precision="fp32", augment="crop-flip", **recipe):
    """Train on handwritten digits: a batch, and a smaller one."""
    trainer = Trainer(model.to(META), Recipe(augment=augment, **recipe), precision, lowprecision.hooks(precision, 1))
    for group in trainer.optimizer.param_groups:
        group["fused"] = False  # there is none for this device
    data = datasets.load("digits", NOWHERE).to(META)
    losses = [trainer.step(x, y, i) for i, (x, y) in enumerate(data.batches(1_000, augment, 0).epoch(0))]
    assert {loss.device for loss in losses} == {META}
    assert {p.grad.device for p in model.parameters()} == {META}


NETWORKS = ("vgg16", "preresnet20", "resnet18", "resnet50", "mobilenet", "wideresnet22x2", "conv2")


@pytest.mark.parametrize(
    ("name", "precision"), [*((name, "fp32") for name in NETWORKS), ("preresnet20", "bfp8"), ("vgg16", "fp8")]
)
def test_a_step_stays_on_its_device_and_waits_for_nothing(name, precision):
    epoch(build(name, 10, 0.25), precision)


@pytest.mark.parametrize("augment", ["crop", "none"])
def test_so_does_one_with_other_images_and_smoothed_labels(augment):
    epoch(build("vgg16", 10, 0.125), augment=augment, label_smoothing=0.1, nesterov=True)


def test_so_does_that_of_a_ticket():
    dense = random_network("preresnet20", 0.5, seed=0)
    epoch(shrink(dense, global_mask(prunable_scores(dense), 0.5)).train())


class Waits(nn.Module):
    def forward(self, x):
        return x * x.abs().max().item()


class Forgets(nn.Module):
    def forward(self, x):
        return x * torch.ones(10)


@pytest.mark.parametrize(("layer", "said"), [(Waits(), "meta"), (Forgets(), "device")])
def test_a_step_that_waits_or_mixes_devices_is_seen(layer, said):
    with pytest.raises(RuntimeError, match=said):
        epoch(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10), layer))

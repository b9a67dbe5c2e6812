"""The training loop against ten lines of plain SGD, and what a restart must not change."""

import contextlib
import copy
import io
import math
from dataclasses import replace

import pytest
import torch
from helpers import CPU, TINY, digits, images, random_network, tiny_search
from torch import nn

from ebreplicate.data import arrays
from ebreplicate.data.arrays import Data, Split
from ebreplicate.errors import UserError
from ebreplicate.models import build
from ebreplicate.pruning.channels import batch_norms
from ebreplicate.runner.inputs import network
from ebreplicate.specs.spec import Recipe
from ebreplicate.training.loop import State, Trainer, evaluate, fit, measure
from ebreplicate.training.outcome import metrics_of, status_of

WITHOUT_TIMES = ("epoch", "lr", "train_loss", "test_loss", "test_accuracy")


def rows(state):
    return [[row[name] for name in WITHOUT_TIMES] for row in state.history]


@pytest.mark.parametrize("name", ["vgg16", "preresnet20"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_three_steps_equal_plain_sgd_with_l1_and_weight_decay(name, layout):
    recipe = Recipe(lr=0.05, momentum=0.9, weight_decay=0.01, l1=0.02)
    model = random_network(name, 0.125, seed=0).train().to(memory_format=layout)
    ours, plain = copy.deepcopy(model), copy.deepcopy(model).to(memory_format=torch.contiguous_format)
    x, y = images(20), torch.arange(20) % 10

    trainer = Trainer(ours, recipe)
    losses = [trainer.step(x, y).item() for _ in range(3)]

    scales = {id(bn.weight) for bn in batch_norms(plain)}
    velocity = {p: torch.zeros_like(p) for p in plain.parameters()}
    for loss in losses:
        plain.zero_grad()
        expected = nn.functional.cross_entropy(plain(x), y)
        assert loss == pytest.approx(expected.item(), rel=1e-4)
        expected.backward()
        with torch.no_grad():
            for p, v in velocity.items():
                gradient = p.grad + (0.02 * p.sign() if id(p) in scales else 0) + 0.01 * p
                v.mul_(0.9).add_(gradient)
                p.sub_(0.05 * v)
    for a, b in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_an_epoch_uses_its_own_rate_and_gives_the_mean_loss_over_images():
    class Rates(Trainer):
        def step(self, x, y, step=0):
            self.seen.append((len(y), self.optimizer.param_groups[0]["lr"]))
            return torch.tensor(float(len(self.seen)))

    class Loader:
        device, images_per_epoch = torch.device("cpu"), 5

        def __len__(self):
            return 3

        def epoch(self, _):
            return iter([(torch.zeros(n, 1), torch.zeros(n)) for n in (2, 2, 1)])

    trainer = Rates(random_network("vgg16", 0.0625, seed=0), Recipe(lr=1.0, milestones=(7,)))
    trainer.seen = []
    assert trainer.epoch(Loader(), 6) == pytest.approx((2 * 1 + 2 * 2 + 1 * 3) / 5)
    trainer.epoch(Loader(), 7)
    assert trainer.seen == [(2, 1.0), (2, 1.0), (1, 1.0), *[(n, pytest.approx(0.1)) for n in (2, 2, 1)]]


class Constant(nn.Module):
    """Logits that are the same for every image."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, x):
        return self.logits.expand(len(x), -1)


def test_evaluation_is_exact_over_unequal_batches():
    labels = torch.cat([torch.zeros(500), torch.ones(3)]).long()  # batches of 500: their mean would be 50 percent
    split = Split(torch.zeros(503, 3, 32, 32, dtype=torch.uint8), labels)
    loss, accuracy = evaluate(Constant([0.0, 1.0]), Data(split, split))
    assert accuracy == 100 * 3 / 503
    assert loss == pytest.approx((500 * math.log(1 + math.e) + 3 * math.log(1 + 1 / math.e)) / 503, rel=1e-5)


def test_evaluation_uses_running_statistics_and_changes_nothing():
    model, data = random_network("vgg16", 0.0625, seed=0).train(), digits()
    before = copy.deepcopy(model.state_dict())
    first = evaluate(model, data)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    reordered = Split(data.test.images.flip(0), data.test.labels.flip(0))
    assert evaluate(model, replace(data, test=reordered)) == pytest.approx(first, rel=1e-5)


def test_evaluation_takes_larger_batches_on_a_gpu_and_counts_the_same_images(monkeypatch):
    assert (arrays.evaluation_batch(torch.device("cuda")), arrays.evaluation_batch(CPU)) == (2_000, 500)
    model, data = random_network("vgg16", 0.0625, seed=0), digits(60, 40)
    whole = measure(model, data)
    monkeypatch.setattr(arrays, "evaluation_batch", lambda _: 7)
    assert [len(y) for _, y in data.evaluation()] == [7] * 5 + [5]
    parts = measure(model, data)
    assert parts[1:] == whole[1:]
    assert parts.loss == pytest.approx(whole.loss, rel=1e-5)


def test_an_interrupted_training_ends_with_the_same_bits():
    spec = tiny_search(replace(TINY, epochs=4, augment="crop-flip"))
    snapshots = []

    def keep(snapshot, _now):
        buffer = io.BytesIO()
        torch.save(snapshot, buffer)
        snapshots.append(buffer)

    whole = fit(network(spec), digits(), spec.recipe, seed=3, checkpoint=keep)
    snapshots[1].seek(0)
    seen = []
    resumed = fit(
        network(spec, seed=99),  # other weights, so that what is not restored shows
        digits(),
        spec.recipe,
        seed=3,
        observers=[lambda state: seen.append(state.epoch)],
        resume=torch.load(snapshots[1], weights_only=True),
    )

    assert seen == [3, 4]
    assert rows(resumed) == rows(whole)
    pairs = zip(resumed.model.state_dict().values(), whole.model.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_continuing_a_schedule_trains_the_remaining_epochs_at_their_absolute_rates():
    spec = tiny_search(replace(TINY, epochs=4, milestones=(1, 3)))
    seen = []
    state = fit(network(spec), digits(), spec.recipe, seed=0, start=2, observers=[lambda s: seen.append(s.epoch)])
    assert seen == [2, 3, 4]
    assert [row["epoch"] for row in state.history] == [3, 4]
    assert [row["lr"] for row in state.history] == pytest.approx([0.01, 0.001])


def test_a_diverged_training_stops_with_the_loss_that_shows_it():
    spec = tiny_search(replace(TINY, epochs=50, lr=1e6, milestones=()))
    snapshots = []
    state = fit(network(spec), digits(), spec.recipe, seed=0, checkpoint=lambda s, _: snapshots.append(s["epoch"]))
    assert state.epoch < 10
    assert not math.isfinite(state.history[-1]["train_loss"])
    assert all(math.isfinite(row["train_loss"]) for row in state.history[:-1])
    assert state.epoch not in snapshots  # nothing to resume from a network of nans


@pytest.mark.parametrize(("name", "width", "maps"), [("resnet18", 0.0625, 1), ("vgg16", 0.0625, 2)])
def test_a_last_batch_that_batch_norm_cannot_take_is_refused_before_training(name, width, maps):
    """ResNet18's last maps of a 32x32 image have one pixel: of a batch of one image, one value a channel."""
    model, seen = build(name, 10, width), []
    state = {name: value.clone() for name, value in model.state_dict().items()}
    with contextlib.nullcontext() if maps > 1 else pytest.raises(UserError, match="1 of 61 images"):
        fit(
            model,
            digits(61),
            replace(TINY, epochs=1, milestones=()),
            seed=0,
            observers=[lambda s: seen.append(s.epoch)],
        )
    assert seen == ([0, 1] if maps > 1 else [])
    assert maps > 1 or all(value.equal(state[name]) for name, value in model.state_dict().items())
    assert all(not m._forward_pre_hooks for m in model.modules())


def test_bf16_trains_close_to_fp32_but_not_on_it():
    spec = tiny_search(replace(TINY, epochs=1))
    exact, rounded = (
        fit(network(spec), digits(), spec.recipe, seed=0, precision=p).history[0]["train_loss"]
        for p in ("fp32", "bf16")
    )
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=0.05)


def test_a_tiny_vgg_learns_the_digits_within_seconds():
    spec = replace(tiny_search(replace(TINY, epochs=4, milestones=(3,)), width=0.125), train_size=400)
    state = fit(network(spec), digits(400, 200), spec.recipe, seed=0)
    assert state.test_accuracy > 60


def ended(*rows, epoch=4):
    """A training of the last three of four epochs: (training loss, test loss, accuracy, top-5 accuracy) of each."""
    names = ("train_loss", "test_loss", "test_accuracy", "test_top5")
    history = [{"epoch": float(e), **dict(zip(names, row, strict=True))} for e, row in enumerate(rows, start=2)]
    return State(nn.Identity(), Recipe(epochs=4), epoch, 1, history)


SOUND = ((1.0, 0.9, 60.0, 95.0), (0.8, 1.1, 70.0, 91.0), (0.9, 1.2, 65.0, 97.0))
BROKEN = (0.5, math.nan, 10.0, 50.0)


def test_an_outcome_by_hand():
    """Best by accuracy, with the top-5 accuracy of that epoch; stopped early by the least finite test loss."""
    found = metrics_of(ended(*SOUND))
    names = ("last_accuracy", "last_top5", "best_accuracy", "best_top5", "early_stop_accuracy", "last_train_loss")
    assert [found[name] for name in names] == [65.0, 97.0, 70.0, 91.0, 60.0, 0.9]
    assert [found[name] for name in ("epochs", "best_epoch", "early_stop_epoch")] == [3, 3, 2]
    assert metrics_of(ended(BROKEN, *SOUND[1:]))["early_stop_epoch"] == 3
    assert metrics_of(ended(BROKEN, BROKEN))["early_stop_epoch"] == 2
    assert metrics_of(ended(SOUND[0], SOUND[0]))["best_epoch"] == 2  # the first of equals
    assert metrics_of(ended((math.inf, 0.9, 60.0, 95.0)))["last_train_loss"] is None
    assert (metrics_of(ended())["epochs"], metrics_of(ended())["best_accuracy"]) == (0, None)


@pytest.mark.parametrize(
    ("rows", "epoch", "status"),
    [
        (SOUND, 4, "ok"),
        (SOUND[:2], 3, "diverged"),  # it stopped early
        ((SOUND[0], (math.nan, 0.9, 60.0, 95.0), SOUND[2]), 4, "diverged"),
        ((*SOUND[:2], BROKEN), 4, "diverged"),  # its last step shows in the test loss alone
        ((BROKEN, *SOUND[1:]), 4, "ok"),  # a test loss that was too large for a while
    ],
)
def test_a_training_diverged_where_its_loss_is_not_finite_or_it_stopped_early(rows, epoch, status):
    assert status_of(ended(*rows, epoch=epoch)) == status

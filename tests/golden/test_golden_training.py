"""A few epochs whose numbers are known: they change only when the numerics do (then spec.NUMERICS is bumped too)."""

from dataclasses import replace

import pytest
import torch
from helpers import digits, tiny_search

from ebreplicate.runner.inputs import network
from ebreplicate.specs.spec import Recipe, Search
from ebreplicate.training.loop import fit
from ebreplicate.training.observers import Scores

# Penalties are ten to a hundred times the paper's, so that losing one of them shows within 30 steps.
RECIPE = Recipe(epochs=3, batch_size=20, lr=0.1, milestones=(2,), l1=0.01, weight_decay=0.01)


def curve(model, width, lr, augment="crop-flip"):
    """Mean training loss and mean |gamma| after each epoch of a tiny search on 200 digits."""
    recipe = replace(RECIPE, lr=lr, augment=augment)
    search = Search(model, "digits", recipe, width=width)
    scores = Scores()
    state = fit(network(search), digits(200, 100), recipe, seed=0, observers=[scores])
    return [row["train_loss"] for row in state.history], [row.mean().item() for row in scores.rows[1:]]


# The tolerances let another CPU pass: vector width and library change the order of sums, and VGG16, where rectifiers
# on 2x2 maps of few channels flip at a difference in the last bit, multiplies that to 1e-3 in the loss within three
# epochs (measured with SSE-only kernels and by perturbing weights by 1e-7). PreResNet20 and the scales stay within
# 2e-5. Leaving out the L1 term, weight decay, momentum or a decay moves the scales by more than 7 percent, and mirrored
# crops move a loss or a scale by at least 2e-4 of itself.
@pytest.mark.parametrize(
    ("model", "width", "lr", "losses", "scales", "loss_tolerance"),
    [
        (
            "vgg16",
            0.0625,
            0.05,
            [2.309603, 2.311598, 2.299323],
            [0.4690588, 0.4105493, 0.4038920],
            3e-3,
        ),
        (
            "preresnet20",
            0.125,
            0.1,
            [2.3232571, 2.3256618, 2.3055019],
            [0.4378362, 0.3220285, 0.3092869],
            1e-4,
        ),
    ],
)
def test_loss_curve_is_the_recorded_one(model, width, lr, losses, scales, loss_tolerance):
    measured_losses, measured_scales = curve(model, width, lr)
    assert measured_losses == pytest.approx(losses, rel=loss_tolerance)
    assert measured_scales == pytest.approx(scales, rel=1e-4)


def test_the_same_spec_twice_gives_the_same_bits():
    spec = tiny_search(replace(RECIPE, epochs=2))
    first, second = (fit(network(spec), digits(), spec.recipe, seed=spec.seed) for _ in range(2))
    assert [r["train_loss"] for r in first.history] == [r["train_loss"] for r in second.history]
    weights = zip(first.model.state_dict().items(), second.model.state_dict().items(), strict=True)
    assert all(name == other and torch.equal(a, b) for (name, a), (other, b) in weights)


def test_another_seed_gives_other_losses():
    losses = [
        [row["train_loss"] for row in fit(network(spec), digits(), spec.recipe, seed=spec.seed).history]
        for spec in (tiny_search(replace(RECIPE, epochs=1), seed=s) for s in (0, 1))
    ]
    assert losses[0] != losses[1]

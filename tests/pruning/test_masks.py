"""Masks by hand, and input that is no score vector."""

import pytest
import torch

from ebreplicate.errors import UserError
from ebreplicate.pruning import global_mask, mask_distance, rescue_empty_layers
from ebreplicate.pruning.masks import tied
from ebreplicate.pruning.methods.base import DrawContext
from ebreplicate.pruning.methods.random import random_channels
from ebreplicate.pruning.methods.slimming import slimming


def bits(text):
    return torch.tensor([c == "1" for c in text])


@pytest.mark.parametrize(
    ("scores", "ratio", "kept", "ties"),
    [
        ([5, 1, 4, 2, 3], 0.4, "10100", 0),  # threshold is the third smallest, 3, which goes too
        ([5, 1, 4, 2, 3], 0.2, "10101", 0),
        ([5, 1, 4, 2, 3], 0.99, "00000", 0),
        ([1, 1, 1, 2], 0.25, "0001", 2),  # ties go together
        ([1, 1, 1, 1], 0.5, "0000", 3),  # the untrained network keeps nothing
        ([7], 0.5, "0", 0),
    ],
)
def test_global_mask_and_its_ties_by_hand(scores, ratio, kept, ties):
    found = torch.tensor(scores, dtype=torch.float32)
    assert global_mask(found, ratio).equal(bits(kept))
    assert tied(found, ratio) == ties


@pytest.mark.parametrize("ratio", [0, 1, -0.1, 1.1, float("nan")])
def test_a_ratio_outside_the_open_interval_is_refused(ratio):
    with pytest.raises(UserError, match=r"^ratio: must lie strictly between 0 and 1, got "):
        global_mask(torch.ones(3), ratio)


@pytest.mark.parametrize("shape", [(0,), (2, 3), ()])
def test_scores_that_are_no_vector_are_refused(shape):
    with pytest.raises(UserError, match=r"^scores: expected a non-empty vector, got shape"):
        global_mask(torch.ones(shape), 0.5)


def test_mask_distance_by_hand():
    assert mask_distance(bits("110010"), bits("100011")) == 2 / 6


def test_masks_of_different_networks_are_refused():
    with pytest.raises(UserError, match=r"^mask: shapes differ, \(3,\) and \(4,\)"):
        mask_distance(bits("110"), bits("1100"))


def test_rescue_by_hand():
    scores = torch.tensor([0.1, 0.3, 0.2, 0.9, 0.8, 0.0])
    mask, rescued = rescue_empty_layers(bits("000100"), scores, [3, 2, 1])
    assert mask.equal(bits("010101"))
    assert rescued == 2
    with pytest.raises(UserError, match=r"^widths: 6 channels in all, where the scores have 5"):
        rescue_empty_layers(bits("000100"), scores[:5], [3, 2, 1])


@pytest.mark.parametrize("widths", [[4, 4], [4, 4, 4], []])
def test_widths_of_another_network_rescue_nothing(widths):
    with pytest.raises(UserError, match=r"^widths: \d+ channels in all, where the scores have 10"):
        rescue_empty_layers(bits("0000111100"), torch.rand(10), widths)


def test_random_keeps_slimmings_layer_widths_but_other_channels():
    widths = [40, 60, 100]
    scores = torch.rand(200, generator=torch.Generator().manual_seed(0))
    draws = [random_channels(DrawContext(scores, widths, 0.5, seed)) for seed in (0, 1)]
    reference = slimming(DrawContext(scores, widths, 0.5))
    for mask in draws:
        assert [int(m.sum()) for m in mask.split(widths)] == [int(m.sum()) for m in reference.split(widths)]
        assert 0.3 < mask_distance(mask, reference) < 0.7
    assert 0.3 < mask_distance(*draws) < 0.7

"""Masks over single weights against hand-computed cases, and pruned weights that stay zero whatever the optimiser."""

from dataclasses import replace

import pytest
import torch
from helpers import TINY, digits, random_network
from torch import nn

from ebreplicate import cost
from ebreplicate.catalog import METHODS
from ebreplicate.errors import UserError
from ebreplicate.pruning.methods.base import DrawContext
from ebreplicate.pruning.methods.magnitude import smallest
from ebreplicate.pruning.weights import apply_mask, density, prunable, split_weights, stray_weights, weight_counts
from ebreplicate.training.loop import fit
from ebreplicate.training.masking import MaskWeights

SHAPE = (3, 32, 32)


class Chain(nn.Module):
    """A 1x1 convolution of 4 weights, a linear layer of 4, an output layer of 2; biases that nothing prunes."""

    def __init__(self, rates=None):
        super().__init__()
        self.conv, self.hidden, self.out = nn.Conv2d(2, 2, 1), nn.Linear(2, 2), nn.Linear(2, 1)
        if rates:
            self.pruning_rates = rates
        values = iter([5.0, -1.0, 3.0, -8.0, 0.5, 6.0, -0.25, 7.0, 0.125, -9.0])
        with torch.no_grad():
            for weight in prunable(self):
                weight.copy_(torch.tensor([next(values) for _ in range(weight.numel())]).view_as(weight))


def drawn(method, ratio, model, previous=None, seed=0):
    mask = METHODS.load(method)(DrawContext(torch.zeros(0), [], ratio, seed, model, previous))
    return mask.int().tolist()


def test_across_layers_the_smallest_go_and_the_output_layer_is_spared():
    # |w|: 5 1 3 8 | 0.5 6 0.25 7 | (0.125 9): of the first eight, half go: 0.25, 0.5, 1, 3.
    assert drawn("magnitude", 0.5, Chain()) == [1, 0, 0, 1, 0, 1, 0, 1, 1, 1]


def test_layer_by_layer_every_layer_has_its_own_rate():
    # rates 0.25, 0.5, 0.5 of layers with 4, 4 and 2 weights: 1, 2 and 1 go
    assert drawn("magnitude", 0.5, Chain((0.5, 1.0, 1.0))) == [1, 0, 1, 1, 0, 1, 0, 1, 0, 1]


def test_a_further_round_removes_a_fraction_of_what_is_left_and_nothing_returns():
    model = Chain()
    first = torch.tensor([0, 1, 1, 1, 1, 1, 1, 0, 1, 1]).bool()  # large weights are gone: 5 and 7
    # six hidden weights are left (1 3 8 0.5 6 0.25): a third of them go
    assert drawn("magnitude", 1 / 3, model, first) == [0, 1, 1, 1, 0, 1, 0, 0, 1, 1]


def test_of_equal_magnitudes_the_first_go_and_the_count_is_exact():
    scores = torch.tensor([2.0, 1.0, 2.0, 2.0, 1.0])
    assert smallest(scores, 0.6).int().tolist() == [1, 1, 0, 0, 1]
    assert smallest(torch.zeros(10), 0.3).int().tolist() == [1, 1, 1] + [0] * 7
    assert not smallest(scores, 0.05).any()


@pytest.mark.parametrize("rates", [None, (0.5, 1.0, 0.5)])
def test_random_weights_are_as_many_per_layer_at_other_places(rates):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 30), nn.Linear(30, 40), nn.Linear(40, 10))
    if rates:
        model.pruning_rates = rates
    sizes = weight_counts(model)

    def counts(mask):
        return [sum(mask[a : a + n]) for a, n in zip((0, sizes[0], sizes[0] + sizes[1]), sizes, strict=True)]

    first = torch.tensor(drawn("magnitude", 0.3, model)).bool()
    for previous in (None, first):
        best, chance = (drawn(m, 0.3, model, previous) for m in ("magnitude", "random-weights"))
        assert counts(best) == counts(chance)
        assert best != chance
        assert chance == drawn("random-weights", 0.3, model, previous)
        assert chance != drawn("random-weights", 0.3, model, previous, seed=1)


def test_a_method_that_needs_weights_says_so():
    with pytest.raises(UserError, match=r"^DrawContext.model: "):
        drawn("magnitude", 0.5, None)


def test_a_mask_of_the_wrong_length_is_refused():
    with pytest.raises(UserError, match=r"^mask: expected bool of shape \(10,\)"):
        split_weights(Chain(), torch.ones(9, dtype=torch.bool))


def random_mask(model, keep=0.3):
    return torch.rand(sum(weight_counts(model)), generator=torch.Generator().manual_seed(1)) < keep


@pytest.mark.parametrize(
    "more", [{"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, {"optimizer": "adam", "lr": 0.01}], ids=str
)
def test_pruned_weights_stay_exactly_zero_and_so_does_what_the_optimiser_remembers(more):
    recipe = replace(TINY, weight_decay=0.1, **more)
    model = random_network("preresnet20", 0.25, seed=0)
    mask = random_mask(model)
    pieces = split_weights(model, mask)
    before = [w.detach().clone() for w in prunable(model)]
    optimizers = []

    class Spy(MaskWeights):
        def attach(self, model, optimizer, recipe, steps_per_epoch):
            super().attach(model, optimizer, recipe, steps_per_epoch)
            optimizers.append(optimizer)

    fit(model, digits(), recipe, seed=0, hooks=[Spy(mask)])

    assert stray_weights(model, mask) == 0
    for weight, keep, old in zip(prunable(model), pieces, before, strict=True):
        assert not weight[~keep].any()
        assert not weight[keep].equal(old[keep])
        state = optimizers[0].state[weight]
        remembered = [v for k, v in state.items() if k != "step"]
        assert remembered
        assert not any(v[~keep].any() for v in remembered)


class Filled(MaskWeights):
    """The same masks by `masked_fill_`, which is slower."""

    def attach(self, model, optimizer, recipe, steps_per_epoch):
        super().attach(model, optimizer, recipe, steps_per_epoch)
        self.dropped = [(weight, bits == 0) for weight, bits in self.pairs]

    def before_step(self, step):
        for weight, dropped in self.dropped:
            weight.grad.masked_fill_(dropped, 0.0)
        return True

    @torch.no_grad()
    def after_step(self, step):
        for weight, dropped in self.dropped:
            weight.masked_fill_(dropped, 0.0)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_masks_as_bits_give_the_training_of_filled_masks_bit_for_bit(optimizer):
    recipe = replace(TINY, optimizer=optimizer, weight_decay=0.01, momentum=0.9 if optimizer == "sgd" else 0.0)
    trained = []
    for hook in (MaskWeights, Filled):
        model = random_network("vgg16", 0.0625, seed=0)
        fit(model, digits(), recipe, seed=0, hooks=[hook(random_mask(model))])
        trained.append(torch.cat([value.flatten().double() for value in model.state_dict().values()]))
    assert trained[0].view(torch.int64).equal(trained[1].view(torch.int64))


def test_what_is_not_a_number_in_a_dropped_gradient_is_zero():
    model = Chain()
    hook = MaskWeights(torch.arange(10) % 2 == 0)
    hook.attach(model, None, TINY, 1)
    for weight in prunable(model):
        weight.grad = torch.full_like(weight, torch.nan)
    hook.before_step(0)
    found = torch.cat([weight.grad.flatten() for weight in prunable(model)])
    assert found.isnan().tolist() == [True, False] * 5
    assert not found[1::2].any()


def test_masked_steps_equal_steps_of_a_network_whose_forward_multiplies_by_the_mask():
    """The other way to train a masked network: w * m in the forward pass, no hook."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Flatten(), nn.Linear(3072, 8), nn.ReLU(), nn.Linear(8, 10))
    reference = nn.Sequential(nn.Flatten(), nn.Linear(3072, 8), nn.ReLU(), nn.Linear(8, 10))
    reference.load_state_dict(plain.state_dict())
    mask = random_mask(plain)
    apply_mask(reference, mask)
    for layer, keep in zip((reference[1], reference[3]), split_weights(plain, mask), strict=True):
        nn.utils.parametrize.register_parametrization(layer, "weight", Times(keep))
    recipe = replace(TINY, weight_decay=0.01, lr=0.05)
    fit(plain, digits(), recipe, seed=3, hooks=[MaskWeights(mask)])
    fit(reference, digits(), recipe, seed=3)
    for ours, theirs in zip(prunable(plain), (reference[1].weight, reference[3].weight), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


class Times(nn.Module):
    def __init__(self, keep):
        super().__init__()
        self.register_buffer("keep", keep.float(), persistent=False)

    def forward(self, weight):
        return weight * self.keep


def test_density_is_per_layer():
    mask = torch.tensor([1, 0, 0, 0, 1, 1, 0, 0, 1, 1]).bool()
    assert density(Chain(), mask) == [0.25, 0.5, 1.0]


def test_sparse_flops_count_what_is_left_and_equal_dense_ones_without_a_mask():
    model = random_network("vgg16", 0.0625, seed=0)
    counts = weight_counts(model)
    dense = cost.forward_flops(model, SHAPE)
    assert cost.sparse_forward_flops(model, SHAPE, counts, dense) == dense
    assert cost.sparse_forward_flops(model, SHAPE, [0] * len(counts), dense)["torch"] == 0
    less = [counts[0] - 5, *counts[1:-1], counts[-1] - 7]  # 5 weights used 32 x 32 times, 7 used once
    spared = 5 * 1024 + 7
    assert cost.sparse_forward_flops(model, SHAPE, less, dense) == {
        "authors": dense["authors"] - 2 * spared,
        "fvcore": dense["fvcore"] - spared,
        "torch": dense["torch"] - 2 * spared,
    }

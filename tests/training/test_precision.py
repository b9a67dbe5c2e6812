"""Quantised training: the quantiser by hand, its gradients beside autograd's, schedules, resuming, refused bits."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import CPU, NOWHERE, TINY, digits, images, tiny_search
from torch import nn

from ebreplicate import stages
from ebreplicate.errors import UserError
from ebreplicate.models import build
from ebreplicate.models.common import conv
from ebreplicate.specs.bits import Bits, cyclic_bits, cyclic_saving, operations, stage_of
from ebreplicate.specs.spec import Recipe, canonical, from_json
from ebreplicate.store.store import Store
from ebreplicate.training.loop import Trainer, fit
from ebreplicate.training.precision import Precision, bitops
from ebreplicate.training.quantiser import Quantised, QuantisedConvolution, quantise_convolutions, quantised
from ebreplicate.verify.trainings import bits_problems

STATIC = Bits("static", (8,), (8,))
LEARNED = Bits("learned", (3, 8), (8,), 0.05)
DIGIT = (3, 32, 32)


def test_two_bits_by_hand():
    x = torch.tensor([-1.0, -0.4, 0.1, 2.0])  # range 3, so steps of 1 from -1
    low, high = x.aminmax()
    assert quantised(x, 2, low, high - low).tolist() == [-1.0, 0.0, 0.0, 2.0]
    assert quantised(torch.tensor([-9.0, 9.0]), 2, low, high - low).tolist() == [-1.0, 2.0]  # beyond the extremes
    assert quantised(x, 1, low, high - low).tolist() == [-1.0, -1.0, -1.0, 2.0]
    constant = torch.full((3,), 0.7)
    torch.testing.assert_close(quantised(constant, 4, constant.min(), torch.zeros(())), constant)


def test_stochastic_rounding_is_right_on_average():
    x = torch.tensor([0.0, 0.3, 1.0]).repeat(20_000, 1)
    low, high = x.aminmax()
    found = quantised(x, 1, low, high - low, torch.Generator().manual_seed(0)).mean(0)
    torch.testing.assert_close(found, torch.tensor([0.0, 0.3, 1.0]), atol=0.01, rtol=0)


def test_weights_have_a_range_for_each_output_channel_and_evaluation_uses_running_extremes():
    torch.manual_seed(0)
    plain = conv(2, 3, 3)
    with torch.no_grad():
        plain.weight[1] *= 100
    layer = QuantisedConvolution(plain)
    layer.forward_bits = 3
    first, second = images(2, 1)[:, :2], 3 * images(2, 2)[:, :2]
    layer(first), layer(second)
    expected = torch.stack([0.9 * f + 0.1 * s for f, s in zip(first.aminmax(), second.aminmax(), strict=True)])
    torch.testing.assert_close(layer.extremes, expected)
    layer.eval()
    out, (low, high) = layer(first), expected
    rows = [quantised(w, 3, w.min(), w.max() - w.min()) for w in plain.weight.detach()]
    by_hand = nn.functional.conv2d(quantised(first, 3, low, high - low), torch.stack(rows), padding=1)
    torch.testing.assert_close(out, by_hand)
    assert layer.state_dict().keys() == plain.state_dict().keys()


def test_the_gradient_by_bits_is_that_of_the_written_formula_by_autograd():
    torch.manual_seed(1)
    x, weights = torch.randn(5, 7, dtype=torch.float64), torch.randn(5, 7, dtype=torch.float64)
    low, high = x.aminmax()
    for bits in (1, 3, 8):
        b = torch.tensor(float(bits), dtype=torch.float64, requires_grad=True)
        step = (high - low) / (2**b - 1)
        v = (x - low) / step
        written = low + step * (v + (v.round() - v).detach())  # straight through
        (weights * written).sum().backward()
        learned = torch.tensor(float(bits), dtype=torch.float64, requires_grad=True)
        given = x.clone().requires_grad_()
        out = Quantised.apply(given, bits, low, high - low, learned)
        (weights * out).sum().backward()
        torch.testing.assert_close(out, written)
        torch.testing.assert_close(learned.grad, b.grad)
        torch.testing.assert_close(given.grad, weights)


def trainer(bits, recipe=TINY, seed=3):
    torch.manual_seed(0)
    model, hook = build("preresnet20", 10, 0.125), Precision(bits, seed, DIGIT)
    return Trainer(model, recipe, hooks=[hook], steps_per_epoch=3), hook


def test_the_cost_terms_gradient_is_autograds():
    run, hook = trainer(LEARNED)
    run.step(images(4), torch.arange(4))
    p = hook.positions.detach().double().requires_grad_()
    raw = p * 5 + 3
    b = raw + (raw.round().clamp(3, 8) - raw).detach()
    hook.current = [int(v) for v in b.tolist()]
    cost = (hook.products * (b * b + 16 * b) / 3).sum() / hook.products.sum() / operations(8, 8)
    (0.05 * cost).backward()
    torch.testing.assert_close(hook.cost_gradient(), p.grad.float())


def test_learned_positions_take_the_gradient_of_both_tensors_without_weight_decay():
    run, hook = trainer(LEARNED)
    run.step(images(4), torch.arange(4))
    group = run.optimizer.param_groups[-1]
    assert (group["weight_decay"], len(group["params"]), hook.positions.shape) == (0.0, 1, (22,))
    assert (hook.positions.detach() != 0).all()
    assert set(hook.current) == {3}


def test_strided_narrow_convolutions_are_quantised_as_they_compute():
    torch.manual_seed(0)
    plain = conv(4, 8, 1, stride=2)
    layer = QuantisedConvolution(plain)
    torch.testing.assert_close(layer(images(2).repeat(1, 2, 1, 1)[:, :4]), plain(images(2).repeat(1, 2, 1, 1)[:, :4]))


def test_every_convolution_of_a_network_is_found_and_names_stay():
    model = build("preresnet20", 10, 0.125)
    names = model.state_dict().keys()
    count = sum(isinstance(m, nn.Conv2d) for m in model.modules())
    assert len(quantise_convolutions(model)) == count == 22
    assert model.state_dict().keys() == names


def test_the_noise_is_a_function_of_seed_step_and_layer():
    def gradient(seed, step):
        run, _ = trainer(Bits("static", (8,), (2,)), seed=seed)
        run.step(images(4), torch.arange(4), step)
        return run.model.conv1.weight.grad.clone()

    assert gradient(3, 1).equal(gradient(3, 1))
    assert not gradient(3, 1).equal(gradient(3, 2))
    assert not gradient(3, 1).equal(gradient(4, 1))


def test_cyclic_bits_rise_in_each_of_32_cycles_and_end_at_the_most():
    cycle = [cyclic_bits(3, 8, step, 3200) for step in range(100)]
    assert cycle == sorted(cycle)
    assert (cycle[0], cycle[50], cycle[-1]) == (3, round(5.5), 8)
    assert [cyclic_bits(3, 8, step, 3200) for step in range(100, 200)] == cycle
    assert cyclic_bits(3, 8, 2369, 2370) == 8


@pytest.mark.parametrize(("low", "high", "back", "saved"), [(3, 8, 8, 36.67), (3, 6, 6, 30.05), (3, 4, 6, 14.84)])
def test_the_schedule_saves_what_its_authors_print(low, high, back, saved):
    assert cyclic_saving(low, high, back, 64_000) == pytest.approx(saved, abs=0.005)


def test_progressive_precision_turns_where_the_loss_settles():
    falling = [2.0 - 0.2 * i for i in range(6)]
    assert stage_of(falling, 4) == 0
    flat = [
        *falling,
        1.0,
        0.99,
        0.98,
        0.97,
    ]  # unit of the first ten 1.37, threshold 0.05: within 0.068 of the four before
    assert [stage_of(flat[:n], 4) for n in range(7, 11)] == [0, 0, 0, 1]
    assert stage_of([*flat, 0.97, 0.96, 0.96, 0.96], 4) == 1  # four since the turn, one too few
    assert stage_of([*flat, 0.97, 0.96, 0.96, 0.96, 0.96], 4) == 2  # threshold 0.015, within 0.02
    assert stage_of([1.0] * 50, 4) == 3
    assert stage_of([math.nan] * 50, 4) == 0


def test_bitops_of_a_recorded_history_by_hand():
    rows = torch.zeros(2, 3, 2, dtype=torch.float64)
    rows[:, 2] = torch.tensor([operations(8, 8), operations(4, 8)])
    found = bitops(rows, torch.tensor([100.0, 300.0], dtype=torch.float64), images=10)
    each = 100 * 64 + 300 * (16 + 64) / 3
    assert found["training_bitops"] == pytest.approx(3 * 10 * 2 * each)
    assert found["relative_bitops"] == pytest.approx(each / 400 / 1024)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("static", (0,), (8,)), r"Bits.forward\[0\]: must lie in 1..32 bits, got 0"),
        (("static", (8,), (33,)), r"Bits.backward\[0\]: must lie in 1..32 bits, got 33"),
        (("static", (6, 8), (8,)), "Bits.forward: 'static' takes 1"),
        (("cyclic", (8, 3), (8,)), "Bits.forward: must increase strictly"),
        (("progressive", (3, 8), (8,)), "Bits.backward: does not fit"),
        (("cyclical", (3, 8), (8,)), "Bits.schedule"),
        (("cyclic", (3, 8), (8,), 0.1), "Bits.cost: means nothing"),
    ],
)
def test_odd_bits_are_refused_before_training(given, said):
    with pytest.raises(UserError, match=said):
        Bits(*given)


def test_two_quantisers_at_once_are_refused():
    with pytest.raises(UserError, match=r"Search\.bits: quantise fp32"):
        replace(tiny_search(), bits=STATIC, precision="bfp8")


@pytest.mark.parametrize("bits", [STATIC, LEARNED, Bits("progressive", (3, 4, 6, 8), (6, 6, 8, 8))])
def test_a_search_records_its_bits_and_both_evaluations(bits, tmp_path):
    spec, store = replace(tiny_search(), bits=bits), Store(tmp_path)
    assert from_json(canonical(spec)) == spec
    record = stages.search(spec, store, NOWHERE, CPU)
    rows = np.load(store.folder(spec) / "bits.npy")
    assert rows.shape == (3, 3, 13)
    assert (rows[:, 0] >= bits.forward[0]).all()
    assert (rows[:, 0] <= bits.forward[-1]).all()
    assert list(bits_problems(spec, record, store)) == []
    if bits is STATIC:
        assert record["metrics"]["most_bits_accuracy"] == record["metrics"]["last_accuracy"]
        assert record["cost"]["relative_bitops"] == pytest.approx(1 / 16)
    record["cost"]["relative_bitops"] *= 1.1
    assert any("relative_bitops" in problem for problem in bits_problems(spec, record, store))


def test_a_resumed_training_ends_with_the_same_bits():
    def run(until=None, resume=None):
        torch.manual_seed(0)
        model, hook, saved = build("preresnet20", 10, 0.125), Precision(LEARNED, 0, DIGIT), []
        fit(
            model,
            digits(),
            replace(TINY, lr=1.0),
            seed=0,
            hooks=[hook],
            resume=resume,
            checkpoint=lambda snapshot, _: saved.append(snapshot),
            until=until,
        )
        return model, hook, saved

    whole, its, _ = run()
    _, _, saved = run(until=2)
    resumed, ours, _ = run(resume=saved[-1])
    assert all(a.equal(b) for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True))
    assert its.positions.equal(ours.positions)
    assert torch.stack(its.rows).equal(torch.stack(ours.rows))


@pytest.mark.slow
def test_a_network_learns_at_low_bits():
    torch.manual_seed(0)
    recipe = Recipe(epochs=6, batch_size=30, lr=0.05, milestones=(5,), l1=0.0, augment="none")
    state = fit(
        build("vgg16", 10, 0.125),
        digits(300, 100),
        recipe,
        seed=0,
        hooks=[Precision(Bits("static", (4,), (8,)), 0, DIGIT)],
    )
    assert state.test_accuracy > 50

"""Low-precision training: what is rounded and when, against a loop written out; resuming; leaving no trace."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import CPU, NOWHERE, TINY, digits, images, random_network, tiny_search
from torch import nn

from ebreplicate import stages
from ebreplicate.errors import UserError
from ebreplicate.pruning import global_mask
from ebreplicate.pruning.channels import batch_norms
from ebreplicate.pruning.masks import tied
from ebreplicate.runner.inputs import network
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.spec import Retrain, Ticket
from ebreplicate.store.store import Store
from ebreplicate.training import formats, lowprecision
from ebreplicate.training.averaging import WeightAverage, restate
from ebreplicate.training.formats import E4M3, E5M2, block_floating_point, float8
from ebreplicate.training.loop import StepHook, Trainer, fit

each_precision = pytest.mark.parametrize("precision", ["bfp8", "fp8"])
LOW = ("bfp8", "fp8")


def trained(precision="bfp8", seed=3, recipe=TINY, **more):
    spec = tiny_search(recipe)
    return fit(network(spec), digits(), recipe, seed=seed, hooks=lowprecision.hooks(precision, seed), **more)


def losses(state):
    return [row["train_loss"] for row in state.history] + [row["test_loss"] for row in state.history]


def same(a, b):
    pairs = zip(a.state_dict().items(), b.state_dict().items(), strict=True)
    return all(name == other and torch.equal(x, y) for (name, x), (other, y) in pairs)


def on_grid(precision, x, backward=False):
    """True if x is a fixed point of its format, rounded to nearest."""
    if precision == "bfp8":
        return torch.equal(block_floating_point(x), x)
    return torch.equal(float8(x, E5M2 if backward else E4M3), x)


def test_only_eight_bit_precisions_have_hooks():
    assert [len(lowprecision.hooks(p, 0)) for p in ("fp32", "tf32", "bf16", *LOW)] == [0, 0, 0, 1, 1]


@pytest.mark.parametrize(("name", "convolutions"), [("vgg16", 13), ("preresnet20", 1 + 6 * 3 + 3)])
def test_points_are_all_convolutions_and_never_the_last_linear(name, convolutions):
    found = lowprecision.points(random_network(name, 0.125, seed=0))
    assert len(found) == convolutions
    assert all(isinstance(m, nn.Conv2d) for m in found)
    two = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    assert lowprecision.points(two) == [two[0]]


class Watch(StepHook):
    """Looks at gradients, weights and momentum when the rounding has just been. Vectors stay fp32 in FP8."""

    def __init__(self, precision):
        self.precision, self.steps = precision, 0

    def attach(self, model, optimizer, recipe, steps_per_epoch):
        self.optimizer = optimizer
        self.rounded = [p for p in model.parameters() if p.ndim > 1 or self.precision == "bfp8"]
        self.vectors = [p for p in model.parameters() if p.ndim == 1]

    def before_step(self, step):
        assert all(on_grid(self.precision, p.grad, backward=True) for p in self.rounded)
        return True

    def after_step(self, step):
        self.steps += 1
        for p in self.rounded:
            assert on_grid(self.precision, p)
            assert on_grid(self.precision, self.optimizer.state[p]["momentum_buffer"], backward=True)


@each_precision
@pytest.mark.parametrize("name", ["vgg16", "preresnet20"])
def test_parameters_gradients_momentum_activations_and_errors_are_on_their_grids(precision, name):
    model, watch = random_network(name, 0.125, seed=0).train(), Watch(precision)
    trainer = Trainer(model, TINY, hooks=[*lowprecision.hooks(precision, 1), watch])
    points, seen = lowprecision.points(model), []

    def look(layer, _, output):
        def error(gradient):
            seen.append((layer, "error", on_grid(precision, gradient, backward=True)))

        seen.append((layer, "activation", on_grid(precision, output)))
        # The gradient that reaches the layer itself, on the other side of the point.
        output.grad_fn.register_hook(lambda inputs, _: error(inputs[0]))

    for m in points:
        m.register_forward_hook(look)
    linear = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    logits = []
    linear.register_forward_hook(lambda _m, _i, output: logits.append(output.detach()))
    for step in range(2):
        trainer.step(images(8), torch.arange(8), step)
    assert watch.steps == 2
    assert {on_grid(precision, p) for p in watch.vectors} == {precision == "bfp8"}
    assert {(m, what) for m, what, _ in seen} == {(m, what) for m in points for what in ("activation", "error")}
    assert all(ok for _, _, ok in seen)
    assert not on_grid(precision, logits[0])


def test_a_step_is_the_authors_order_written_out():
    """Forward with unrounded weights, round gradients (L1 included), step in fp32, round weights, then momentum."""
    model = random_network("vgg16", 0.0625, seed=0).train()
    x, y, lr = images(8), torch.arange(8), TINY.lr
    recipe = replace(TINY, l1=0.01, weight_decay=0.02)
    start = {n: p.detach().clone() for n, p in model.named_parameters()}
    hook = lowprecision.LowPrecision("bfp8", 5)

    class Nearest(lowprecision.BlockRounding):
        def __call__(self, x):
            return block_floating_point(x)

    trainer = Trainer(model, recipe, hooks=[hook])
    hook.forth = hook.back = Nearest(hook.generator)
    trainer.step(x, y, 0)

    plain = random_network("vgg16", 0.0625, seed=0).train()

    class Straight(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return block_floating_point(x)

        @staticmethod
        def backward(ctx, error):
            return block_floating_point(error)

    value = x
    for layer in plain.features:
        value = layer(value)
        if isinstance(layer, nn.Conv2d):
            value = Straight.apply(value)
    value = plain.classifier(nn.functional.avg_pool2d(value, 2).flatten(1))
    nn.functional.cross_entropy(value, y).backward()
    scales = {id(bn.weight) for bn in batch_norms(plain)}
    for (name, p), ours in zip(plain.named_parameters(), model.parameters(), strict=True):
        gradient = p.grad + (0.01 * p.detach().sign() if id(p) in scales else 0)
        momentum = block_floating_point(gradient) + 0.02 * start[name]
        expected = block_floating_point(start[name] - lr * momentum)
        # One step of the grid, where a rounding error in fp32 decides a tie.
        step = 2.0**-6 * expected.abs().amax()
        assert (ours - expected).abs().max() <= step, name
        assert ((ours - expected).abs() > 0).float().mean() < 0.02, name


@each_precision
def test_rounding_many_tensors_is_rounding_each(precision, monkeypatch):
    # Stochastic rounding with u always just above 1/2 is to nearest, so it cannot depend on the order of the draws.
    monkeypatch.setattr(formats, "uniform16", lambda like, _: torch.zeros_like(like, dtype=torch.int16))
    tensors = [torch.randn(s) * 10.0**i for i, s in enumerate([(4, 3, 3, 3), (4,), (6, 27), (2, 1, 1, 1), (5,)])]
    tensors[0] = tensors[0].to(memory_format=torch.channels_last)
    generator = torch.Generator()
    kinds = [lowprecision.BlockRounding(generator)]
    kinds += [lowprecision.FloatRounding(form, generator) for form in (E4M3, E5M2)]
    for kind in kinds:
        for together, x in zip(kind.all(tensors), tensors, strict=True):
            assert torch.equal(together, kind(x))


@each_precision
def test_random_numbers_are_a_function_of_seed_and_step_alone(precision):
    recipe = replace(TINY, epochs=1, milestones=())
    first = trained(precision, recipe=recipe)
    torch.manual_seed(99)
    again = trained(precision, recipe=recipe, observers=[lambda _: torch.rand(1000)])
    hooks = lowprecision.hooks(precision, 4)  # another seed of the rounding only
    other = fit(network(tiny_search()), digits(), recipe, seed=3, hooks=hooks)
    assert losses(first) == losses(again)
    assert same(first.model, again.model)
    assert losses(first) != losses(other)


@each_precision
def test_an_interrupted_training_ends_with_the_same_bits(precision):
    recipe = replace(TINY, swa_start=1)
    averages, snapshots, ends = [WeightAverage(), WeightAverage()], [], []
    for average in averages:
        resume = None
        if snapshots:
            snapshots[1].seek(0)  # after two epochs, one of them averaged
            resume = torch.load(snapshots[1], weights_only=True)

        def keep(snapshot, _now):
            snapshots.append(io.BytesIO())
            torch.save(snapshot, snapshots[-1])

        spec = tiny_search(recipe, seed=len(ends))  # other weights, so that what is not restored shows
        hooks = [*lowprecision.hooks(precision, 3), average]
        ends.append(fit(network(spec), digits(), recipe, seed=3, hooks=hooks, resume=resume, checkpoint=keep))
    assert losses(ends[0]) == losses(ends[1])
    assert same(ends[0].model, ends[1].model)
    assert averages[0].count == averages[1].count == 2
    assert all(map(torch.equal, averages[0].average, averages[1].average))
    assert averages[0].accuracy(digits(), 3) == averages[1].accuracy(digits(), 3)


@each_precision
def test_a_trained_model_is_left_without_hooks_and_with_its_own_names(precision):
    state = trained(precision)
    assert list(state.model.state_dict()) == list(network(tiny_search()).state_dict())
    assert not any(m._forward_hooks for m in state.model.modules())
    plain = network(tiny_search())
    plain.load_state_dict(state.model.state_dict())
    x = images(4)
    torch.testing.assert_close(plain.eval()(x), state.model.eval()(x), rtol=1e-4, atol=1e-6)  # another memory format


def test_evaluation_rounds_activations_too():
    state, seen = trained(recipe=replace(TINY, epochs=1, milestones=())), []
    model = state.model
    trainer = Trainer(model, TINY, hooks=lowprecision.hooks("bfp8", 3))
    lowprecision.points(model)[0].register_forward_hook(lambda _m, _i, output: seen.append(output))
    model.eval()(images(4))
    assert on_grid("bfp8", seen[0])
    trainer.hooks[0].detach()


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfp8", "fp8"])
def test_low_precision_learns_what_fp32_learns(precision):
    recipe = replace(TINY, epochs=4, batch_size=40, milestones=(3,))
    spec = replace(tiny_search(recipe, width=0.125), train_size=400)
    state = fit(network(spec), digits(400, 200), recipe, seed=0, hooks=lowprecision.hooks(precision, 0))
    assert state.test_accuracy > 60  # as fp32 does (test_loop)


@each_precision
def test_a_training_without_the_rounding_does_not_run_under_its_name(precision):
    other = lowprecision.hooks({"bfp8": "fp8", "fp8": "bfp8"}[precision], 0)
    for hooks in ([], [WeightAverage()], other):
        with pytest.raises(UserError, match=f"^precision: this training cannot run in '{precision}'; use fp32"):
            Trainer(network(tiny_search()), TINY, precision, hooks)
    Trainer(network(tiny_search()), TINY, precision, lowprecision.hooks(precision, 0))


def test_adam_is_refused():
    with pytest.raises(UserError, match=r"^Recipe.optimizer: bfp8 is defined for sgd, got 'adam'"):
        trained(recipe=replace(TINY, optimizer="adam"))


def test_the_average_is_the_mean_of_the_epochs_after_the_start():
    recipe = replace(TINY, epochs=5, milestones=(), swa_start=2)
    average, weights = WeightAverage(), []

    def keep(state):
        weights.append([p.detach().clone() for p in state.model.parameters()])

    fit(network(tiny_search(recipe)), digits(), recipe, seed=0, hooks=[average], observers=[keep])
    assert average.count == 3
    for mean, *epochs in zip(average.average, *weights[3:], strict=True):
        torch.testing.assert_close(mean, torch.stack(epochs).mean(0))


def test_restated_statistics_are_those_of_the_batches():
    model, batches = random_network("vgg16", 0.125, seed=0), [(images(16, s), None) for s in range(3)]
    first = batch_norms(model)[0]
    with torch.no_grad():
        outputs = [model.features[0](x) for x, _ in batches]
    restate(model, batches)
    means = torch.stack([o.mean((0, 2, 3)) for o in outputs]).mean(0)
    variances = torch.stack([o.transpose(0, 1).flatten(1).var(1) for o in outputs]).mean(0)
    torch.testing.assert_close(first.running_mean, means, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(first.running_var, variances, rtol=1e-4, atol=1e-5)
    assert first.momentum == 0.1


@each_precision
def test_stages_search_and_retrain_in_low_precision_and_say_so(precision, tmp_path):
    store, recipe = Store(tmp_path), replace(TINY, swa_start=1)
    search = replace(tiny_search(recipe), precision=precision)
    ticket = Ticket(search, 0.5, 3)
    spec = Retrain(ticket, replace(TINY, epochs=1, milestones=()), precision=precision)
    found = stages.search(search, store, NOWHERE, CPU, Keep({3}))
    drawn, record = stages.draw(ticket, store), stages.retrain(spec, store, NOWHERE, CPU)

    state = fit(network(search), digits(), recipe, seed=0, hooks=lowprecision.hooks(precision, 0))
    assert found["metrics"]["last_accuracy"] == state.test_accuracy
    kept = torch.load(store.folder(search) / "weights" / "epoch_0003.pt", weights_only=True)
    assert all(torch.equal(kept[name], tensor) for name, tensor in state.model.state_dict().items())
    assert 0 <= found["metrics"]["swa_accuracy"] <= 100
    assert found["cost"]["precision"] == record["cost"]["precision"] == record["cost"]["search_precision"] == precision
    assert "swa_accuracy" not in record["metrics"]
    scores = torch.from_numpy(np.load(store.folder(search) / "scores.npy"))[3].tolist()
    assert drawn["metrics"]["tied_channels"] == scores.count(sorted(scores)[len(scores) // 2]) - 1
    assert drawn["status"] == record["status"] == "ok"


def test_averaging_leaves_the_training_as_it_is_and_has_an_accuracy_of_its_own(tmp_path):
    plain = tiny_search(replace(TINY, lr=0.05))
    with_average = replace(plain, recipe=replace(plain.recipe, swa_start=0))
    metrics = [stages.search(s, Store(tmp_path), NOWHERE, CPU)["metrics"] for s in (plain, with_average)]
    assert metrics[1].pop("swa_accuracy") is not None
    assert metrics[0] == metrics[1]


def test_a_diverged_training_has_no_average(tmp_path):
    spec = tiny_search(replace(TINY, lr=1e6, milestones=(), swa_start=0))
    record = stages.search(spec, Store(tmp_path), NOWHERE, CPU)
    assert (record["status"], record["metrics"]["swa_accuracy"]) == ("diverged", None)


def test_ties_with_the_threshold_are_counted_without_the_channel_that_sets_it():
    scores = torch.tensor([0.1, 0.2, 0.2, 0.2, 0.5, 0.6])
    assert [tied(scores, r) for r in (0.1, 0.3, 0.5, 0.9)] == [0, 2, 2, 0]
    assert int(global_mask(scores, 0.3).sum()) == 2  # the two extra go with it

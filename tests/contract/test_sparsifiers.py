"""What every registered sparse training method promises."""

import io
import re
from dataclasses import replace

import pytest
import torch
from helpers import CPU, NOWHERE, digits, images
from torch import nn

from ebreplicate.catalog import DISTRIBUTIONS, SPARSIFIERS
from ebreplicate.specs.spec import Recipe, Sparse, canonical, from_json
from ebreplicate.stages import sparse
from ebreplicate.store.store import Store
from ebreplicate.training.loop import Trainer, fit
from ebreplicate.training.sparse import sparse_layers, target_counts

STEPS = 14
RECIPE = Recipe(epochs=STEPS // 2, batch_size=20, milestones=(5,), weight_decay=0.01, l1=0.0, augment="none")
each_method = pytest.mark.parametrize("method", list(SPARSIFIERS))
PER_LAYER = ("static", "set", "rigl")
"""Methods that keep every layer's count throughout."""


class Net(nn.Module):
    """Four sparse layers, a depthwise one and two batch norms: small enough for hundreds of steps a second."""

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.stem, self.bn1 = nn.Conv2d(3, 8, 3, 2, bias=False), nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8, bias=False)
        self.wide, self.bn2 = nn.Conv2d(8, 24, 3, 2, bias=False), nn.BatchNorm2d(24)
        self.point, self.fc = nn.Conv2d(24, 12, 1), nn.Linear(12, 10)

    def forward(self, x):
        x = self.depthwise(self.bn1(self.stem(x)).relu())
        x = self.point(self.bn2(self.wide(x)).relu()).relu()
        return self.fc(x.mean((2, 3)))


def spec(method, **more):
    body = {"sparsity": 0.8, "interval": 2, "train_size": 20, "test_size": 20, **more}
    return Sparse("vgg16", "digits", RECIPE, 3, 0.0625, method=method, **body)


def hook(method, **more):
    return SPARSIFIERS.load(method)(spec(method, **more))


def trained(method, steps=STEPS, after=lambda hook, model, step: None, recipe=RECIPE, layout=None, **more):
    """A hook and its network after some steps on random images; `after` sees every step."""
    ours = hook(method, **more)
    model = Net().train().to(memory_format=layout or torch.contiguous_format)
    trainer = Trainer(model, recipe, "fp32", [ours], 2)
    for step in range(steps):
        trainer.step(images(20, step)[..., :12, :12], torch.arange(20) % 10, step)
        after(ours, model, step)
    return ours, model, trainer


def dropped_values(ours, trainer):
    for name, weight in ours.weights.items():
        gone = ~ours.masks[name]
        yield weight.detach()[gone]
        for value in trainer.optimizer.state[weight].values():
            if isinstance(value, torch.Tensor) and value.shape == weight.shape:
                yield value[gone]


@each_method
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_what_is_masked_is_exactly_zero_after_every_step_momentum_too(method, optimizer):
    recipe = replace(RECIPE, optimizer=optimizer, nesterov=optimizer == "sgd", lr=0.05 if optimizer == "sgd" else 1e-3)
    steps = []

    def check(ours, model, step):
        for name, layer in sparse_layers(model).items():
            assert not layer.weight.detach()[~ours.masks[name]].any(), (name, step)
            assert ours.nnz[name] == int(ours.masks[name].sum())
        steps.append(step)

    ours, _, trainer = trained(method, after=check, recipe=recipe)
    assert len(steps) == STEPS
    assert not any(values.any() for values in dropped_values(ours, trainer))


@each_method
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_the_number_of_weights_is_exact(method, distribution):
    totals, layers = [], []

    def keep(ours, model, step):
        totals.append(sum(ours.nnz.values()))
        layers.append(dict(ours.nnz))

    ours, model, _ = trained(method, after=keep, distribution=distribution)
    weights = sum(layer.weight.numel() for layer in sparse_layers(model).values())
    if method == "small-dense":
        assert set(totals) == {weights}
    elif method == "snip":
        assert set(totals) == {round(0.2 * weights)}
    elif method == "gmp":
        assert totals == sorted(totals, reverse=True)
        assert layers[0] == {n: w.numel() for n, w in ours.weights.items()}
        assert layers[-1] == target_counts(model, ours.spec)
    else:
        assert set(totals) == {sum(target_counts(model, ours.spec).values())}
    if method in PER_LAYER:
        assert all(row == target_counts(model, ours.spec) for row in layers)


@each_method
def test_a_method_names_its_source(method):
    assert re.search(r"(et al\.|&).*\b20\d\d\b", SPARSIFIERS.load(method).__doc__, re.DOTALL)


@each_method
def test_a_run_is_a_function_of_its_spec(method):
    first, second = (trained(method)[1].state_dict() for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.values(), second.values(), strict=True))


@each_method
def test_an_interrupted_training_ends_with_the_same_bits(method):
    snapshots = []

    def keep(snapshot, _now):
        buffer = io.BytesIO()
        torch.save(snapshot, buffer)
        snapshots.append(buffer)

    def run(seed, **more):
        ours = hook(method)
        return ours, fit(Net(seed), digits(40, 20), RECIPE, seed=3, hooks=[ours], **more)

    whole, state = run(3, checkpoint=keep)
    snapshots[2].seek(0)
    resumed, again = run(99, resume=torch.load(snapshots[2], weights_only=True))  # other weights: must be restored
    pairs = zip(again.model.state_dict().values(), state.model.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert all(resumed.masks[n].equal(m) for n, m in whole.masks.items())
    assert (resumed.nnz_steps, resumed.nnz, resumed.updates) == (whole.nnz_steps, whole.nnz, whole.updates)


@each_method
def test_masks_do_not_depend_on_the_memory_layout(method):
    first, second = (trained(method, 3, layout=m)[0].masks for m in (torch.contiguous_format, torch.channels_last))
    same = sum(int((first[n] == second[n]).sum()) for n in first) / sum(m.numel() for m in first.values())
    assert same > 0.99  # ranks of gradients and weights that differ by rounding may swap
    assert same == 1 or method not in ("static", "small-dense", "gmp")


@each_method
def test_batch_norm_biases_and_depthwise_convolutions_stay_dense(method):
    ours, model, _ = trained(method)
    assert set(ours.weights) == {"stem", "wide", "point", "fc"}
    dense = [model.depthwise.weight, model.bn1.weight, model.bn2.weight, model.point.bias, model.fc.bias]
    assert all(p.detach().abs().gt(0).all() for p in dense)


@each_method
def test_the_stage_leaves_a_record_with_its_mask_and_cost(method, tmp_path):
    asked = replace(spec(method), recipe=replace(RECIPE, epochs=2, milestones=(1,)), multiplier=1.5)
    assert from_json(canonical(asked)) == asked
    store = Store(tmp_path)
    record = sparse(asked, store, NOWHERE, CPU)
    assert store.read(asked)["metrics"] == record["metrics"]
    metrics, cost = record["metrics"], record["cost"]
    assert metrics["epochs"] == 3
    assert metrics["nnz"] < metrics["prunable"] or method == "small-dense"
    for convention in ("authors", "fvcore", "torch"):
        forward = cost["forward_flops"][convention]
        assert 0 < cost["sparse_forward_flops"][convention] < forward
        relative = cost["training_flops"][convention] / (3 * forward * 20 * 2)
        assert cost["relative_training"][convention] == pytest.approx(relative)

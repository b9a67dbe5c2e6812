"""The training of RigL's MNIST experiment: against a second implementation, and what it adds to specs and records."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import CPU, NOWHERE
from torch import nn

from ebreplicate.catalog import SPARSIFIERS
from ebreplicate.data import arrays
from ebreplicate.errors import UserError
from ebreplicate.models import build
from ebreplicate.models.common import initialised
from ebreplicate.pruning.compaction import compact
from ebreplicate.specs.graph import Plan, lineage, parents, search_of
from ebreplicate.specs.spec import Recipe, Search, Sparse, canonical, from_json, key
from ebreplicate.stages import sparse
from ebreplicate.stages.sparse import sparse_network
from ebreplicate.store.store import Store
from ebreplicate.training.loop import Trainer, make_optimizer
from ebreplicate.training.masking import as_bits
from ebreplicate.training.sparse import sparse_layers, target_counts
from ebreplicate.verify.trainings import training_problems

RECIPE = Recipe(2, 20, 0.05, (1,), 1 / 3, 0.9, 1e-4, 0.0, "none", nesterov=True, weight_decay_on="weights")
NAMES = {"standardise": False, "weight_init": "glorot-uniform", "factors": (1.0, 0.9, 0.0), "begin": 0}
RIGL = Sparse("lenet300", "digits", RECIPE, 3, 0.1, 60, 40, sparsity=0.97, interval=2, **NAMES)
PLUS = replace(RIGL, sparsity=0.8, compact_of=RIGL)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A finished RigL training and the RigL+ of it; do not modify."""
    store = Store(tmp_path_factory.mktemp("results"))
    for spec in (RIGL, PLUS):
        sparse(spec, store, NOWHERE, CPU)
    return store


def test_layers_get_their_own_sparsity_with_zeros_rounded_down():
    spec = Sparse("lenet300", "mnist", sparsity=0.99, factors=(1.0, 0.9, 0.0))
    counts = target_counts(build("lenet300", 10, shape=(1, 28, 28)), spec)
    assert list(counts.values()) == [2_352, 3_270, 1_000]
    plus = replace(spec, sparsity=0.96)
    assert list(
        target_counts(nn.Sequential(nn.Linear(408, 100), nn.Linear(100, 69), nn.Linear(69, 10)), plus).values()
    ) == [
        1_632,
        939,
        690,
    ]


def test_a_step_is_rigls_to_rounding():
    """Ten lines that know nothing of hooks or optimisers, by the formulas of RigL's code, for 30 steps."""
    spec = replace(RIGL, interval=10, stop=0.9, sparsity=0.9)
    torch.manual_seed(0)
    model = initialised(build("lenet300", 10, 0.1, shape=(3, 32, 32)), "glorot-uniform")
    hook = SPARSIFIERS.load("rigl")(spec)
    trainer = Trainer(model, replace(RECIPE, epochs=1), "fp32", [hook], 30)
    layers = list(sparse_layers(model).values())
    w, b = ([p.detach().clone().double() for p in ps] for ps in ([m.weight for m in layers], [m.bias for m in layers]))
    masks = [m.double() for m in hook.masks.values()]
    momentum = [torch.zeros_like(p) for p in (*w, *b)]
    for step in range(30):
        # Random pixels: those of digits are equal in blocks, and so are their gradients.
        x, y = torch.rand(20, 3, 32, 32, generator=torch.Generator().manual_seed(step)), torch.arange(20) % 10
        trainer.step(x, y, step)
        h, params = (
            x.flatten(1).double(),
            [p.requires_grad_() for p in (*(m * p for m, p in zip(masks, w, strict=True)), *b)],
        )
        for i in range(3):
            h = h @ params[i].T + params[3 + i]
            h = h.relu() if i < 2 else h
        grads = torch.autograd.grad(nn.functional.cross_entropy(h, y), params)
        if step % 10 == 0 and step < 27:
            fraction = 0.3 / 2 * (1 + math.cos(math.pi * step / 27))
            for i in range(2):
                held = masks[i].flatten().nonzero().flatten()
                count = int(fraction * len(held))
                weak = held[w[i].flatten()[held].abs().argsort(stable=True)[:count]]
                mask = masks[i].flatten().index_fill(0, weak, 0.0)
                grown = torch.where(mask > 0, -1.0, grads[i].flatten().abs()).topk(count).indices
                mask = mask.index_fill(0, grown, 1.0).view_as(masks[i])
                new = (mask > 0) & (masks[i] == 0)
                w[i], momentum[i] = (torch.where(new, 0.0, t.detach()) for t in (w[i], momentum[i]))
                masks[i] = mask
            continue
        for i, (p, g) in enumerate(zip((*w, *b), grads, strict=True)):
            g = g * masks[i] + 1e-4 * p.detach() * masks[i] if i < 3 else g
            momentum[i] = 0.9 * momentum[i] + g
            (w if i < 3 else b)[i % 3] = p.detach() - 0.05 * (g + 0.9 * momentum[i])
    for i, layer in enumerate(layers):
        assert hook.masks[list(hook.masks)[i]].double().equal(masks[i])
        torch.testing.assert_close(layer.weight.double(), w[i].detach() * masks[i], rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(layer.bias.double(), b[i].detach(), rtol=1e-3, atol=1e-6)
    assert hook.updates == 3


def test_only_weights_decay():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    optimizer = make_optimizer(model, replace(RECIPE, lr=1.0, weight_decay=0.1, momentum=0.0, nesterov=False))
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.detach(), before[name] * (0.9 if name == "0.weight" else 1.0))


def test_glorot_uniform():
    model = initialised(build("lenet300", 10, shape=(1, 28, 28)), "glorot-uniform")
    for layer in sparse_layers(model).values():
        bound = math.sqrt(6 / sum(layer.weight.shape))
        assert 0.98 * bound < layer.weight.abs().max() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
        assert not layer.bias.any()


def test_pixels_in_the_unit_interval():
    plain = arrays.load("digits", NOWHERE, 60, 40, standardise=False)
    x = torch.cat([x for x, _ in plain.batches(20, "none", 0).epoch(0)])
    assert (x.min().item(), x.max().item()) == (0.0, 1.0)
    assert torch.cat([x for x, _ in plain.evaluation()]).max() == 1
    order = torch.cat([y for _, y in plain.batches(20, "none", 0).epoch(0)])
    assert sorted(order.tolist()) == sorted(plain.train.labels.tolist())


def test_bits_leave_a_number_or_exactly_zero():
    values = torch.tensor([1.5, -2.0, math.nan, math.inf, -0.0, 3e-45])
    for mask in (torch.ones(6).bool(), torch.zeros(6).bool(), torch.tensor([1, 0, 0, 0, 1, 1]).bool()):
        found = values.clone()
        found.view(torch.int32).bitwise_and_(as_bits(mask))
        assert found.view(torch.int32).equal(values.masked_fill(~mask, 0.0).view(torch.int32))


def test_the_first_update_is_at_the_step_asked_for():
    hook = SPARSIFIERS.load("rigl")(RIGL)
    trainer = Trainer(sparse_network(RIGL, Store("/nonexistent")), RECIPE, "fp32", [hook], 10)
    start = {n: m.clone() for n, m in hook.masks.items()}
    bias = next(iter(sparse_layers(trainer.model).values())).bias.detach().clone()
    trainer.step(torch.rand(20, 3, 32, 32), torch.arange(20) % 10, 0)
    changed = [int((m != start[n]).sum()) for n, m in hook.masks.items()]
    counts = list(hook.counts.values())
    assert 0 < changed[0] <= 2 * int(0.3 * counts[0])
    assert changed[2] == 0
    assert next(iter(sparse_layers(trainer.model).values())).bias.detach().equal(bias)  # no optimiser step


def test_a_record_tells_what_is_alive(store):
    metrics = store.read(RIGL)["metrics"]
    packed = np.load(store.folder(RIGL) / "mask.npy")
    flat = torch.from_numpy(np.unpackbits(packed, count=metrics["prunable"]).astype(bool))
    masks = [m.view(s) for m, s in zip(flat.split([92160, 300, 100]), ((30, 3072), (10, 30), (10, 10)), strict=True)]
    found = compact(masks)
    assert metrics["architecture"] == found.sizes
    assert metrics["compact_nnz"] == found.nonzero <= metrics["nnz"]
    assert metrics["compact_bytes"] == 4 * (found.nonzero + sum(found.sizes[1:])) + sum(
        -(-a * b // 8) for a, b in zip(found.sizes, found.sizes[1:], strict=False)
    )
    connections = metrics["input_connections"]
    assert connections["end"] == masks[0].sum(0).tolist()
    assert (
        sum(connections["start"])
        == sum(connections["end"])
        == target_counts(sparse_network(RIGL, store), RIGL)["layers.1"]
    )
    assert connections["start"] != connections["end"]
    assert sum(c > 0 for c in connections["end"]) == metrics["architecture"][0]


def test_rigl_plus_starts_from_what_rigl_found(store):
    found, ours = store.read(RIGL)["metrics"], store.read(PLUS)["metrics"]
    before = sparse_network(PLUS, store)
    pixels, hidden = before.layers[1].indexes, [m.out_features for m in sparse_layers(before).values()]
    assert [len(pixels), *hidden] == found["architecture"]
    assert pixels.tolist() == [i for i, c in enumerate(found["input_connections"]["end"]) if c]
    x = torch.rand(2, 3, 32, 32)
    dead = torch.ones(3072)
    dead[pixels] = 0
    torch.testing.assert_close(before(x), before(x * (1 - dead).view(3, 32, 32)))
    assert not (np.array(ours["input_connections"]["end"])[dead.bool().numpy()]).any()
    assert len(ours["input_connections"]["end"]) == 3072
    assert sum(ours["input_connections"]["end"]) == round(ours["density"]["layers.2"] * len(pixels) * hidden[0])
    assert ours["prunable"] == sum(
        a * b for a, b in zip(found["architecture"], found["architecture"][1:], strict=False)
    )
    # Relative to the dense LeNet, whatever network is trained.
    assert store.read(PLUS)["cost"]["forward_flops"] == store.read(RIGL)["cost"]["forward_flops"]


def test_records_stand_up_to_checking(store):
    for spec in (RIGL, PLUS):
        assert list(training_problems(spec, store.read(spec), store.folder(spec), store)) == []
    record = store.read(RIGL)
    for name, wrong in (("architecture", [1, 2, 3, 10]), ("compact_nnz", 5), ("nnz", record["metrics"]["nnz"] + 1)):
        edited = record | {"metrics": record["metrics"] | {name: wrong}}
        assert any(name in line for line in training_problems(RIGL, edited, store.folder(RIGL), store))


def test_rigl_plus_waits_for_its_rigl(tmp_path):
    assert parents(PLUS) == [RIGL]
    assert lineage(PLUS) == [PLUS, RIGL]
    assert search_of(PLUS) == PLUS
    assert list(Plan([PLUS]).runs) == [key(RIGL), key(PLUS)]
    assert from_json(canonical(PLUS)) == PLUS
    with pytest.raises(UserError, match=rf"sparse {key(RIGL)} has not been run"):
        sparse(PLUS, Store(tmp_path), NOWHERE, CPU)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"factors": (1.0, 1.3, 0.0)}, r"Sparse.factors\[1\]: must give a sparsity in \[0, 1\), got 1.3 x 0.8"),
        ({"method": "snip"}, "Sparse.factors: mean nothing with method 'snip'"),
        ({"begin": -1}, "Sparse.begin: must not be negative, got -1"),
        ({"weight_init": "he"}, "weight_init"),
        ({"compact_of": PLUS}, "Sparse.compact_of: is itself the compact network of another training"),
        ({"compact_of": replace(RIGL, train_size=50)}, "Sparse.compact_of: has train_size 50, this training has 60"),
        ({"compact_of": Search("lenet300", "digits")}, "Sparse.compact_of: expected a Sparse, got Search"),
        ({"model": "conv2"}, "Sparse.compact_of: needs a fully connected network: lenet300"),
        ({"dataset": "folders", "compact_of": None}, "standardise: folders is read image by image"),
    ],
)
def test_bad_input_is_refused_by_field(more, message):
    with pytest.raises(UserError, match=message):
        replace(PLUS, **more)


def test_factors_that_are_not_one_a_layer_are_refused_before_training(tmp_path):
    with pytest.raises(UserError, match=r"Sparse\.factors: lenet300 has 3 layers"):
        sparse(replace(RIGL, factors=(1.0,)), Store(tmp_path), NOWHERE, CPU)


def test_a_network_that_died_is_refused_by_rigl_plus(tmp_path):
    store = Store(tmp_path)
    sparse(RIGL, store, NOWHERE, CPU)
    record = store.read(RIGL)
    record["metrics"]["architecture"] = [3, 0, 2, 10]
    store.write(RIGL, {n: record[n] for n in ("status", "metrics", "cost", "provenance")})
    with pytest.raises(UserError, match=r"compact network: .* hidden neurons remain; lower the sparsity"):
        sparse(PLUS, store, NOWHERE, CPU)


def test_keys_of_other_trainings_stay():
    assert "standardise" not in canonical(Search("vgg16", "cifar10"))
    assert "factors" not in canonical(Sparse("vgg16", "cifar10"))
    assert key(RIGL) != key(replace(RIGL, begin=1)) != key(replace(RIGL, begin=1, standardise=True))

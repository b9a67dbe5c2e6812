"""Training on a text: masks, bits, what is learned, clipping, and specs that cannot be trained."""

import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from helpers import CPU, NOWHERE
from torch import nn

from ebreplicate.catalog import SPARSIFIERS, SYMBOL
from ebreplicate.data.text import sentences
from ebreplicate.errors import UserError
from ebreplicate.models import build
from ebreplicate.runner.inputs import load_data, network
from ebreplicate.specs.spec import Recipe, Search, Sparse, canonical, key
from ebreplicate.stages import search, sparse
from ebreplicate.store.store import Store
from ebreplicate.training.loop import Trainer, fit, measure
from ebreplicate.training.sparse import SmallDense

RECIPE = Recipe(
    epochs=2,
    batch_size=4,
    lr=0.01,
    milestones=(),
    weight_decay=0.0,
    l1=0.0,
    augment="none",
    optimizer="adam",
    clip=10.0,
)
SIZES = {"width": 1 / 16, "train_size": 320, "test_size": 200, "sequence": 8}  # 10 steps an epoch
FACTORS = (1.0, 1.0, 1.0, 1.0, 0.0)
RIGL = Sparse("gru", "grammar", RECIPE, sparsity=0.75, factors=FACTORS, interval=3, alpha=0.1, stop=1.0, **SIZES)
MASKED = {"input": 96 * 8, "recurrent": 96 * 32, "readout.0": 16 * 32, "readout.2": 8 * 16}
"""Weights of the layers made sparse."""


def trained(spec, epochs=None):
    hook, model, data = SPARSIFIERS.load(spec.method)(spec), network(spec), load_data(spec, NOWHERE, CPU)
    state = fit(model, data, spec.recipe, seed=spec.seed, hooks=[hook], until=epochs)
    return hook, model, data, state


@pytest.mark.parametrize("method", ["static", "set", "rigl", "snfs", "gmp"])
def test_a_quarter_of_each_masked_layer_is_left_and_the_rest_is_exactly_zero(method):
    more = {"begin": 5, "stop": 0.75} if method == "gmp" else {}
    hook, model, _, _ = trained(replace(RIGL, method=method, **more))
    kept = {n: int((model.get_submodule(n).weight != 0).sum()) for n in MASKED}
    if method == "snfs":  # shares growth between layers
        assert sum(hook.nnz.values()) == sum(MASKED.values()) // 4 + 8 * 256
    else:
        assert {n: hook.nnz[n] for n in MASKED} == {n: size // 4 for n, size in MASKED.items()}
    assert all(kept[n] <= hook.nnz[n] for n in MASKED)
    assert hook.nnz["output"] == 8 * 256
    assert hook.updates == {"static": 0, "gmp": 4}.get(method, 6)  # gradual pruning: steps 5, 8, 11 and the last, 14
    assert all(p.any() for n, p in model.named_parameters() if n.endswith("bias"))


def test_small_dense_has_nearly_the_parameters_that_the_sparse_network_has_left():
    def parameters(width):
        return sum(p.numel() for p in build("gru", 256, width, shape=SYMBOL).parameters())

    for width, slack in ((1 / 16, 0.06), (0.25, 0.02), (1.0, 0.005)):
        spec = replace(RIGL, method="small-dense", width=width)
        masked = sum(n * (16 * width) ** 2 for n in MASKED.values())
        left = parameters(width) - 0.75 * masked
        found = parameters(SmallDense(spec).width())
        assert left * (1 - slack) <= found <= left


def test_bits_are_those_of_a_second_implementation(tmp_path):
    record = sparse(RIGL, Store(tmp_path), NOWHERE, CPU)
    _, model, _, _ = trained(RIGL)
    other = nn.GRU(8, 32, batch_first=True)
    for name, layer in (("ih", model.input), ("hh", model.recurrent)):
        getattr(other, f"weight_{name}_l0").data.copy_(layer.weight.data)
        getattr(other, f"bias_{name}_l0").data.copy_(layer.bias.data)
    text = torch.tensor(list(sentences(2**12, 1).encode()))[:201]
    with torch.no_grad():
        logits = model.output(model.readout(other(model.embedding(text[None, :-1]))[0]))[0]
    chosen = logits.softmax(1)[torch.arange(200), text[1:]]
    assert record["metrics"]["bits"] == pytest.approx(-chosen.log2().mean().item(), rel=1e-4)
    assert record["metrics"]["last_accuracy"] == 100 * (logits.argmax(1) == text[1:]).sum().item() / 200
    assert record["provenance"]["text"]["train_characters"] == 2**16


def test_a_text_whose_last_step_diverges_has_a_record_and_no_bits(tmp_path):
    recipe = replace(RECIPE, epochs=1, lr=1e30, clip=0.0)
    spec = Search("gru", "grammar", recipe, **{**SIZES, "train_size": 32})  # one step
    store = Store(tmp_path)
    found = search(spec, store, NOWHERE, CPU)
    assert found["status"] == store.read(spec)["status"] == "diverged"
    assert "bits" not in found["metrics"]


def test_rigl_learns_more_than_how_often_characters_occur(tmp_path):
    recipe = replace(RECIPE, epochs=2, batch_size=16)
    spec = replace(RIGL, recipe=recipe, train_size=16 * 16 * 70, test_size=600, sequence=16, interval=20)
    bits = sparse(spec, Store(tmp_path), NOWHERE, CPU)["metrics"]["bits"]
    counts = Counter(sentences(2**16))
    entropy = -sum(n / 2**16 * math.log2(n / 2**16) for n in counts.values())
    assert entropy > 3.5
    assert bits < entropy - 1


def test_a_long_gradient_is_scaled_to_the_norm_after_masking():
    def step(clip):
        torch.manual_seed(0)
        model, recipe = network(RIGL), replace(RECIPE, optimizer="sgd", lr=1.0, momentum=0.0, clip=clip)
        hook = SPARSIFIERS.load("static")(replace(RIGL, method="static"))
        trainer = Trainer(model, recipe, hooks=[hook], steps_per_epoch=10)
        before = [p.detach().clone() for p in model.parameters()]
        trainer.step(torch.arange(16).view(2, 8), torch.arange(16) + 1)
        return torch.cat([(p - b).flatten() for p, b in zip(model.parameters(), before, strict=True)]).detach()

    free, clipped, short = step(0.0), step(0.01), step(1e9)
    assert free.norm() > 0.1
    assert clipped.norm() == pytest.approx(0.01, rel=1e-3)
    assert torch.allclose(clipped / clipped.norm(), free / free.norm(), atol=1e-4)
    assert short.equal(free)


def test_the_dense_network_is_a_search_of_its_own(tmp_path):
    spec = Search("gru", "grammar", RECIPE, **SIZES)
    record = search(spec, Store(tmp_path), NOWHERE, CPU)
    model, data = network(spec), load_data(spec, NOWHERE, CPU)
    losses = [measure(model, data).loss, *(row["test_loss"] for row in fit(model, data, RECIPE, seed=0).history)]
    assert all(later < earlier for earlier, later in pairwise(losses))
    assert record["metrics"]["bits"] == losses[-1] / math.log(2)


def test_a_key_does_not_know_of_texts_where_there_is_none():
    assert "sequence" not in canonical(Search("vgg16", "cifar10"))
    assert "clip" not in canonical(Search("vgg16", "cifar10"))
    assert key(RIGL) != key(replace(RIGL, sequence=16))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"sequence": 7}, r"Sparse.train_size: must be a multiple of batch_size x sequence, 28; is 320"),
        ({"sequence": 0}, "Sparse.sequence: must be at least 1 character, got 0"),
        ({"validation": 32}, "Sparse: validation, standardise and evaluation are for images"),
        ({"dataset": "digits", "model": "vgg16"}, "Sparse.sequence: means nothing for the images of digits"),
        ({"dataset": "digits"}, "model: gru takes no images of 3x32x32"),
        ({"model": "vgg16"}, "model: vgg16 takes no images of 1x1x1"),
        ({"recipe": {"clip": -1.0}}, r"Recipe.clip: must not be negative, got -1.0"),
    ],
)
def test_specs_that_cannot_be_trained_are_refused(more, message):
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        replace(RIGL, **(more | ({"recipe": Recipe(**more["recipe"])} if "recipe" in more else {})))


def test_factors_that_do_not_fit_and_augmented_texts_are_refused_before_training(tmp_path):
    with pytest.raises(UserError, match=r"Sparse\.factors: gru has 5 layers"):
        sparse(replace(RIGL, factors=(1.0,)), Store(tmp_path), NOWHERE, CPU)
    with pytest.raises(UserError, match=r"Recipe\.augment: a text is not augmented"):
        sparse(replace(RIGL, recipe=replace(RECIPE, augment="crop")), Store(tmp_path), NOWHERE, CPU)

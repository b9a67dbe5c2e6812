"""The lottery-ticket paper's small networks: weight counts, initialisation, MNIST's files, and no batch norm."""

import gzip
import hashlib
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import CPU, NOWHERE, TINY

from ebreplicate import stages
from ebreplicate.catalog import INFO, METHODS
from ebreplicate.data import arrays
from ebreplicate.errors import UserError
from ebreplicate.models import build
from ebreplicate.pruning.methods.base import DrawContext
from ebreplicate.pruning.weights import density, prunable, weight_counts
from ebreplicate.runner.inputs import load_scores
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.spec import Retrain, Search, Ticket
from ebreplicate.store.store import Store

SMALL = ("lenet300", "conv2", "conv4", "conv6")


@pytest.mark.parametrize(
    ("name", "convolutions", "weights"),
    [
        ("lenet300", 0, 784 * 300 + 300 * 100 + 100 * 10),
        ("conv2", 38_592, 4_300_992),
        ("conv4", 259_776, 2_425_024),
        ("conv6", 1_144_512, 2_261_184),
    ],
)
def test_weight_counts_are_those_of_figure_2(name, convolutions, weights):
    model = build(name, 10, shape=(1, 28, 28)) if name == "lenet300" else build(name, 10)
    assert sum(w.numel() for w in prunable(model) if w.ndim == 4) == convolutions
    assert sum(weight_counts(model)) == weights


@pytest.mark.parametrize("name", SMALL)
def test_initialisation_is_gaussian_glorot(name):
    torch.manual_seed(0)
    model = build(name, 10, 0.5)
    for weight in prunable(model):
        area = weight[0, 0].numel() if weight.ndim == 4 else 1
        expected = math.sqrt(2 / (area * (weight.shape[0] + weight.shape[1])))
        assert weight.std().item() == pytest.approx(expected, rel=5 / math.sqrt(weight.numel()))
        assert weight.abs().max() > 2.5 * expected  # not uniform, which ends at sqrt(3) standard deviations
    assert not any(p.any() for key, p in model.named_parameters() if key.endswith("bias"))


def test_every_layer_is_pruned_at_the_papers_rate():
    model = build("conv6", 10, 0.125)
    mask = METHODS.load("magnitude")(DrawContext(torch.zeros(0), [], 0.2, 0, model))
    rates = [0.85] * 6 + [0.8] * 2 + [0.9]
    # a layer's count is rounded to whole weights
    assert density(model, mask) == [
        pytest.approx(r, abs=0.6 / n) for r, n in zip(rates, weight_counts(model), strict=True)
    ]


def test_after_one_round_the_papers_share_of_weights_is_left():
    """Figures 1 and 5: 80.06, 80.10 and 81.08 % of LeNet, Conv-2 and Conv-4; 82.46 % of Conv-6 (we count 82.54)."""
    for name, expected in (("lenet300", 80.06), ("conv2", 80.10), ("conv4", 81.08), ("conv6", 82.46)):
        model = build(name, 10, shape=(1, 28, 28)) if name == "lenet300" else build(name, 10)
        rates, counts = model.pruning_rates, weight_counts(model)
        left = sum(n * (1 - 0.2 * r) for n, r in zip(counts, rates, strict=True))
        assert 100 * left / sum(counts) == pytest.approx(expected, abs=0.1)


@pytest.fixture
def mnist(tmp_path, monkeypatch):
    """Ten images in MNIST's format, pixel values and labels known."""
    folder, sums = tmp_path / "MNIST" / "raw", {}
    folder.mkdir(parents=True)
    pixels = np.arange(10 * 784, dtype=np.uint32).reshape(10, 28, 28).astype(np.uint8)
    for file in arrays.FILES["mnist"]:
        kind = (b"\0\0\x08\x03" + np.array([10, 28, 28], ">u4").tobytes(), pixels.tobytes())
        if "labels" in file:
            kind = (b"\0\0\x08\x01" + np.array([10], ">u4").tobytes(), bytes(range(10)))
        (tmp_path / file).write_bytes(gzip.compress(b"".join(kind), mtime=0))
        sums[file] = hashlib.md5((tmp_path / file).read_bytes()).hexdigest()
    monkeypatch.setitem(arrays.FILES, "mnist", sums)
    return tmp_path, torch.from_numpy(pixels)


def test_mnist_is_read_from_its_own_format(mnist):
    root, pixels = mnist
    loaded = arrays.load("mnist", root)
    assert loaded.train.images.squeeze(1).equal(pixels)
    assert loaded.test.labels.tolist() == list(range(10))
    x, y = next(loaded.batches(10, "none", seed=0).epoch(0))
    assert x.shape == (10, INFO["mnist"].channels, 28, 28)
    expected = (pixels[y].float() / 255 - 0.1307) / 0.3081
    torch.testing.assert_close(x.squeeze(1), expected, rtol=1e-4, atol=1e-4)
    cropped, _ = next(loaded.batches(10, "crop", seed=0).epoch(0))
    assert cropped.shape == x.shape


def test_mnist_that_is_missing_or_damaged_is_one_error(mnist, monkeypatch):
    def no_network(name, root):
        raise UserError(f"data: could not download {name}; put its files under {root}")

    monkeypatch.setattr(arrays, "fetch", no_network)
    root, _ = mnist
    file = next(iter(arrays.FILES["mnist"]))
    (root / file).write_bytes(b"other")
    md5 = arrays.FILES["mnist"][file]
    with pytest.raises(UserError, match=rf"{file}: corrupted .*{md5}"):
        arrays.load("mnist", root)
    (root / file).unlink()
    with pytest.raises(UserError, match=rf"{file} is missing.*torchvision's MNIST there: .*{file} \(MD5 {md5}\)"):
        list(arrays.verified("mnist", root))
    with pytest.raises(UserError, match="could not download mnist"):
        arrays.load("mnist", root)


def test_a_network_without_batch_norms_is_searched_pruned_and_retrained(tmp_path):
    store = Store(tmp_path)
    recipe = replace(TINY, optimizer="adam", lr=1e-3, weight_decay=0.0, milestones=())
    search = Search("lenet300", "digits", recipe, 0, 0.1, train_size=60, test_size=40)
    found = stages.search(search, store, NOWHERE, CPU, Keep({3}))
    assert found["metrics"]["bn_channels"] == 0
    assert load_scores(search, store).shape == (4, 0)
    ticket = Ticket(search, 0.2, "final", "magnitude")
    drawn = stages.draw(ticket, store)
    assert drawn["metrics"]["density"] == [pytest.approx(d, abs=0.01) for d in (0.8, 0.8, 0.9)]
    record = stages.retrain(Retrain(ticket, recipe, init="rewind"), store, NOWHERE, CPU)
    assert record["status"] == "ok"
    assert record["metrics"]["nonzero_weights"] == drawn["metrics"]["kept"]
    rows = [line.split(",") for line in (store.folder(search) / "history.csv").read_text().splitlines()]
    losses = [float(r[rows[0].index("test_loss")]) for r in rows[1:]]
    assert found["metrics"]["early_stop_epoch"] == 1 + losses.index(min(losses))
    with pytest.raises(UserError, match=r"^Ticket.method: 'slimming' prunes batch-norm channels; lenet300 has none"):
        stages.draw(Ticket(search, 0.2, 1), store)

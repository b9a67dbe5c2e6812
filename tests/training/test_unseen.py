"""Evaluation on unseen images: the bits of a run against a second evaluation of its weights, and what a record says."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import CPU, NOWHERE, TINY, tiny_search
from sklearn.datasets import load_digits

from ebreplicate import stages
from ebreplicate.errors import UserError
from ebreplicate.files import digest
from ebreplicate.models import build
from ebreplicate.pruning import shrink
from ebreplicate.runner.inputs import load_mask, network
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.spec import Retrain, Search, Sparse, Ticket, key
from ebreplicate.store.merging import merge
from ebreplicate.store.store import Store
from ebreplicate.training.unseen import correct_images
from ebreplicate.verify import run_problems

SEARCH = replace(tiny_search(), evaluation="unseen")  # VGG16: it has channels to prune, and has learned nothing yet
ADAM = replace(TINY, lr=0.003, optimizer="adam", l1=0.0)
LEARNS = Search("lenet300", "digits", ADAM, width=0.25, train_size=200, test_size=40, evaluation="unseen")
TRAIN, TEST = 1437, 360  # of the digits
UNSEEN = TEST + TRAIN - 60


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("results"))
    for spec in (SEARCH, LEARNS):
        stages.search(spec, store, NOWHERE, CPU, Keep({1, 3}))
    return store


def first_of_each_class(labels, size):
    """Positions of the first size / 10 images of every class, in the order of the file."""
    return [i for i, label in enumerate(labels) if list(labels[:i]).count(label) < size // 10]


def digits_by_hand():
    """Images (n, 3, 32, 32) as the networks see them, and labels (n,), in the order of scikit-learn."""
    raw = load_digits()
    pixels = np.round(raw.images.repeat(4, 1).repeat(4, 2) * (255 / 16)) / 255
    images = torch.tensor((pixels - 0.3054) / 0.3753, dtype=torch.float32)[:, None].repeat(1, 3, 1, 1)
    return images, torch.tensor(raw.target)


def bits(store, spec, count=UNSEEN):
    return np.unpackbits(np.load(store.folder(spec) / "correct.npy"), count=count).astype(bool)


def test_bits_are_those_of_the_final_weights_on_the_unseen_images(store):
    images, labels = digits_by_hand()
    used = set(first_of_each_class(labels[:TRAIN].tolist(), 200))
    order = [*range(TRAIN, TRAIN + TEST), *(i for i in range(TRAIN) if i not in used)]
    network = build("lenet300", 10, 0.25)
    network.load_state_dict(torch.load(store.folder(LEARNS) / "weights" / "epoch_0003.pt", weights_only=True))
    with torch.no_grad():
        right = torch.cat([network.eval()(x).argmax(1) for x in images[order].split(100)]) == labels[order]
    assert len(order) == TEST + TRAIN - 200
    assert 0.5 < right.float().mean() < 0.95  # else the comparison would say little
    assert (bits(store, LEARNS, len(order)) != right.numpy()).sum() <= 2  # sums in another order


def test_the_record_counts_the_bits(store):
    metrics, correct = store.read(LEARNS)["metrics"], bits(store, LEARNS, TEST + TRAIN - 200)
    assert metrics["unseen_images"] == len(correct) == LEARNS.unseen_images
    assert metrics["official_images"] == TEST
    assert metrics["unseen_accuracy"] == pytest.approx(100 * correct.mean())
    assert metrics["official_accuracy"] == pytest.approx(100 * correct[:TEST].mean())


def test_the_learning_curve_ends_with_the_accuracy_of_the_same_images(store):
    subset = first_of_each_class(load_digits().target[TRAIN:].tolist(), 40)
    assert store.read(LEARNS)["metrics"]["last_accuracy"] == pytest.approx(100 * bits(store, LEARNS)[subset].mean())


@pytest.mark.parametrize("method", ["slimming", "magnitude"])
def test_a_retrain_is_evaluated_as_its_search_is(store, method):
    spec = Retrain(Ticket(SEARCH, 0.3, 1, method), replace(TINY, epochs=1, milestones=()))
    stages.draw(spec.ticket, store)
    record = stages.retrain(spec, store, NOWHERE, CPU)
    assert record["metrics"]["unseen_accuracy"] == pytest.approx(100 * bits(store, spec).mean())
    assert list(run_problems(store.folder(spec), store)) == []


def test_a_sparse_training_is_evaluated_so_too(store):
    fields = {"width": SEARCH.width, "train_size": 60, "test_size": 40, "evaluation": "unseen"}
    spec = Sparse("vgg16", "digits", replace(TINY, epochs=1, milestones=()), method="snip", sparsity=0.5, **fields)
    record = stages.sparse(spec, store, NOWHERE, CPU)
    assert record["metrics"]["official_accuracy"] == pytest.approx(100 * bits(store, spec)[:TEST].mean())
    assert list(run_problems(store.folder(spec), store)) == []


def test_eb_train_without_a_ticket_counts_as_the_final_ticket_not_retrained(store):
    spec = Retrain(Ticket(SEARCH, 0.3, "eb"), SEARCH.recipe, schedule="continue")
    assert stages.draw(spec.ticket, store)["status"] == "no-ticket"
    record = stages.retrain(spec, store, NOWHERE, CPU)
    assert record["status"] == "no-ticket"
    assert record["metrics"]["epochs"] == 0
    assert record["metrics"]["unseen_accuracy"] == pytest.approx(100 * bits(store, spec).mean())
    assert list(run_problems(store.folder(spec), store)) == []
    final = Ticket(SEARCH, 0.3, "final")  # the same network, put together by hand
    dense = network(SEARCH)
    dense.load_state_dict(torch.load(store.folder(SEARCH) / "weights" / "epoch_0003.pt", weights_only=True))
    small = shrink(dense, load_mask(final, store, 264))
    assert (correct_images(small, SEARCH, NOWHERE, "fp32") == bits(store, spec)).all()


def test_other_arms_without_a_ticket_have_no_accuracy(store):
    spec = Retrain(Ticket(SEARCH, 0.5, "eb"), SEARCH.recipe, init="reinit")
    assert stages.draw(spec.ticket, store)["status"] == "no-ticket"
    assert "unseen_accuracy" not in stages.retrain(spec, store, NOWHERE, CPU)["metrics"]


def test_verify_counts_the_bits_again(store, tmp_path):
    other = Store(tmp_path)
    merge(store.root, other.root)
    folder = other.folder(LEARNS)
    assert list(run_problems(folder, other)) == []
    packed = np.load(folder / "correct.npy")
    packed[0] ^= 0b1000_0000  # the first image
    np.save(folder / "correct.npy", packed)
    assert any("SHA-256" in problem for problem in run_problems(folder, other))
    record = json.loads((folder / "record.json").read_text())
    record["files"]["correct.npy"] = digest(folder / "correct.npy")
    (folder / "record.json").write_text(json.dumps(record))
    found = list(run_problems(folder, other))
    assert [problem.split()[0] for problem in found] == ["unseen_accuracy", "official_accuracy"]


def test_the_bits_are_merged_with_the_run(store, tmp_path):
    merge(store.root, tmp_path)
    assert (bits(Store(tmp_path), SEARCH) == bits(store, SEARCH)).all()


def test_the_default_moves_no_key():
    assert key(tiny_search()) == key(replace(SEARCH, evaluation="test"))
    assert key(tiny_search()) != key(SEARCH)


def test_what_cannot_be_evaluated_so_is_refused():
    with pytest.raises(UserError, match=r"Search.evaluation.*'folders'"):
        Search("resnet18", "folders", evaluation="unseen")
    with pytest.raises(UserError, match="evaluation"):
        Search("vgg16", "digits", evaluation="unsene")

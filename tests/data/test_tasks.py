"""Tasks: parts of a dataset, by its labels; the superclasses of CIFAR-100 against the labels in its files."""

import io
import os
from pathlib import Path

import pytest
import torch

from ebreplicate.catalog import DATASETS, INFO, SUPERCLASSES, TASKS
from ebreplicate.data.arrays import FILES, ArraysOnly, Split, load, verified
from ebreplicate.errors import UserError
from ebreplicate.specs.spec import Search

ROOT = Path(os.environ.get("EBREPLICATE_DATA", Path(__file__).parents[2] / "data"))
NOWHERE = Path("/nonexistent")


def test_a_split_keeps_the_images_of_the_labels_and_numbers_them_by_their_places():
    whole = Split(torch.arange(6).view(6, 1, 1, 1), torch.tensor([3, 0, 7, 3, 7, 1]))
    part = whole.only((7, 3))
    assert part.images.flatten().tolist() == [0, 2, 3, 4]
    assert part.labels.tolist() == [1, 0, 1, 0]
    assert part.labels.dtype == torch.int64


@pytest.mark.parametrize(("name", "first"), [("digits-low", 0), ("digits-high", 5)])
def test_the_halves_of_the_digits_are_those_of_the_digits(name, first):
    whole, half = load("digits", NOWHERE), load(name, NOWHERE)
    for all_images, ours, count in (
        (whole.train, half.train, INFO[name].train),
        (whole.test, half.test, INFO[name].test),
    ):
        there = (all_images.labels >= first) & (all_images.labels < first + 5)
        assert len(ours) == count == int(there.sum())
        assert ours.images.equal(all_images.images[there])
        assert (ours.labels + first).equal(all_images.labels[there])


def test_superclasses_part_the_hundred_classes_in_alphabetical_order():
    assert sorted(label for labels in SUPERCLASSES.values() for label in labels) == list(range(100))
    assert list(SUPERCLASSES) == sorted(SUPERCLASSES)
    assert {len(labels) for labels in SUPERCLASSES.values()} == {5}


def test_superclasses_are_the_coarse_labels_of_the_files():
    if not all((ROOT / file).is_file() for file in FILES["cifar100"]):
        pytest.skip(f"cifar100 is not under {ROOT} (set EBREPLICATE_DATA)")
    _, test = verified("cifar100", ROOT)
    batch = ArraysOnly(io.BytesIO(test), encoding="latin1").load()
    coarse = {fine: list(SUPERCLASSES)[i] for fine, i in zip(batch["fine_labels"], batch["coarse_labels"], strict=True)}
    assert coarse == {label: name for name, labels in SUPERCLASSES.items() for label in labels}
    data = load("cifar100-people", ROOT)
    assert (len(data.train), len(data.test)) == (2500, 500)
    assert data.train.labels.bincount().tolist() == 5 * [500]


def test_a_task_that_does_not_exist_is_refused_by_the_nearest_name():
    with pytest.raises(UserError, match=r"^dataset: unknown name 'cifar100-peple'; did you mean 'cifar100-people'"):
        Search("vgg16", "cifar100-peple")


def test_tasks_can_be_asked_for_and_are_not_listed():
    assert not set(TASKS) & set(DATASETS)
    assert all(callable(DATASETS.load(name)) for name in TASKS)

"""The two datasets that need no files."""

import subprocess
import sys

import numpy as np
import pytest
from helpers import NOWHERE, digits
from sklearn.datasets import load_digits

from ebreplicate.data.arrays import Batches, load
from ebreplicate.data.digits import scanned_digits
from ebreplicate.errors import UserError


@pytest.fixture(scope="module")
def source():
    return load_digits()


def bytes_of(gray):
    """Gray levels 0..16 as the nearest of 0..255."""
    return np.rint(gray * 255 / 16).astype(np.uint8)


def test_the_digits_are_read_without_importing_scikit_learn(source):
    code = "import sys; from ebreplicate.data import digits; images, _ = digits.scanned_digits(); "
    code += "print(len(images), 'sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1797", "False"]
    images, labels = scanned_digits()
    assert (images == source.images).all()
    assert (labels == source.target).all()


def test_a_missing_file_of_digits_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("ebreplicate.data.digits.find_spec", lambda _: None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^digits: not found in scikit-learn .*; reinstall it"):
        scanned_digits()


def test_digits_are_scikit_learns_with_every_pixel_a_block_in_three_equal_channels(source):
    data = load("digits", NOWHERE)
    whole = np.concatenate([data.train.images.numpy(), data.test.images.numpy()])
    blocks = whole.reshape(-1, 3, 8, 4, 8, 4)
    assert (blocks == bytes_of(source.images)[:, None, :, None, :, None]).all()
    assert data.train.labels.tolist() + data.test.labels.tolist() == source.target.tolist()


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_pair_shows_the_two_digits_of_its_label_from_its_own_part(source, part):
    split = getattr(load("digits100", NOWHERE), part)
    known = slice(0, 1437) if part == "train" else slice(1437, None)
    pool = {(label, bytes_of(x).tobytes()) for x, label in zip(source.images[known], source.target[known], strict=True)}
    for image, label in zip(split.images.numpy()[:200], split.labels.tolist(), strict=False):
        left, right = image[0, ::4, 0:16:2], image[0, ::4, 16:32:2]
        assert (label // 10, left.tobytes()) in pool
        assert (label % 10, right.tobytes()) in pool


@pytest.mark.parametrize("name", ["digits", "digits100"])
def test_normalisation_constants_are_those_of_the_training_pixels(name):
    data = load(name, NOWHERE)
    pixels = data.train.images.float() / 255
    assert pixels.mean().item() == pytest.approx(data.mean[0], abs=0.005)
    assert pixels.std().item() == pytest.approx(data.std[0], abs=0.005)


def test_loading_twice_gives_the_same_dataset():
    first, second = (load("digits100", NOWHERE) for _ in range(2))
    assert first.train.images.equal(second.train.images)
    assert first.test.labels.equal(second.test.labels)


@pytest.mark.parametrize(("sizes", "field"), [((1438, None), "train_size"), ((None, 361), "test_size")])
def test_a_size_beyond_the_dataset_is_refused_by_its_field(sizes, field):
    with pytest.raises(UserError, match=rf"^Search\.{field}: asked for \d+ images, the dataset has "):
        load("digits", NOWHERE, *sizes)


def test_batches_are_a_function_of_seed_and_epoch():
    def stream(seed, epoch):
        (x, y), *_ = Batches(digits(), 30, "crop-flip", seed).epoch(epoch)
        return x.numpy().tobytes(), y.tolist()

    assert stream(0, 3) == stream(0, 3)
    assert len({stream(0, 3)[0], stream(0, 4)[0], stream(1, 3)[0]}) == 3

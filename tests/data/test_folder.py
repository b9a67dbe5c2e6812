"""Image folders: the generated set, windows and pixels beside torchvision's, order by seed and epoch, refusals."""

import math
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import CPU
from PIL import Image

from ebreplicate.catalog import INFO
from ebreplicate.data import arrays, folders, pixels
from ebreplicate.errors import UserError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    folders.generate(root)
    return root


@pytest.fixture(scope="module")
def small(root):
    return arrays.load("folders", root, 60, 40)


def photograph(width=50, height=40, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


def test_the_generated_set_is_the_digits_split_as_the_dataset_digits(root):
    loaded, digits = arrays.load("folders", root), arrays.load("digits", root)
    for ours, theirs in ((loaded.train, digits.train), (loaded.test, digits.test)):
        order = sorted(range(len(ours)), key=lambda i: ours.paths[i].name)  # by number, as scikit-learn has them
        assert ours.labels[order].tolist() == theirs.labels.tolist()
        with Image.open(ours.paths[order[7]]) as image:
            pixels = np.asarray(image.convert("RGB"))
        assert pixels.shape == (40, 40, 3)
        assert (pixels[::5, ::5] == theirs.images[7].permute(1, 2, 0)[::4, ::4].numpy()).all()
    names = [{p.name for p in split.paths} for split in (loaded.train, loaded.test)]
    assert not names[0] & names[1]


def test_generating_again_changes_nothing_and_leaves_no_debris(root):
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*")}
    folders.generate(root)
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*")} == before
    assert [p.name for p in root.iterdir()] == ["folders"]


def test_a_subset_is_balanced_and_taken_in_sorted_order(root, small):
    assert torch.bincount(small.train.labels).tolist() == [6] * 10
    assert torch.bincount(small.test.labels).tolist() == [4] * 10
    first = sorted((root / "folders" / "train" / "3").iterdir())[:6]
    assert [p for p in small.train.paths if p.parent.name == "3"] == first


def test_the_evaluation_crop_is_torchvisions():
    from torchvision import transforms as t

    for size in ((50, 40), (37, 61), (64, 64), (300, 200)):
        image = photograph(*size)
        theirs = t.Compose([t.Resize(73), t.CenterCrop(64)])(image)
        assert (np.asarray(pixels.central(image, 64)) == np.asarray(theirs)).all()
    assert pixels.central(photograph(500, 375), 224).size == (224, 224)  # 256 for 224


def test_random_windows_are_distributed_as_torchvisions():
    from torchvision.transforms import RandomResizedCrop

    rng, image = np.random.default_rng(0), photograph(50, 40)
    torch.manual_seed(0)
    ours = [pixels.random_crop(50, 40, rng) for _ in range(4000)]
    theirs = [RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(4000)]
    windows = np.array([[top, left, bottom - top, right - left] for left, top, right, bottom, _ in ours])
    assert (windows[:, :2] >= 0).all()
    assert (windows[:, 0] + windows[:, 2] <= 40).all()
    assert (windows[:, 1] + windows[:, 3] <= 50).all()
    error = np.array(theirs).std(0) * 4 / math.sqrt(4000)  # four standard errors, of both means together about three
    assert (abs(windows.mean(0) - np.array(theirs).mean(0)) < error).all()
    assert abs(windows.std(0) / np.array(theirs).std(0) - 1).max() < 0.08
    assert sum(flip for *_, flip in ours) == pytest.approx(2000, abs=130)
    assert (np.array([pixels.random_crop(200, 20, rng)[:4] for _ in range(200)])[:, 2:] <= [200, 20]).all()


def test_a_window_is_cropped_resized_and_mirrored():
    image = photograph()

    class Fixed:
        def __init__(self, flip):
            self.numbers = iter([0.5, 0.0])  # half of the area, square
            self.flip = flip

        def uniform(self, *_):
            return next(self.numbers)

        def integers(self, *_):
            return 3

        def random(self):
            return 0.0 if self.flip else 0.9

    side = round(math.sqrt(0.5 * 50 * 40))
    expected = image.crop((3, 3, 3 + side, 3 + side)).resize((16, 16), Image.Resampling.BILINEAR)
    plain, mirrored = (np.asarray(pixels.augmented(image, 16, Fixed(flip))) for flip in (False, True))
    assert (plain == np.asarray(expected)).all()
    assert (mirrored == plain[:, ::-1]).all()


def flat(batches):
    return [torch.cat(part) for part in zip(*batches, strict=True)]


def test_an_epoch_is_a_function_of_seed_and_epoch_whatever_decodes_it(small, monkeypatch):
    state = torch.get_rng_state()
    batches = small.batches(25, "imagenet", 3)
    first = flat(batches.epoch(1))
    monkeypatch.setenv("EBREPLICATE_WORKERS", "2")
    again = flat(small.batches(25, "imagenet", 3).epoch(1))
    monkeypatch.delenv("EBREPLICATE_WORKERS")
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    for other in (batches.epoch(2), small.batches(25, "imagenet", 4).epoch(1)):
        assert not torch.equal(flat(other)[0], first[0])
    assert torch.get_rng_state().equal(state)  # and nothing is taken from the global generator


def test_batches_have_every_image_once_normalised_in_channels_last(small):
    batches = small.batches(25, "none", 0)
    parts = list(batches.epoch(0))
    assert [len(y) for _, y in parts] == [25, 25, 10]
    assert len(batches) == 3
    x, y = parts[0]
    assert x.shape == (25, 3, 64, 64)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert sorted(i for part in batches.items(0) for i, _ in part) == list(range(60))
    number = batches.items(0)[0][4][0]
    with Image.open(small.train.paths[number]) as image:
        values = np.asarray(pixels.central(image.convert("RGB"), 64)).astype(np.float64) / 255
    expected = (values - folders.IMAGENET_MEAN) / folders.IMAGENET_STD
    torch.testing.assert_close(x[4].permute(1, 2, 0).double(), torch.from_numpy(expected), rtol=1e-5, atol=1e-5)
    assert y[4] == small.train.labels[number]


def test_evaluation_has_the_test_images_in_order(small):
    x, y = flat(small.to(CPU).evaluation())
    assert y.tolist() == small.test.labels.tolist()
    assert len(x) == small.test_images == 40


@pytest.mark.parametrize("augment", ["crop-flip", "crop"])
def test_augmentations_of_small_images_are_refused(small, augment):
    with pytest.raises(UserError, match=rf"^Recipe\.augment: image files take imagenet or none, got '{augment}'"):
        small.batches(20, augment, 0)
    with pytest.raises(UserError, match=r"^Recipe\.augment: 'imagenet' is for datasets of image files"):
        arrays.load("digits", CPU, 20, 20).batches(20, "imagenet", 0)


@pytest.mark.parametrize(("free", "count"), [(10**9, 8), (500, 2), (200, 1)])
def test_decoding_processes_fit_into_shared_memory(free, count, monkeypatch):
    monkeypatch.setattr(folders, "SHARED_MEMORY", Path("/"))
    monkeypatch.setattr(folders.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert folders.fitting(8, batch=100) == count  # each decodes two batches ahead
    assert folders.fitting(0, batch=10**12) == 0
    with pytest.raises(
        UserError, match=r"^/: [\d,]+ bytes are free, but a batch takes 1,000,000,000,000; give the cont"
    ):
        folders.fitting(1, batch=10**12)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no processor masks on this system")
def test_decoding_processes_are_as_many_as_the_cores_that_may_be_used():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert folders.workers(torch.device("cuda")) == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize("text", ["-1", "two", ""])
def test_a_number_of_workers_that_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv("EBREPLICATE_WORKERS", text)
    with pytest.raises(UserError, match=r"^EBREPLICATE_WORKERS: expected a number"):
        folders.workers(CPU)


def test_a_missing_imagenet_is_told_by_its_layout(tmp_path):
    with pytest.raises(UserError, match=r"imagenet/train is missing; expected imagenet/\{train,val\}/<class>/<image>"):
        arrays.load("imagenet", tmp_path)


def test_an_incomplete_set_is_told_by_its_counts(root, tmp_path):
    shutil.copytree(root / "folders", tmp_path / "folders")
    next((tmp_path / "folders" / "val" / "4").iterdir()).unlink()
    with pytest.raises(UserError, match=r"val: found 10 class folders and 359 images; expected folders/"):
        arrays.load("folders", tmp_path)


def test_an_image_that_cannot_be_read_is_told_by_its_path(tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(b"no image")
    files = folders.Files([path], torch.zeros(1, dtype=torch.int64))
    with pytest.raises(UserError, match=r"broken\.png: unreadable image"):
        folders.Decoder(files, INFO["folders"].side)[0, None]

"""Augmented batches against a loop over single images with numpy slices."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ebreplicate.data.arrays import Batches, Data, Split, balanced_subset, crop, normalised

MEAN, STD = (0.1, 0.4, 0.6), (0.2, 0.3, 0.5)


def random_split(count, seed, classes=4):
    g = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 3, 32, 32), generator=g, dtype=torch.uint8)
    return Split(pixels, torch.randint(0, classes, (count,), generator=g))


def normalise(image):
    """(3, H, W) bytes to normalised floats, one channel at a time."""
    return np.stack([(image[c] / 255 - MEAN[c]) / STD[c] for c in range(3)])


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 8), st.integers(0, 8), st.booleans()), min_size=1))
def test_crop_equals_a_loop_of_slices(windows):
    images = torch.randint(0, 256, (5, 3, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    index, top, left, flip = (torch.tensor(column) for column in zip(*windows, strict=True))

    batch = crop(images, index, top, left, flip)

    assert batch.dtype == torch.uint8
    for got, (i, t, x, mirrored) in zip(batch.numpy(), windows, strict=True):
        window = images[i].numpy()[:, t : t + 32, x : x + 32]
        window = window[:, :, ::-1] if mirrored else window
        assert (got.transpose(2, 0, 1) == window).all()


@given(st.integers(2, 30), st.integers(2, 12), st.integers(0, 5), st.integers(0, 200))
def test_plain_batches_hold_every_image_once_normalised(count, batch_size, seed, epoch):
    split = random_split(count, seed)
    batches = Batches(Data(split, split, MEAN, STD), batch_size, "none", seed)

    xs, ys = zip(*batches.epoch(epoch), strict=True)

    assert [len(y) for y in ys] == [batch_size] * (count // batch_size) + [count % batch_size] * (
        count % batch_size > 0
    )
    assert len(xs) == len(batches)
    expected = np.stack([normalise(image) for image in split.images.numpy()])
    got = torch.cat(xs).numpy()
    nearest = [int(np.abs(expected - image).max(axis=(1, 2, 3)).argmin()) for image in got]
    assert sorted(nearest) == list(range(count))
    assert np.allclose(got, expected[nearest], atol=1e-5)
    assert torch.cat(ys).equal(split.labels[nearest])


@given(st.sampled_from(["crop", "crop-flip"]), st.integers(0, 50))
@settings(max_examples=20)
def test_every_augmented_image_is_a_padded_window_of_its_original(augment, epoch):
    split = random_split(6, seed=1)
    split.labels = torch.arange(6)  # a label names its image
    batches = Batches(Data(split, split, MEAN, STD), 4, augment, seed=0)
    padded = np.pad(split.images.numpy(), ((0, 0), (0, 0), (4, 4), (4, 4)))
    for x, y in batches.epoch(epoch):
        for got, label in zip(x.numpy(), y.tolist(), strict=True):
            whole = normalise(padded[label])
            windows = [whole[:, t : t + 32, s : s + 32] for t in range(9) for s in range(9)]
            if augment == "crop-flip":
                windows += [w[:, :, ::-1] for w in windows]
            assert any(np.allclose(got, w, atol=1e-5) for w in windows)


@pytest.mark.parametrize(("augment", "mirrored"), [("crop-flip", 2000), ("crop", 0)])
def test_windows_are_uniform_and_half_are_mirrored(augment, mirrored):
    row, column = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    picture = torch.stack([row, column, row]).to(torch.uint8)  # a pixel's value says where it comes from
    split = Split(picture.repeat(4000, 1, 1, 1), torch.zeros(4000, dtype=torch.int64))
    batches = Batches(Data(split, split, (0.0,) * 3, (1 / 255,) * 3), 4000, augment, seed=0)

    ((x, _),) = batches.epoch(0)

    x = x.round().int()
    flipped = x[:, 1, 16, 17] < x[:, 1, 16, 16]
    top = x[:, 0, 16, 16] - 12
    left = x[:, 1, 16, 16] - torch.where(flipped, 11, 12)
    assert abs(int(flipped.sum()) - mirrored) <= 5 * 32 * bool(mirrored)
    counts = Counter(zip(top.tolist(), left.tolist(), strict=True))
    assert set(counts) == {(t, s) for t in range(9) for s in range(9)}
    assert max(abs(n - 4000 / 81) for n in counts.values()) < 5 * (4000 / 81) ** 0.5


@given(st.integers(1, 60), st.integers(0, 100), st.data())
def test_balanced_subset_takes_the_first_images_of_each_class(count, seed, data):
    split = random_split(count, seed)
    size = data.draw(st.integers(1, count))

    subset = balanced_subset(split, size, "here")

    # One at a time: the next image of the class that has fewest so far, the lowest class first.
    queues = [[i for i in range(count) if split.labels[i] == c] for c in range(4)]
    taken = [[] for _ in queues]
    while sum(map(len, taken)) < size:
        c = min((c for c in range(4) if queues[c]), key=lambda c: len(taken[c]))
        taken[c].append(queues[c].pop(0))
    chosen = sorted(i for t in taken for i in t)
    assert subset.images.equal(split.images[chosen])
    assert subset.labels.equal(split.labels[chosen])


@given(st.integers(1, 1200))
@settings(max_examples=10)
def test_evaluation_batches_are_the_test_images_in_order(count):
    split = random_split(count, seed=0)
    xs, ys = zip(*normalised(split, Data(split, split, MEAN, STD)), strict=True)
    first, last = xs[0][0].numpy(), xs[-1][-1].numpy()
    assert sum(map(len, xs)) == count
    assert torch.cat(ys).equal(split.labels)
    assert np.allclose(first, normalise(split.images[0].numpy()), atol=1e-5)
    assert np.allclose(last, normalise(split.images[-1].numpy()), atol=1e-5)

"""Masks and distances against second implementations."""

from itertools import product

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ebreplicate.pruning import distance_matrix, global_mask, mask_distance, rescue_empty_layers
from ebreplicate.pruning.masks import epoch_masks

# A coarse grid beside the floats, so that ties are common.
VALUES = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 2, width=32))
SCORES = arrays(np.float32, st.integers(1, 60), elements=VALUES)
RATIOS = st.floats(0.01, 0.99)


def masks(rows):
    """Equally long bool masks, `rows` of them."""
    return st.integers(1, 40).flatmap(lambda n: arrays(bool, (rows, n)))


def authors_mask(scores, ratio):
    """The rule as a loop: sort, look up the threshold, keep what is strictly above it."""
    ascending = sorted(scores.tolist())
    threshold = ascending[int(len(ascending) * ratio)]
    return [score > threshold for score in scores.tolist()]


@given(SCORES, RATIOS)
def test_global_mask_equals_a_loop(scores, ratio):
    assert global_mask(torch.from_numpy(scores), ratio).tolist() == authors_mask(scores, ratio)


@given(st.integers(1, 200), RATIOS, st.randoms(use_true_random=False))
def test_distinct_scores_lose_exactly_one_more_than_the_floor(count, ratio, random):
    scores = torch.tensor(random.sample(range(10_000), count)).float()
    assert int((~global_mask(scores, ratio)).sum()) == int(count * ratio) + 1


@given(SCORES, RATIOS, st.randoms(use_true_random=False))
def test_global_mask_follows_a_permutation(scores, ratio, random):
    order = list(range(len(scores)))
    random.shuffle(order)
    scores = torch.from_numpy(scores)
    assert global_mask(scores[order], ratio).equal(global_mask(scores, ratio)[order])


@given(arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 30)), elements=VALUES), RATIOS)
def test_epoch_masks_are_global_masks_row_by_row(scores, ratio):
    rows = [authors_mask(row, ratio) for row in scores]
    assert epoch_masks(torch.from_numpy(scores), ratio).tolist() == rows


@given(masks(rows=3))
def test_mask_distance_is_a_metric_and_equals_a_loop(triple):
    a, b, c = torch.from_numpy(triple)
    differing = sum(x != y for x, y in zip(a.tolist(), b.tolist(), strict=True))
    assert mask_distance(a, b) == differing / len(a)
    assert mask_distance(a, b) == mask_distance(b, a)
    assert mask_distance(a, a) == 0
    assert (mask_distance(a, b) == 0) == a.equal(b)
    assert mask_distance(a, c) <= mask_distance(a, b) + mask_distance(b, c) + 1e-12


@given(st.integers(1, 6).flatmap(masks))
def test_distance_matrix_holds_the_pairwise_distances(rows):
    rows = torch.from_numpy(rows)
    matrix = distance_matrix(rows)
    for i, j in product(range(len(rows)), repeat=2):
        assert matrix[i, j].item() == mask_distance(rows[i], rows[j])


@given(st.data())
def test_rescue_adds_the_best_channel_of_each_empty_layer_and_nothing_else(data):
    widths = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=6))
    scores = data.draw(arrays(np.float32, sum(widths), elements=VALUES))
    mask = data.draw(arrays(bool, sum(widths)))
    before = mask.copy()

    result, rescued = rescue_empty_layers(torch.from_numpy(mask), torch.from_numpy(scores), widths)

    cuts = np.cumsum(widths)[:-1]
    layers = list(zip(np.split(before.copy(), cuts), np.split(scores, cuts), strict=True))
    empty = [layer for layer in layers if not layer[0].any()]
    for kept, score in empty:
        kept[np.argmax(score)] = True
    assert result.tolist() == np.concatenate([kept for kept, _ in layers]).tolist()
    assert rescued == len(empty)
    assert (mask == before).all()  # the mask that came in is left alone

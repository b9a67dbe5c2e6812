"""Weights per layer against ten lines of plain arithmetic, and sums that are exact."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebreplicate.catalog import DISTRIBUTIONS
from ebreplicate.errors import UserError
from ebreplicate.pruning.distributions import apportion, layer_counts

SHAPES = [(8, 3, 3, 3), (16, 8, 3, 3), (32, 16, 3, 3), (32, 16, 1, 1), (10, 32)]
dims = st.integers(1, 24)
convolution = st.tuples(dims, dims, st.sampled_from([1, 3, 7])).map(lambda s: (s[0], s[1], s[2], s[2]))
shapes = st.lists(st.one_of(convolution, st.tuples(dims, dims)), min_size=1, max_size=8)


def plain(shapes, sparsity, raw):
    """Real-valued densities: try every number of full layers, in order of raw density."""
    sizes = [math.prod(s) for s in shapes]
    target = (1 - sparsity) * sum(sizes)
    order = sorted(range(len(shapes)), key=lambda i: -raw(shapes[i]))
    for full in range(len(shapes)):
        rest = order[full:]
        factor = (target - sum(sizes[i] for i in order[:full])) / sum(raw(shapes[i]) * sizes[i] for i in rest)
        if factor * raw(shapes[rest[0]]) <= 1:
            return [1.0 if i in order[:full] else factor * raw(shapes[i]) for i in range(len(shapes))]
    raise AssertionError


RAW = {
    "uniform": lambda s: 1.0,
    "erk": lambda s: (s[0] + s[1]) / (s[0] * s[1]),
    "erk-kernel": lambda s: sum(s) / math.prod(s),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("sparsity", [0.2, 0.5, 0.8, 0.95])
def test_counts_are_the_real_densities_rounded(name, sparsity):
    expected = plain(SHAPES, sparsity, RAW[name])
    counts = layer_counts(SHAPES, sparsity, name)
    for shape, density, count in zip(SHAPES, expected, counts, strict=True):
        assert abs(count - density * math.prod(shape)) <= 1
    assert sum(counts) == round((1 - sparsity) * sum(map(math.prod, SHAPES)))


def test_a_case_by_hand():
    """Sizes 4 and 100, raw densities 1 and 0.2: half of 104 is 52 = 4 (full) + 48."""
    assert layer_counts([(2, 2), (10, 10)], 0.5, "erk") == [4, 48]
    assert layer_counts([(2, 2), (10, 10)], 0.5, "uniform") == [2, 50]
    assert layer_counts([(2, 2), (10, 10)], 0.5, "uniform", dense=[0]) == [4, 50]
    assert layer_counts([(3, 1), (3, 1), (3, 1)], 0.5, "uniform") == [2, 1, 1]  # 4 of 9: the earlier layer first


@given(shapes, st.floats(0.01, 0.99), st.sampled_from(DISTRIBUTIONS))
def test_the_sum_is_the_target_to_the_weight_and_no_layer_is_empty_or_overfull(shapes, sparsity, name):
    sizes = [math.prod(s) for s in shapes]
    target = round((1 - sparsity) * sum(sizes))
    if target < len(sizes):
        with pytest.raises(UserError, match=r"Sparse\.sparsity"):
            layer_counts(shapes, sparsity, name)
        return
    counts = layer_counts(shapes, sparsity, name)
    assert sum(counts) == target
    assert all(1 <= c <= n for c, n in zip(counts, sizes, strict=True))


@given(st.dictionaries(st.integers(0, 9), st.tuples(st.floats(1e-6, 1e3), st.integers(1, 99)), min_size=1), st.data())
def test_apportioning_is_exact_within_the_sizes(layers, data):
    target = data.draw(st.integers(0, sum(size for _, size in layers.values())))
    shares = apportion(layers, target)
    assert sum(shares.values()) == target
    assert all(0 <= shares[i] <= size for i, (_, size) in layers.items())


def test_an_unknown_distribution_is_refused():
    with pytest.raises(UserError, match=r"distribution.*erk-kernel"):
        layer_counts(SHAPES, 0.5, "erk-kernal")

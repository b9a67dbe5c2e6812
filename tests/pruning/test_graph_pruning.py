"""Masks over edges, their distance, the normalised adjacency and the detector, on cases small enough to do by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebreplicate.errors import UserError
from ebreplicate.pruning.graph import (
    GraphEarlyBird,
    edge_distance,
    emergence,
    keep_edges,
    normalised,
    normalised_adjacency,
    random_edges,
    tied_share,
)


def test_the_largest_weights_stay():
    assert keep_edges(np.array([0.3, 0.9, 0.1, 0.5, 0.7]), 0.4).tolist() == [False, True, False, True, True]


def test_ties_go_in_an_order_of_the_seed_and_no_other():
    weights = np.ones(1000)
    masks = [keep_edges(weights, 0.5, seed) for seed in (0, 0, 1)]
    assert np.array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[0], masks[2])
    assert 400 < int((~masks[0][:500]).sum()) * 2 < 600  # neither the first nor the last of the list


@given(st.integers(2, 60), st.integers(1, 99), st.integers(0, 3))
def test_how_many_go(edges, percent, seed):
    """Distinct weights: ceil(p (M - 1) / 100); equal ones: int(p M / 100)."""
    distinct = np.random.default_rng(seed).permutation(edges) + 1.0
    assert int((~keep_edges(distinct, percent / 100)).sum()) == -(-percent * (edges - 1) // 100)
    assert int((~keep_edges(np.ones(edges), percent / 100)).sum()) == percent * edges // 100


def test_a_ratio_is_read_as_the_percentage_it_was_written_as():
    """100 x 0.29 is 28.999999999999996 in floats."""
    assert int((~keep_edges(np.ones(100), 0.29)).sum()) == 29


@pytest.mark.parametrize(
    ("weights", "ratio"), [([], 0.5), ([np.nan], 0.5), ([[1.0]], 0.5), ([1.0], 1.0), ([1.0], -0.1)]
)
def test_what_is_no_vector_or_no_fraction_is_refused(weights, ratio):
    with pytest.raises(UserError):
        keep_edges(np.array(weights), ratio)


def test_random_edges_are_as_many_as_asked_for():
    masks = [random_edges(50, 20, seed) for seed in range(30)]
    assert {int(m.sum()) for m in masks} == {20}
    assert np.all(np.sum(masks, 0) > 0)


def test_tied_edges_are_the_largest_group():
    assert tied_share(np.array([1.0, 2.0, 2.0, 3.0])) == 0.5
    assert tied_share(np.arange(4.0)) == 0


def test_the_adjacency_by_hand():
    """Two nodes, an edge of weight 0.5: degrees 1.5, so 1/1.5 and 0.5/1.5; a node alone: 1."""
    found = normalised_adjacency(np.array([[0, 1]]), 3, np.array([0.5])).toarray()
    assert found == pytest.approx(np.array([[2 / 3, 1 / 3, 0], [1 / 3, 2 / 3, 0], [0, 0, 1]]))


def test_an_edge_that_is_not_positive_is_no_edge():
    edges = np.array([[0, 1], [1, 2]])
    without = normalised_adjacency(edges[1:], 3)
    assert np.array_equal(normalised_adjacency(edges, 3, np.array([-1.0, 1.0])).toarray(), without.toarray())


@pytest.mark.parametrize(
    ("edges", "weights", "message"),
    [([[0, 3]], None, "edge 0, \\(0, 3\\); the graph has 3"), ([[0, 1]], [1.0, 2.0], "one per edge")],
)
def test_an_adjacency_that_does_not_fit_is_refused(edges, weights, message):
    with pytest.raises(UserError, match=message):
        normalised_adjacency(np.array(edges), 3, None if weights is None else np.array(weights))


def masks(*patterns):
    return [np.array([c == "1" for c in p]) for p in patterns]


def test_a_distance_counts_both_directions_and_refuses_other_lengths():
    one, other = masks("1100", "1010")
    assert edge_distance(one, other) == 4
    with pytest.raises(UserError):
        edge_distance(one, other[:3])


def test_the_detector_waits_and_compares_with_the_first_distance():
    """Two of four edges change once; while that mask is among the three before, the distance is its first value."""
    detector = GraphEarlyBird("graph", patience=3)
    fired = [detector.update(m) for m in masks("1111", "1111", "1111", "0011", "0011", "0011", "0011", "0011")]
    assert detector.distances == [(2,), (2,), (2,), (0,), (0,)]
    assert fired == [False] * 6 + [True] * 2
    assert detector.first == 6


def test_the_rules_see_distances_over_their_first_and_nan_before():
    found = normalised([(0, 0, 0), (4, 0, 0), (2, 6, 2), (0, 4, 0)])
    assert found["graph"].tolist()[1:] == [1, 0.5, 0]
    assert found["weights"].tolist()[2:] == [1, 0.5]
    assert np.isnan([found["graph"][0], found["weights"][0], found["weights"][1], found["mean"][1]]).all()
    assert found["mean"].tolist()[2:] == [0.75, 0.25]
    assert found["sum"].tolist()[2:] == [1.5, 0.5]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30))
def test_emergence_is_the_first_check_of_each_rule_after_the_patience(distances):
    found = emergence(distances, epochs=len(distances) + 3)
    for rule, values in normalised(distances).items():
        hits = [i + 3 for i, v in enumerate(values) if i + 3 > 5 and v < 0.1]
        assert found[rule] == (hits[0] if hits else None)


def test_masks_of_another_size_are_refused():
    detector = GraphEarlyBird()
    detector.update(np.ones(3, bool), [np.ones((2, 2), bool)])
    with pytest.raises(UserError, match="shapes differ"):
        detector.update(np.ones(4, bool), [np.ones((2, 2), bool)])

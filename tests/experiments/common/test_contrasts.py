"""Differences by seed: pairing and means within seeds, on numbers worked out by hand."""

import pandas as pd

from ebreplicate.experiments.common.contrasts import mean_by_seed, minus, paired

TABLE = pd.DataFrame(
    [
        {"arm": "a", "seed": 0, "last_accuracy": 90.0, "key": "a0"},
        {"arm": "a", "seed": 1, "last_accuracy": 92.0, "key": "a1"},
        {"arm": "a", "seed": 2, "last_accuracy": None, "key": "a2"},
        {"arm": "b", "seed": 1, "last_accuracy": 91.5, "key": "b1"},
        {"arm": "b", "seed": 2, "last_accuracy": 80.0, "key": "b2"},
    ]
)


def test_a_difference_is_of_the_seeds_that_both_arms_have():
    found = paired(TABLE, "last_accuracy", {"arm": "a"}, {"arm": "b"})
    assert found == {1: 0.5}
    assert found[1].records == {"a1", "b1"}
    assert minus({3: 1.0, 1: 5.0}, {1: 2.0, 3: 4.0, 7: 0.0}) == {1: 3.0, 3: -3.0}
    assert minus({}, {0: 1.0}) == {}


def test_a_mean_is_over_parts_within_each_seed_that_has_all_of_them():
    assert mean_by_seed([{0: 1.0, 1: 2.0}, {0: 4.0, 2: 9.0}]) == {0: 2.5}
    assert mean_by_seed(iter([{1: 2.0}])) == {1: 2.0}
    assert mean_by_seed([]) == {}

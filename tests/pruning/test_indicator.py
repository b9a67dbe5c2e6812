"""The Early Pruning Indicator, by hand, against a second implementation, and one check at a time."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ebreplicate.errors import UserError
from ebreplicate.pruning.earlybird import EarlyBird
from ebreplicate.pruning.indicator import (
    GRADIENT,
    MAGNITUDE,
    EarlyPruning,
    epi_epoch,
    first_firing,
    indicator,
    layer_counts,
    similarity,
    threshold_of,
)
from ebreplicate.pruning.masks import global_mask

WIDTHS = [4, 2, 4]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([3, 1], [3, 1], 1.0),
        ([3, 1], [1, 1], 1 - (2 / 4 + 0) / 2),
        ([6, 2], [2, 6], 1 - (4 / 8 + 4 / 8) / 2),
        ([5, 0], [0, 5], 0.0),  # each layer is emptied in exactly one of them
        ([5, 0], [5, 0], 1.0),  # 0/0: emptied in both is the same architecture
        ([0, 0], [0, 0], 1.0),
        ([0, 4], [0, 12], 1 - (0 + 8 / 16) / 2),
    ],
)
def test_similarity_by_hand(a, b, expected):
    a, b = torch.tensor(a), torch.tensor(b)
    assert similarity(a, b).item() == similarity(b, a).item() == pytest.approx(expected)


def test_counts_are_per_layer():
    masks = torch.tensor([[1, 1, 0, 0, 1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 0, 1, 1, 1]]).bool()
    assert layer_counts(masks, WIDTHS).tolist() == [[2, 1, 0], [4, 2, 3]]


def second_implementation(scores, ratio, widths, window, threshold):
    """Values of EPI and the epoch it fires at, in plain Python."""
    counts = []
    for row in scores:
        kept = [s > sorted(row)[int(len(row) * ratio)] for s in row]
        counts.append([sum(kept[sum(widths[:i]) : sum(widths[: i + 1])]) for i in range(len(widths))])
    psi = [
        [1 - sum(abs(m - n) / (m + n) if m + n else 0 for m, n in zip(a, b, strict=True)) / len(widths) for a in counts]
        for b in counts
    ]
    epi = {t: sum(psi[t][t - j] for j in range(1, window + 1)) / window for t in range(window + 1, len(scores))}
    beats = [
        t
        for t in sorted(epi)[:-1]
        if epi[t] >= threshold and all(epi[t] >= epi.get(t - j, 0) - 1e-12 for j in range(1, window + 1))
    ]
    return epi, beats[0] if beats else None


@given(st.integers(0, 10**6), st.sampled_from([0.3, 0.5, 0.7]), st.integers(1, 4), st.integers(2, 14))
def test_values_and_firing_are_those_of_a_second_implementation(seed, ratio, window, epochs):
    generator = torch.Generator().manual_seed(seed)
    walk = torch.randn(epochs + 1, sum(WIDTHS), generator=generator) / (1 + torch.arange(epochs + 1)[:, None]) ** 1.5
    scores = (1 + walk.cumsum(0)).abs()
    values, fires = second_implementation(scores.tolist(), ratio, WIDTHS, window, 0.8)
    ours = indicator(scores, ratio, WIDTHS, window)
    assert {e: v for e, v in enumerate(ours) if v is not None} == pytest.approx(values)
    assert epi_epoch(scores, ratio, WIDTHS, 0.8, window) == fires
    detector = EarlyPruning(ratio, WIDTHS, 0.8, window)
    answers = [detector.update(row) for row in scores[:-1]]
    assert detector.first == fires == (answers.index(True) if any(answers) else None)


def test_an_architecture_that_never_changes_fires_as_soon_as_there_are_enough_of_them():
    scores = torch.rand(9, 10, generator=torch.Generator().manual_seed(0))[:1].repeat(9, 1)
    assert indicator(scores, 0.5, WIDTHS) == [None] * 6 + [1.0] * 3
    assert epi_epoch(scores, 0.5, WIDTHS) == 6  # five trained sub-networks before it
    assert epi_epoch(scores[:7], 0.5, WIDTHS) is None  # the state after the last epoch is not asked
    for threshold in (MAGNITUDE, 1.0):  # which it may just reach, and so may the values before it
        detector = EarlyPruning(0.5, WIDTHS, threshold)
        assert [detector.update(row) for row in scores] == [False] * 6 + [True] * 3


def test_other_channels_in_the_same_architecture_settle_the_indicator_but_not_the_mask():
    """What sets it apart from the mask distance."""
    up = torch.tensor([4.0, 3, 1, 0.9])
    scores = torch.stack([torch.cat([up.roll(e), up.roll(2 * e)]) for e in range(9)])
    bird = EarlyBird(0.5)
    assert epi_epoch(scores, 0.5, [4, 4]) == 6
    assert not any(bird.update(row) for row in scores)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([None, 0.99, 1.0], 1),  # no earlier value: the threshold alone
        ([None, 0.97, 0.983], 2),  # the threshold itself is enough
        ([None, 0.97, 0.98299], None),
        ([None, 0.5, 0.6, 0.983, 0.984], 3),
        ([], None),
    ],
)
def test_the_rule_by_hand(values, expected):
    assert first_firing(values) == expected


def test_a_higher_value_among_the_last_ones_holds_a_later_check_back():
    """Kept channels per layer of (4, 4): 22, 22, 31, 31, 22, ... by hand with a window of one."""
    even, odd = torch.tensor([4.0, 3, 1, 1, 4, 3, 1, 1]), torch.tensor([4.0, 3, 2, 1, 4, 1, 1, 1])
    detector = EarlyPruning(0.45, [4, 4], threshold=0.7, window=1)
    answers = [detector.update(row) for row in (even, even, even, odd, odd, even)]
    psi = 1 - (1 / 5 + 1 / 3) / 2  # 3 + 1 channels against 2 + 2
    assert psi == pytest.approx(0.733, abs=1e-3)  # above the threshold
    assert answers == [False, False, True, False, True, False]
    assert detector.first == 2


def test_demanding_all_earlier_values_delays_the_first_firing():
    values = [None, 0.99, 0.985, 0.988, 0.987, 0.99]
    assert first_firing(values, window=2) == 1
    assert first_firing(values, window=2, full=True) == 5  # epoch 3 is below 0.99, epoch 4 below 0.988
    assert first_firing(values, window=1, full=True) == 3
    assert first_firing(values, window=5, full=True) is None


def test_thresholds_are_of_the_importance():
    assert (threshold_of("slimming"), threshold_of("random"), threshold_of("taylor")) == (
        MAGNITUDE,
        MAGNITUDE,
        GRADIENT,
    )


def test_the_untrained_network_is_not_a_sub_network():
    scores = torch.rand(8, 10, generator=torch.Generator().manual_seed(1))
    other = scores.clone()
    other[0] = 0.5
    assert indicator(scores, 0.5, WIDTHS) == indicator(other, 0.5, WIDTHS)
    assert not global_mask(other[0], 0.5).any()


def test_it_does_not_fire_in_a_network_that_has_diverged():
    rows = torch.cat([torch.rand(4, 10), torch.full((12, 10), float("nan"))])
    detector = EarlyPruning(0.5, WIDTHS)
    assert [detector.update(row) for row in rows] == [False] * len(rows)
    assert indicator(rows, 0.5, WIDTHS) == [None] * len(rows)
    assert epi_epoch(rows, 0.5, WIDTHS) is None


def test_widths_of_another_network_are_refused():
    detector = EarlyPruning(0.5, [4, 2])
    for ask in (lambda: detector.update(torch.rand(10)), lambda: indicator(torch.rand(9, 10), 0.5, [4, 2])):
        with pytest.raises(UserError, match=r"^widths: 6 channels in all, where the scores have 10"):
            ask()
    assert detector.checks == 0  # already at the first check, an epoch before it counts


def test_bad_settings_are_named():
    with pytest.raises(UserError, match=r"^ratio: "):
        EarlyPruning(1.0, WIDTHS)
    with pytest.raises(UserError, match=r"^window: needs at least 1"):
        EarlyPruning(0.5, WIDTHS, window=0)
    with pytest.raises(UserError, match=r"^window: needs at least 1"):
        epi_epoch(torch.rand(9, 10), 0.5, WIDTHS, window=0)
    with pytest.raises(UserError, match=r"^threshold: is a fraction, must lie in \[0, 1\], got 98.3"):
        EarlyPruning(0.5, WIDTHS, threshold=98.3)
    with pytest.raises(UserError, match=r"^scores: expected a row an epoch, \(epochs \+ 1, N\), got shape \(10,\)"):
        epi_epoch(torch.rand(10), 0.5, WIDTHS)

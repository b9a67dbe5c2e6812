"""The detector on trajectories short enough to check by hand: ten channels, so one swap is a distance of 0.2."""

import io
from itertools import product

import pytest
import torch

from ebreplicate.errors import UserError
from ebreplicate.pruning import EarlyBird, emergence_epoch
from ebreplicate.pruning.earlybird import RULES

INIT = [0.5] * 10  # all equal: the mask of the untrained network is empty


def epoch(*kept, channels=10):
    """Scores whose mask at ratio 0.5 is exactly the channels `kept`: all but int(channels * 0.5) + 1."""
    assert len(kept) == channels - channels // 2 - 1
    return [1.0 + c / 100 if c in kept else c / 100 for c in range(channels)]


A, B, C = epoch(0, 1, 2, 3), epoch(0, 1, 2, 4), epoch(0, 1, 5, 6)  # A-B and only A-B are 0.2 apart; C is further


def checks(rows, **options):
    detector = EarlyBird(0.5, **options)
    return [detector.update(torch.tensor(row)) for row in rows], detector.first


def test_five_equal_masks_fire_at_the_fifth():
    assert checks([A] * 6) == ([False] * 4 + [True] * 2, 4)


def test_the_untrained_mask_delays_the_earliest_firing_to_five_epochs():
    assert checks([INIT] + [A] * 6) == ([False] * 5 + [True] * 2, 5)


def test_the_newest_mask_is_held_against_every_older_one():
    rows = [A, A, A, A, B, B, B, B, B]
    assert checks(rows) == ([False] * 8 + [True], 8)  # only once the last A has left the queue
    assert checks(rows, threshold=0.2) == ([False] * 4 + [True] * 5, 4)  # a distance at the threshold is near enough


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("lost", [float("nan"), float("inf")])
def test_no_ticket_emerges_in_a_network_that_has_diverged(rule, lost):
    """Its masks are all alike: nothing is kept of scores that are all nan, or all infinite."""
    rows = [INIT, A, A, A] + [[lost] * 10] * 8
    assert checks(rows) == ([False] * len(rows), None)
    assert emergence_epoch(torch.tensor(rows), 0.5, rule) is None
    assert checks([*rows[:4], A, A])[1] == 5


def test_first_stays_at_the_first_firing():
    fired, first = checks([A] * 5 + [C] + [A] * 5)
    assert fired == [False] * 4 + [True] + [False] * 5 + [True]
    assert first == 4


def test_a_shorter_window_fires_earlier():
    assert checks([A, C, C, C], window=3) == ([False, False, False, True], 3)


def test_signs_are_ignored():
    flipped = [-x if i % 2 else x for i, x in enumerate(A)]
    assert checks([A, flipped, A, flipped, A]) == ([False] * 4 + [True], 4)


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_a_ratio_outside_the_open_interval_is_refused(ratio):
    with pytest.raises(UserError, match="ratio"):
        EarlyBird(ratio)


def test_scores_of_another_network_are_refused_at_once_and_not_kept():
    """They used to fill the queue until it was full, and the training was then stopped by an error."""
    detector = EarlyBird(0.5)
    fired = [detector.update(torch.tensor(A)) for _ in range(4)]
    for _ in range(2):
        with pytest.raises(UserError, match=r"^scores: 12 channels, at the check before 10"):
            detector.update(torch.rand(12))
    assert [*fired, detector.update(torch.tensor(A))] == [False] * 4 + [True]
    assert detector.first == 4


@pytest.mark.parametrize("given", [10, -0.1, float("nan")])
def test_a_threshold_that_is_no_fraction_is_refused(given):
    """10 for 10 % would fire at the fifth check whatever the masks are."""
    for ask in (lambda: EarlyBird(0.5, threshold=given), lambda: emergence_epoch([A] * 9, 0.5, threshold=given)):
        with pytest.raises(UserError, match=r"^threshold: is a fraction, must lie in \[0, 1\], got"):
            ask()


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_refuses_a_short_window_and_scores_of_one_epoch(rule):
    with pytest.raises(UserError, match=r"^window: needs at least 2 masks"):
        emergence_epoch(torch.tensor([A] * 9), 0.5, rule, window=0)
    with pytest.raises(UserError, match=r"^scores: expected a row an epoch, \(epochs \+ 1, N\), got shape \(10,\)"):
        emergence_epoch(torch.tensor(A), 0.5, rule)


@pytest.mark.parametrize("saved_at", range(1, 12))
def test_a_detector_saved_with_a_checkpoint_goes_on_as_if_it_had_not_been(saved_at):
    rows, file = [INIT, C, A, A, B, A, A, A, A, A, C, A], io.BytesIO()
    detector = EarlyBird(0.5, threshold=0.2)
    before = [detector.update(torch.tensor(row)) for row in rows[:saved_at]]
    torch.save({"detector": detector}, file)
    file.seek(0)
    resumed = torch.load(file, weights_only=False)["detector"]
    after = [resumed.update(torch.tensor(row)) for row in rows[saved_at:]]
    assert (before + after, resumed.first) == checks(rows, threshold=0.2)


@pytest.mark.parametrize(
    ("rows", "rule", "expected"),
    [
        ([INIT] + [A] * 6, "authors", 5),
        ([INIT] + [A] * 6, "no-init", 5),
        # Five distances between consecutive epochs need six masks; the one to the untrained mask is 0.4.
        ([INIT] + [A] * 6, "consecutive", None),
        ([INIT] + [A] * 7, "consecutive", 6),
        ([INIT] + [A] * 5, "authors", None),  # the state after the last epoch is never asked
        ([INIT] + [A] * 5, "no-init", None),
        ([INIT, *([C] * 3), *([A] * 6)], "authors", 8),
        ([INIT, *([C] * 3), *([A] * 6)], "no-init", 8),
        ([INIT, *([C] * 3), *([A] * 6)], "consecutive", None),
        ([INIT, *([C] * 3), *([A] * 7)], "consecutive", 9),
        ([INIT], "authors", None),
        ([INIT], "consecutive", None),
        ([INIT], "no-init", None),
    ],
)
def test_emergence_epoch_by_hand(rows, rule, expected):
    assert emergence_epoch(torch.tensor(rows), 0.5, rule) == expected


def test_a_rule_that_there_is_not_is_refused_with_those_there_are():
    with pytest.raises(UserError, match=r"^rule: unknown name 'no_init'; did you mean 'no-init'\?"):
        emergence_epoch(torch.rand(9, 10), 0.5, "no_init")


@pytest.mark.parametrize(("rule", "expected"), [("authors", 4), ("no-init", 5), ("consecutive", 5)])
def test_at_a_high_ratio_the_untrained_mask_is_near_and_only_no_init_leaves_it_out(rule, expected):
    trained = [1.0] + [c / 100 for c in range(19)]  # one of 20 channels is kept at ratio 0.9: 0.05 from none
    rows = torch.tensor([[0.5] * 20] + [trained] * 8)
    assert emergence_epoch(rows, 0.9, rule) == expected


def test_a_slow_drift_emerges_between_consecutive_epochs_but_not_against_all_older():
    rows = torch.tensor([epoch(*range(e, e + 9), channels=20) for e in range(8)])  # 0.1 from the epoch before
    assert emergence_epoch(rows, 0.5, "consecutive") == 5
    assert emergence_epoch(rows, 0.5, "authors") is None
    assert emergence_epoch(rows, 0.5, "authors", threshold=0.4) == 4


def test_every_window_and_threshold_against_sets_of_channels():
    """The detector study's rules, window and threshold, recomputed from the distance of every pair of epochs."""
    scores = torch.rand(60, 30, generator=torch.Generator().manual_seed(0)).cumsum(0) ** 0.5
    masks = [sorted(range(30), key=row.tolist().__getitem__)[16:] for row in scores]
    for window, threshold in product((2, 3, 5, 8), (0.05, 0.1, 0.2)):
        near = [[len(set(a) ^ set(b)) / 30 <= threshold for b in masks] for a in masks]
        fires = [e for e in range(window - 1, 59) if all(near[e][e - i] for i in range(1, window))]
        assert emergence_epoch(scores, 0.5, "authors", window, threshold) == (fires[0] if fires else None)

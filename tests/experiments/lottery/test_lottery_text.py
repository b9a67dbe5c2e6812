"""The numbers of Frankle & Carbin's text beside tables whose values are chosen here."""

import pandas as pd
import pytest

from ebreplicate.experiments.lottery.levels import LEVELS, measured
from ebreplicate.experiments.lottery.levels import cells as level_cells
from ebreplicate.experiments.lottery.levels import printed as level_printed
from ebreplicate.experiments.lottery.runs import SMALL, grid_of
from ebreplicate.experiments.lottery.text import TEXTS, cells, printed
from ebreplicate.specs.scale import load_scale


def rows(model, setting, series, number, remaining, values, **more):
    """One row a seed: last accuracy, and at early stopping the same accuracy and the iteration in `more`."""
    same = {"model": model, "setting": setting, "series": series, "round": number, "remaining": remaining, **more}
    return [{**same, "seed": s, "last_accuracy": v, "early_stop_accuracy": v} for s, v in enumerate(values)]


@pytest.fixture
def table():
    """LeNet: round 7 leaves 21 %. Conv-2 reaches no printed level. ResNet-18 at two rates."""
    lenet = rows("lenet300", "plain", "dense", 0, 1.0, (98.0, 98.2), early_stop_iteration=1000)
    for k in range(1, 8):
        lenet += rows("lenet300", "plain", "ticket", k, 0.8**k, (98.0 + k / 20, 98.3), early_stop_iteration=500)
        lenet += rows("lenet300", "plain", "reinit", k, 0.8**k, (97.5, 97.7), early_stop_iteration=1500)
    conv = rows("conv2", "plain", "dense", 0, 1.0, (60.0,), early_stop_iteration=900)
    conv += rows("conv2", "plain", "ticket", 1, 0.5, (61.0,), early_stop_iteration=300)
    deep = rows("preresnet20", "low", "dense", 0, 1.0, (88.0,)) + rows("preresnet20", "low", "ticket", 1, 0.8, (89.0,))
    deep += rows("preresnet20", "low", "ticket", 2, 0.64, (88.5,))
    deep += rows("preresnet20", "warmup", "ticket", 6, 0.262, (90.1,))
    vgg = rows("vgg19", "high", "dense", 0, 1.0, (92.0,)) + rows("vgg19", "warmup", "dense", 0, 1.0, (93.2,))
    return pd.DataFrame(lenet + conv + deep + vgg)


def test_numbers_are_those_of_the_text():
    by_metric = {(t.model, t.metric): printed(t) for t in TEXTS}
    assert by_metric["lenet300", "ticket_vs_reinit_speed_at_21%"] == 2.51
    assert by_metric["conv6", "early_stop_speedup"] == 2.5  # "2.5x at 15.1%"
    assert by_metric["conv4", "acc_gain"] == 3.5  # "3.5 at 11.1%"
    assert by_metric["vgg19", "warmup10K_lr0.1_unpruned_gain"] == 1  # "about 1"


def test_quantities_by_hand(table):
    found = {c.cell: c for c in cells(table)}
    means = {name: c.measured.mean for name, c in found.items() if c.measured.n}
    assert means == {
        "LeNet-300-100: earlier than dense, 21.1 % of weights left": 50.0,
        "LeNet-300-100: faster than re-init, 21.1 % of weights left": 3.0,
        # Round 7: 98.35 and 98.3 against 97.5 and 97.7.
        "LeNet-300-100: above re-init, 21.1 % of weights left": pytest.approx((0.85 + 0.6) / 2),
        # The best round of each seed, 98.35 and 98.3, against 98.0 and 98.2.
        "LeNet-300-100: most above dense, at the end": pytest.approx((0.35 + 0.1) / 2),
        "VGG-19: dense gains by warmup": pytest.approx(1.2),
        "PreResNet20 (for ResNet-18): most accurate ticket, low rate": 89.0,
        "PreResNet20 (for ResNet-18): ticket with warmup, 27.1 % of weights left": 90.1,
    }


def curve(dense, values, left, model="lenet300", setting="plain", series="ticket"):
    """One seed: a dense network, and a round a value at the shares of weights in `left`."""
    out = rows(model, setting, "dense", 0, 1.0, (dense,))
    for k, (share, value) in enumerate(zip(left, values, strict=True), 1):
        out += rows(model, setting, series, k, share, (value,))
    return pd.DataFrame(out)


@pytest.mark.parametrize(
    ("values", "holds", "fails"),
    [
        ((98.1, 97.9, 98.0, 97.0), 0.25, 0.1),  # one unlucky round does not end it
        ((97.0, 97.0, 97.0, 97.0), 1.0, 0.8),  # no ticket holds: only the dense network does
        ((98.1, 97.9, 98.0, 98.0), None, None),  # the last round still holds: the level is not known yet
    ],
)
def test_levels_by_hand(values, holds, fails):
    table = curve(98.0, values, (0.8, 0.5, 0.25, 0.1))
    above, below = (next(level for level in LEVELS if level.metric.startswith(m)) for m in ("returns", "winning"))
    assert measured(table, above) == ({} if holds is None else {0: 100 * holds})
    assert measured(table, below) == ({} if fails is None else {0: 100 * fails})


def test_a_level_has_the_slack_series_and_setting_of_its_text():
    by_metric = {level.metric: level for level in LEVELS if level.model in ("vgg19", "lenet300")}
    slack = by_metric["lr0.01_within_1pp_for_Pm"]
    table = curve(93.0, (92.5, 92.0, 91.9), (0.8, 0.5, 0.25), "vgg19", "low")
    assert measured(table, slack) == {0: 50.0}
    assert measured(table, by_metric["warmup_winning_tickets_for_Pm"]) == {}
    fresh = curve(98.0, (98.5, 97.0), (0.8, 0.5), series="reinit")
    assert measured(fresh, by_metric["reinit_falls_below_original_at_Pm"]) == {0: 50.0}


def test_levels_are_those_of_the_text_and_paper_scale_goes_beyond_them_on_small_networks():
    panels = grid_of(load_scale("paper")).panels
    levels = {(level.model, level.metric): level_printed(level) for level in LEVELS}
    assert levels["lenet300", "returns_to_original_at_Pm"] == 3.6
    assert levels["vgg19", "lr0.01_within_1pp_for_Pm"] == 3.5
    small = {(m, n): v for (m, n), v in levels.items() if m in SMALL}
    assert len(small) == 6
    assert all(100 * panels[model].left(panels[model].rounds) < value for (model, _), value in small.items())


def test_a_level_that_no_round_leaves_is_not_run(table):
    found = {c.cell: c for c in cells(table)}
    assert found["Conv-2: faster than dense, 8.8 % of weights left"].measured.n == 0
    assert all(c.measured.n == 0 for c in [*cells(table.iloc[:0]), *level_cells(table.iloc[:0])])


def test_every_number_has_a_tolerance_and_says_what_it_is(table):
    for cell in [*cells(table), *level_cells(table)]:
        assert cell.margin > 0
        assert cell.tolerance.value > 0
        assert "lth_key_numbers.csv" in cell.note
    speed = next(c for c in cells(table) if c.cell.startswith("Conv-4: faster"))
    assert speed.margin == pytest.approx(0.2 * 3.5)
    gain = next(c for c in cells(table) if c.cell.startswith("Conv-4: above"))
    assert gain.margin == 0.3

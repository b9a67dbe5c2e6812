"""Charts, words and notes of the site, against values worked out by hand."""

import math
import re
from importlib import resources

import pytest
from sites import SCALE

from ebreplicate.report.site import charts, notes, words
from ebreplicate.specs.spec import Retrain, Sparse, Ticket

DASH = "\N{EN DASH}"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (22, 78, [30, 40, 50, 60, 70]),
        (1, 160, [50, 100, 150]),
        (-0.3, 0.3, [-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3]),
        (5, 5, [5]),
    ],
)
def test_ticks_are_round_and_inside(low, high, expected):
    assert charts.ticks(low, high) == pytest.approx(expected)


def history(**columns):
    return [
        dict(zip(("epoch", *columns), row, strict=True)) for row in zip(range(1, 99), *columns.values(), strict=False)
    ]


def points(path):
    return [tuple(map(float, p)) for p in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)]


def test_a_chart_puts_values_where_its_ticks_say():
    (chart,) = charts.charts(history(test_accuracy=[20.0, 80.0, 60.0]))
    ((name, path),) = chart.lines
    at = {text: y for y, text in chart.y_ticks}
    assert [y for _, y in points(path)] == pytest.approx([at["20"], at["80"], at["60"]], abs=0.06)
    assert [x for x, _ in points(path)] == pytest.approx([x for x, _ in chart.x_ticks], abs=0.06)
    assert name == "test"
    assert chart.mark[:2] == pytest.approx(points(path)[1], abs=0.06)
    assert chart.mark[2] == "best 80% (epoch 2)"
    assert chart.summary == "Accuracy over epochs 1 to 3: test 60 at the end, best 80 at epoch 2."
    left, top, right, bottom = chart.frame
    assert all(left <= x <= right and top <= y <= bottom for x, y in points(path))


def test_what_is_not_a_number_breaks_a_line_and_an_empty_column_has_none():
    loss, rate = charts.charts(history(train_loss=[3, math.nan, 1, math.inf], test_loss=[math.nan] * 4, lr=[0.1] * 4))
    assert [name for name, _ in loss.lines] == ["train"]
    assert loss.lines[0][1].count("M") == 2
    assert len(points(loss.lines[0][1])) == 2
    assert [text for _, text in rate.y_ticks if float(text) == 0.1] == ["0.1"]
    assert (
        charts.charts([]) == charts.charts([{"epoch": math.nan, "lr": 1.0}]) == charts.charts(history(other=[1])) == []
    )


def test_a_falling_rate_is_drawn_on_a_log_axis_and_labelled_where_it_stays():
    (rate,) = charts.charts(history(lr=[0.1, 0.1, 0.01, 0.001]))
    ys = [y for _, y in points(rate.lines[0][1])]
    assert ys[2] - ys[1] == pytest.approx(ys[3] - ys[2], abs=0.11)
    assert [text for _, text in rate.y_ticks] == ["0.001", "0.01", "0.1"]


def test_bars_show_the_share_of_each_layer():
    bars = charts.kept_by_layer([2, 8, 1], [4, 8, 8])
    _, top, _, bottom = bars.frame
    assert [height / (bottom - top) for *_, height in bars.bars] == pytest.approx([0.5, 1, 0.125])
    assert all(y + height == pytest.approx(bottom) for _, y, _, height in bars.bars)
    assert bars.summary == "Channels kept in 3 layers: 11 of 20, least in layer 3 (1 of 8)."


@pytest.mark.parametrize("bad", [None, "channels", [], [1], [1, 2, "3"], [1, 2, 0], {"a": 1}])
def test_bars_need_a_number_a_layer(bad):
    assert charts.kept_by_layer(bad, [4, 8, 8]) is None
    assert charts.kept_by_layer([4, 8, 8], bad) is None


@pytest.mark.parametrize(
    ("value", "text"), [(2.6435e13, ("2.64", 13)), (9.999e5, ("1.00", 6)), (0.0, ("0.00", 0)), (-3.1e-5, ("-3.10", -5))]
)
def test_powers(value, text):
    assert words.power(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.25, "0.2 s"),
        (61, "1 min 1 s"),
        (7325, "2 h 2 min"),
        (None, DASH),
        (math.nan, DASH),
        ("<b>", DASH),
        (59.99, "60.0 s"),
    ],
)
def test_durations(value, text):
    assert words.duration(value) == text


def test_numbers_are_set_with_the_signs_of_print():
    assert (
        words.typeset("early minus final: -3.47 +- 4.1 pp (2-seed)")
        == "early minus final: \N{MINUS SIGN}3.47 ± 4.1 pp (2-seed)"
    )
    assert words.typeset("-") == words.plain(None) == words.plain([]) == DASH
    assert words.typeset("10-epoch retrains, CIFAR-10, -") == "10-epoch retrains, CIFAR-10, -"


def test_a_ledger_is_parted_by_convention():
    cost = {"forward_flops": {"authors": 2.0, "torch": 1.0}, "draw_flops": 5.0, "seconds": 3.0, "energy_j": None}
    cost["training_flops"] = {"authors": 9.0}
    conventions, flops, rest = words.ledger(cost)
    assert conventions == ["authors", "torch"]
    assert [name for name, _ in flops] == ["forward_flops", "draw_flops", "training_flops"]
    assert dict(flops)["draw_flops"] == {"authors": 5.0, "torch": 5.0}
    assert rest == [("seconds", 3.0), ("energy_j", None)]
    assert words.ledger({}) == ([], [], [])


def test_runs_are_told_apart_in_words():
    search = SCALE.search("vgg16", "cifar10", 0)
    ticket = Ticket(search, 0.5, "eb")
    assert words.network(search) == "VGG16 at width 0.0625"
    assert words.dataset(ticket) == "digits (60 images)"
    assert words.dataset(Sparse("gru", "text", sparsity=0.75, train_size=32768)) == "text (32,768 characters)"
    assert words.detail(ticket) == "50 % of the channels removed by slimming, drawn where the mask distance settles"
    assert words.detail(Retrain(ticket, SCALE.recipe, schedule="continue")).endswith(
        "settles; inherit, rest of the schedule"
    )
    assert words.detail(Sparse("vgg16", "cifar10", sparsity=0.9)) == "rigl, 90% of the weights zero, erk"


def test_links_of_a_note_are_kept_where_they_lead_somewhere():
    links = (
        "[there](cost.md#how-it-is-counted), [up](../README.md), [web](https://e.org/x), [gone](x.md), ![pic](p.png)"
    )
    title, html = notes.render(f"# A *title*\n\n{links}\n", {"cost"})
    assert title == "A *title*"
    assert '<a href="cost.html#how-it-is-counted">there</a>' in html
    assert '<a href="https://e.org/x" rel="noreferrer">web</a>' in html
    assert "<span>up</span>" in html
    assert "<span>gone</span>" in html
    assert "<img" not in html
    assert "pic" in html


def test_markup_in_a_note_is_text():
    _, html = notes.render("# x\n\n<script>alert(1)</script> [a](javascript:alert(1))\n", set())
    assert "<script" not in html
    assert "javascript:" not in re.findall('href="([^"]*)"', html)
    assert (
        notes.heading_id("Forward FLOPs of one image, three conventions")
        == "forward-flops-of-one-image-three-conventions"
    )


@pytest.mark.parametrize(
    ("kind", "template"),
    [("claims", "claims"), ("headlines", "index"), ("cells", "comparison"), ("runs", "runs_table")],
)
def test_a_card_of_a_narrow_screen_names_a_value_as_its_column_does(kind, template):
    folder = resources.files("ebreplicate.report.site")
    css = (folder / "assets" / "site.css").read_text("utf8")
    page = (folder / "templates" / f"{template}.html").read_text("utf8")
    heads = re.findall(r'role="columnheader"[^>]*>([^<]*)</th>', page[page.index(f'<table class="ledger {kind}') :])
    named = re.findall(rf'\.{kind} td:nth-child\((\d+)\)::before[^{{}}]*{{ content: "([^"]*?):? "', css)
    assert named
    assert not [(name, heads[int(n) - 1]) for n, name in named if name not in heads[int(n) - 1].lower()]

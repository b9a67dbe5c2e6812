"""The first screen: which claims it shows, from which scale, in which words."""

import pandas as pd
import pytest

from ebreplicate.experiments.common import style
from ebreplicate.experiments.early_bird import contrasts
from ebreplicate.report import compare, headline

TITLE = headline.TITLE_CLAIM


def claim(name, scale, verdict="supported", difference=0.4, half=0.3, n=8, item="early_bird"):
    return {
        **dict.fromkeys(compare.CLAIM_COLUMNS, ""),
        **{
            "item": item,
            "kind": "accuracy",
            "name": name,
            "verdict": verdict,
            "difference": difference,
            "ci95_half": half,
            "printed": 0.25,
        },
        **{"bound": -1.0, "unit": "pp", "n": n, "p": 0.01, "p_holm": 0.02, "scale": scale},
    }


@pytest.fixture
def results(tmp_path):
    """Writes the claims of both scales and reads them again."""

    def write(*claims):
        for scale in compare.SCALES:
            mine = pd.DataFrame([c for c in claims if c["scale"] == scale], columns=[*compare.CLAIM_COLUMNS])
            path = tmp_path / "comparison" / f"{scale}_claims.csv"
            path.parent.mkdir(exist_ok=True)
            mine.to_csv(path, index=False)
        return compare.read_claims(tmp_path)

    return write


def test_a_claim_is_shown_from_the_largest_scale_that_ran_it(results):
    gebt = "gebt-early-edges"
    claims = results(
        claim(TITLE, "paper", "not run", float("nan"), float("nan"), 0),
        claim(TITLE, "quick", "not supported", -1.5, 0.2),
        claim(gebt, "quick", "not run", float("nan"), float("nan"), 0),
        claim(gebt, "paper", "supported", 0.1, 0.4, 10, "gebt"),
        claim("somewhere-else", "paper"),
    )
    rows = headline.table(claims).splitlines()[2:]
    assert rows[0] == f"| {headline.CLAIMS[TITLE]} | quick | -1.50 ± 0.20 pp | +0.25 | -1 | 8 | **not supported** |"
    assert rows[1].startswith(f"| {headline.CLAIMS[gebt]} | paper | +0.10 ± 0.40 pp | +0.25 |")
    assert len(rows) == 2


def test_a_narrow_interval_is_shown_with_the_decimals_that_tell_its_side_of_the_bound(results):
    claims = results(claim(TITLE, "quick", difference=0.0134, half=0.0071), claim("p3-early-mask-as-good", "quick"))
    shown = [headline.effect_of(row) for row in headline.chosen(claims).itertuples()]
    assert shown == ["+0.013 ± 0.007 pp", "+0.40 ± 0.30 pp"]


def test_the_status_says_that_nothing_is_decided_before_the_runs(results):
    claims = results(claim(TITLE, "quick", "not run", float("nan"), float("nan"), 0))
    assert "not decided yet" in headline.status(claims)
    assert "papers' own scale" not in headline.status(claims)


def test_the_status_gives_the_title_claim_and_counts_the_papers_scale(results):
    claims = results(
        claim(TITLE, "quick", "supported, equivalent"),
        *(claim(f"g{i}", "paper", word, item="gebt") for i, word in enumerate(["supported", "not supported alone"])),
        claim("g2", "paper", "inconclusive", item="gebt"),
        claim("g3", "paper", "supported", item="gebt") | {"kind": "cost"},
        claim("g4", "quick", "supported", item="gebt"),  # at another scale
    )
    said = headline.status(claims)
    assert "+0.40 ± 0.30 pp (n = 8), bound -1 pp, **supported, equivalent**" in said
    assert "graph tickets (1 supported, 1 not supported alone, 1 open)" in said


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("supported, equivalent", "yes: early"),
        ("supported alone", "yes, before correction for several claims: early"),
        ("not supported", "no: early"),
        ("not supported alone", "no, before correction for several claims: early"),
        ("inconclusive", "it is not decided: early"),
        ("exploratory", "it is not decided: early"),
    ],
)
def test_the_status_answers_the_title_in_plain_words(results, verdict, said):
    others = [
        claim("p1-draw-epoch-matters", "quick", "supported"),
        claim("p3-early-mask-as-good", "quick", "inconclusive"),  # a row of the table
        claim("s3-eb-train-matches-reinit", "quick", "inconclusive"),
        claim("s4-eb-train-matches-weight-pruning", "quick", "not supported alone"),
        claim("s1-early-matches-dense", "quick", "supported, equivalent"),
        claim("s2-channels-matter", "quick", "exploratory"),
        claim("s5-large-rate-better-tickets", "paper", "supported"),  # at another scale
    ]
    claims = results(claim(TITLE, "quick", verdict), *others)
    assert f"On VGG16 (narrower, on part of CIFAR-10) {said}" in headline.status(claims)
    listed = (
        "Further claims of the [analysis plan](docs/statistics.md) at scale quick: "
        "supported: the draw epoch matters, early tickets match dense training; "
        "not supported alone: EB Train matches weight pruning; open: EB Train matches its re-initialised ticket; "
        "exploratory: EB Train beats random channels; not run: 1 of 6."
    )
    first, plan = headline.answer(claims)
    assert f"bound -1 pp, **{verdict}**" in first
    assert first.endswith(". At that paper's own scale it has not been run.")
    assert plan == listed
    at_full = results(claim(TITLE, "paper", verdict))
    assert f"On VGG16 {said}" in headline.status(at_full)
    assert headline.answer(at_full)[0].endswith("; on a second network it has not been run.")  # here it has
    assert (
        "Further claims of the [analysis plan](docs/statistics.md) at scale paper: not run: 6 of 6."
        in headline.status(at_full)
    )


@pytest.mark.parametrize(
    ("verdict", "difference", "half", "said"),
    [
        ("inconclusive", -1.1, 0.2, " (the whole interval is below 0)"),
        ("supported, equivalent", -0.4, 0.2, " (the whole interval is below 0)"),  # worse, by less than the margin
        ("supported", 0.4, 0.2, " (the whole interval is above 0)"),
        ("inconclusive", -0.9, 1.2, ""),
        ("not supported", -1.5, 0.2, ""),  # says it
    ],
)
def test_the_title_claim_says_when_its_whole_interval_lies_on_one_side_of_0(results, verdict, difference, half, said):
    claims = results(claim(TITLE, "quick", verdict, difference, half))
    assert f"bound -1 pp, **{verdict}**{said}; on a second network it has not been run. At" in headline.status(claims)


def test_a_claim_that_is_supported_by_less_than_the_margin_is_listed_as_such(results):
    channels = claim("s2-channels-matter", "quick", "supported, below the margin")
    rate = claim("s5-large-rate-better-tickets", "quick", "supported")
    told = headline.answer(results(claim(TITLE, "quick"), channels, rate))[1]
    assert "supported: EB Train beats random channels (by less than the margin), a large learning rate gives" in told


def test_the_status_answers_for_the_second_network_as_well(results):
    title = claim(TITLE, "quick", "inconclusive", -0.9, 0.2)
    second = claim("s6-second-network", "quick", "not supported", -3.0, 0.5, 5)
    told = headline.status(results(title, second))
    assert (
        "On VGG16 (narrower, on part of CIFAR-10) it is not decided: early minus final tickets -0.90 ± 0.20 pp "
        "(n = 8), bound -1 pp, **inconclusive** (the whole interval is below 0); on PreResNet20 (narrower, on part of "
        "CIFAR-10) no: early minus final tickets -3.00 ± 0.50 pp (n = 5), bound -1 pp, **not supported**. "
        "At that paper's own scale it has not been run."
    ) in told
    assert "not run: 6 of 6" in told
    at_full = headline.status(results(title | {"scale": "paper"}, second | {"scale": "paper"}))
    assert "; on PreResNet101 no: early" in at_full


def test_the_first_screen_has_words_for_every_claim_of_the_plan():
    plan = [c.name for c in contrasts.CLAIMS]
    assert sorted([*headline.OTHERS, *(name for name in headline.CLAIMS if name in plan)]) == sorted(plan)
    assert {headline.TITLE_CLAIM, headline.SECOND_CLAIM} <= {*headline.CLAIMS}


def test_the_figure_has_a_row_for_each_claim_with_an_interval(results):
    claims = results(
        claim(TITLE, "quick"),
        claim("gebt-early-edges", "paper", "supported", 0.1, 0.4, 10),
        claim("tickets-beat-reinit", "quick", "too few seeds", 2.0, float("nan"), 2),
        claim("p6-masks-settle-before-decay", "quick") | {"unit": "% of training"},
    )
    drawn = headline.figure(claims).decode()
    assert headline.CLAIMS[TITLE] in drawn
    assert headline.CLAIMS["gebt-early-edges"] in drawn
    assert headline.CLAIMS["tickets-beat-reinit"] not in drawn
    assert headline.CLAIMS["p6-masks-settle-before-decay"] not in drawn


@pytest.mark.parametrize(("verdict", "colour"), [("supported", 2), ("not supported alone", 1)])
def test_the_figure_draws_the_numbers_of_a_claim(results, monkeypatch, verdict, colour):
    plt = style.use()
    with monkeypatch.context() as kept:
        kept.setattr(plt, "close", lambda _: None)
        headline.figure(results(claim(TITLE, "quick", verdict) | {"by_seed": "0.2000 0.6000"}))
    axis = plt.gcf().axes[0]
    (bar,) = axis.containers
    (segment,) = bar.lines[2][0].get_segments()
    assert segment[:, 0] == pytest.approx([0.1, 0.7])  # 0.4 +- 0.3
    drawn = [pytest.approx(line.get_xdata()) for line in axis.lines]
    seeds, effect, printed, bound = [0.2, 0.6], [0.4], [0.25], [-1.0, -1.0]
    assert all(x in drawn for x in (seeds, effect, printed, bound))
    assert bar.lines[0].get_color() == style.COLOURS[colour]
    plt.close("all")


def test_no_comparison_is_no_error(tmp_path):
    none = compare.read_claims(tmp_path)
    assert headline.table(none).count("\n") == 2
    assert "not decided yet" in headline.status(none)
    assert b"not run yet" in headline.figure(none)

"""The lottery-ticket item: its rounds, its table, its published curves and its verdicts on invented outcomes."""

import csv
import math
from dataclasses import replace
from statistics import mean

import pandas as pd
import pytest
from synthetic import COMPARABLE, TINY, Outcome, claims, tabulated, with_settings, write

from ebreplicate import published
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.common.experiment import INCONCLUSIVE, NOT_RUN, NOT_SUPPORTED, SUPPORTED
from ebreplicate.experiments.common.judgement import EQUIVALENT, settled
from ebreplicate.experiments.common.verdicts import cell_verdict
from ebreplicate.experiments.lottery import claims as rules
from ebreplicate.experiments.lottery import runs
from ebreplicate.experiments.lottery.cells import point_cells
from ebreplicate.experiments.lottery.curves import ACCURACY, ITERATION, curve
from ebreplicate.report.planning import planned_flops
from ebreplicate.specs.graph import Plan
from ebreplicate.specs.scale import load_scale
from ebreplicate.specs.spec import Recipe, Retrain, Search, key
from ebreplicate.store.store import Store

ITEM = "lottery_tickets"
RECIPE = Recipe(epochs=4, milestones=())
PANEL = runs.Panel(RECIPE, rounds=3, ratio=0.2, rewind=2)
TWO_SEEDS = runs.Grid(2, 2, lenet300=PANEL, vgg19=PANEL)
"""One small and one deep network, three rounds, two seeds."""
FEW = with_settings(TINY, ITEM, TWO_SEEDS)


def is_ticket(spec):
    return isinstance(spec, Retrain) and spec.init == "rewind"


def test_a_chain_trains_rewound_tickets_and_controls_beside_them():
    search = Search("vgg16", "digits", RECIPE)
    found = {(n, s): spec for n, s, spec in runs.rounds(search, PANEL, 0)}
    assert list(found) == [(n, s) for n in (1, 2, 3) for s in ("ticket", "reinit", "random")]
    for n in (1, 2, 3):
        ticket, reinit, chance = (found[n, s] for s in ("ticket", "reinit", "random"))
        assert (ticket.init, reinit.init, chance.init) == ("rewind", "reinit", "reinit")
        assert ticket.ticket == reinit.ticket
        assert (ticket.ticket.method, chance.ticket.method) == ("magnitude", "random-weights")
        assert ticket.ticket.after == chance.ticket.after == (found[n - 1, "ticket"] if n > 1 else None)
        assert ticket.ticket.round == n
    early = [spec for _, s, spec in runs.rounds(search, PANEL, 2) if s == "ticket"]
    assert [s.rewind for s in early] == [2, 2, 2]
    assert early[1].ticket.after == early[0]


@pytest.mark.parametrize("scale", ["quick", "paper"])
def test_quick_and_paper_run_every_control_and_every_rate(scale):
    planned = runs.planned(load_scale(scale))
    for model, kinds in (
        ("lenet300", {("plain", s) for s in ("dense", "ticket", "reinit", "random")}),
        (
            "vgg19",
            {("rewind", "ticket")} | {(r, s) for r in ("high", "low", "warmup") for s in ("dense", "ticket", "reinit")},
        ),
    ):
        assert {(r.setting, r.series) for r in planned if r.model == model} == kinds
    rates = {r.setting: r.spec.recipe for r in planned if r.model == "vgg19"}
    assert rates["high"].lr == rates["warmup"].lr == 10 * rates["low"].lr == 0.1
    assert rates["warmup"].warmup > rates["high"].warmup == 0


def test_the_plan_estimates_images_of_any_shape_and_masked_weights_as_dense(tmp_path):
    paper = with_settings(load_scale("paper"), ITEM, TWO_SEEDS)
    specs = [r.spec for r in runs.planned(paper) if r.model == "lenet300"]
    ((name, (total, left)),) = planned_flops(Plan(specs), Store(tmp_path)).items()
    assert name == ("lenet300", "mnist", 1.0, RECIPE.batch_size, "fp32")
    multiply_adds = 784 * 300 + 300 * 100 + 100 * 10
    dense = 2 * multiply_adds + 300 + 100 + 10 + 300 + 100  # biases, ReLU
    assert total == left == 3 * dense * 60_000 * 4 * 20  # four epochs; two seeds of a search and three by three rounds


def test_the_papers_recipes_are_its_iterations():
    specs = {r.model: r.spec for r in runs.planned(load_scale("paper")) if r.round == 0 and r.setting != "low"}
    images = {"lenet300": 55_000}  # 5,000 are held out
    for model, iterations in {
        "lenet300": 50_000,
        "conv2": 20_000,
        "conv4": 25_000,
        "conv6": 30_000,
        "preresnet20": 30_000,
    }.items():
        recipe = specs[model].recipe
        steps = -(-images.get(model, 50_000) // recipe.batch_size) * recipe.epochs
        assert steps == pytest.approx(iterations, rel=0.01)
    assert [specs[m].recipe.lr for m in ("lenet300", "conv2", "conv4", "conv6")] == [1.2e-3, 2e-4, 3e-4, 3e-4]


def test_lenet_at_paper_scale_is_the_published_grid():
    """Five trials, tickets of 18 rounds, controls at the levels of Frankle & Carbin's Figure 3."""
    asked = EXPERIMENTS.load("lottery_lenet300").runs(load_scale("paper"))
    assert len(asked) == 5 * (1 + 18 + 2 * 5)
    assert len(set(map(key, asked))) == len(asked)
    controls = {r.ticket.round for r in asked if isinstance(r, Retrain) and r.init == "reinit"}
    left = {k: 0.8**k * 265_200 / 266_200 + 0.9**k * 1_000 / 266_200 for k in controls}  # the output layer at half rate
    assert [round(100 * left[k], 1) for k in sorted(left)] == [51.3, 21.1, 7.0, 3.6, 1.9]
    held_out = {(r if isinstance(r, Search) else r.ticket.search).validation for r in asked}
    assert held_out == {5_000}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rounds": 0}, "Panel.rounds"),
        ({"ratio": 1.0}, "Panel.ratio"),
        ({"warmup": 5}, r"Panel.warmup: must lie in 1..4 \(recipe.epochs\), got 5"),
        ({"rewind": 4}, "Panel.rewind"),
        ({"low_lr": 0.0}, "Panel.low_lr"),
        ({"control_rounds": (1, 4)}, r"Panel.control_rounds: must lie in 1..3 \(rounds\), got 4"),
        ({"warm_lr": -1.0}, "Panel.warm_lr"),
    ],
)
def test_bad_settings_are_named(change, message):
    from ebreplicate.errors import UserError

    with pytest.raises(UserError, match=f"^{message}"):
        replace(PANEL, **change)


def test_published_curves_are_numbered_by_round():
    """Points read off the paper's Figures 4, 5, 1 and 7: rounds of 20 %, missing points leave gaps."""
    lenet = curve("lenet300", "plain", "ticket")
    assert lenet[0].percent_weights_remaining == pytest.approx(100, abs=0.1)
    assert [round(lenet[k].percent_weights_remaining, 1) for k in (1, 3, 7)] == [80.0, 51.3, 21.1]
    assert lenet[3].value == 0.9816
    assert 0 not in curve("lenet300", "plain", "reinit")
    assert curve("conv2", "plain", "ticket", ITERATION)[0].value == 2321.0
    assert curve("conv6", "plain", "random")[1].percent_weights_remaining == pytest.approx(84.89)
    vgg = curve("vgg19", "warmup", "reinit", ACCURACY)
    assert vgg[1].series == "rate 0.1, warmup 10K / random re-init"
    assert vgg[1].y_metric == "Test Accuracy (112K)"
    assert curve("vgg19", "rewind", "ticket") == {}
    for k, row in curve("vgg19", "high", "ticket").items():
        assert 100 * 0.8**k == pytest.approx(row.percent_weights_remaining, rel=0.01, abs=0.03)  # reading error


def outcomes(ticket, reinit, random=40.0, high=0.0):
    """Dense 50; what a rewound ticket, its re-initialised mask and random sparsity reach; `high`: the ticket's gain at
    the high rate. Seeds differ by a point; tickets stop an epoch sooner."""

    def of(spec):
        root = spec if isinstance(spec, Search) else spec.ticket.search
        if isinstance(spec, Search):
            return Outcome(50.0 + spec.seed, early_stop=3)
        deep_high = root.model == "vgg19" and root.recipe.lr == 0.1 and not root.recipe.warmup
        value = ticket if is_ticket(spec) else random if spec.ticket.method == "random-weights" else reinit
        if deep_high and is_ticket(spec) and not spec.rewind:
            value = reinit + high
        return Outcome(value + root.seed, early_stop=2)

    return of


def judged(tmp_path, given, scale=FEW):
    store = Store(tmp_path)
    write(store, [r.spec for r in runs.planned(scale)], given)
    table = tabulated(ITEM, scale, tmp_path)
    return table, {name: c.verdict for name, c in claims(ITEM, scale, table).items()}


def test_the_papers_own_effects_of_lenet_by_hand(tmp_path):
    """Read from the figures' points by their level: 51.3, 21.1, 7.0, 3.6 and 1.9 % of the weights, and 80 to 21 %."""
    rows = csv.DictReader((published.FOLDER / "lth_figures_vector_exact.csv").read_text().splitlines())
    shown = {
        (r["figure"], r["series"], round(float(r["percent_weights_remaining"]), 1), r["y_metric"]): float(r["value"])
        for r in rows
        if not r["note"].startswith("line-clip")
    }

    def at(series, levels, metric=ACCURACY, figure="Fig4"):
        return [shown[figure, series, level, metric] for level in levels]

    controlled, larger = (51.3, 21.1, 7.0, 3.6, 1.9), (80.0, 64.1, 51.3, 41.1, 32.9, 26.3, 21.1)
    ticket, reinit = "Winning Ticket (Iterative)", "Random Reinit (Iterative)"
    (dense,), (steps,) = at(ticket, [100.0]), at(ticket, [100.0], ITERATION)
    expected = {
        "tickets-beat-reinit": 100 * (mean(at(ticket, controlled)) - mean(at(reinit, controlled))),
        "tickets-match-dense": 100 * (mean(at(ticket, larger)) - dense),
        "tickets-learn-faster": steps - mean(at(ticket, larger, ITERATION)),
    }
    item, scale = EXPERIMENTS.load("lottery_lenet300"), load_scale("paper")
    found = {c.name: c.printed for c in item.claims(scale, item.table(scale, Store(tmp_path)))}
    for name, effect in expected.items():
        assert found[name] == pytest.approx(effect, abs=1e-6)


ALL = ("tickets-beat-reinit", "tickets-beat-random-sparsity", "tickets-match-dense", "tickets-learn-faster")
RATES = ("low-rate-finds-tickets", "high-rate-loses-tickets", "warmup-finds-tickets", "early-rewinding-finds-tickets")


def test_the_papers_outcome_supports_its_claims(tmp_path):
    table, verdicts = judged(tmp_path, outcomes(ticket=55.0, reinit=45.0))
    assert verdicts == dict.fromkeys((*ALL, *RATES), SUPPORTED)
    row = table[
        (table.model == "lenet300") & (table.series == "ticket") & (table["round"] == 2) & (table.seed == 1)
    ].iloc[0]
    assert row.remaining == pytest.approx(0.64)
    assert row.early_stop_iteration == 2 * -(-60 // RECIPE.batch_size)
    assert row.early_stop_accuracy == row.last_accuracy == 56.0


def test_the_opposite_outcome_refutes_them(tmp_path):
    _, verdicts = judged(tmp_path, outcomes(ticket=42.0, reinit=45.0, random=60.0, high=5.0))
    assert verdicts == {**dict.fromkeys((*ALL, *RATES), NOT_SUPPORTED), "tickets-learn-faster": SUPPORTED}


def test_a_single_seed_judges_nothing(tmp_path):
    one = with_settings(TINY, ITEM, replace(TWO_SEEDS, seeds=1, deep_seeds=1))
    _, verdicts = judged(tmp_path, outcomes(ticket=55.0, reinit=45.0), one)
    assert set(verdicts.values()) == {INCONCLUSIVE}


def test_nothing_run_is_not_run(tmp_path):
    _, verdicts = judged(tmp_path, lambda _: None)
    assert set(verdicts.values()) == {NOT_RUN}


PROTOCOL = runs.Grid(5, 1, lenet300=replace(PANEL, rounds=9, control_rounds=(3, 7), validation=10))
FIVE = with_settings(replace(COMPARABLE, seeds=(0, 1, 2, 3, 4)), ITEM, PROTOCOL)
SCATTER = (-0.02, -0.01, 0.0, 0.01, 0.02)
"""By seed: mean 0, standard deviation 0.01581, so the t-interval of five is +-0.01963 (t(4) = 2.776)."""


def at_paper_scale(spec):
    """Tickets of rounds 1 to 7 are as accurate as dense on average (+0.05 a round), those of rounds 8 and 9 are ruins;
    fresh weights lose 0.3 points to the ticket, random sparsity only scatters about it. Tickets stop sooner."""
    if isinstance(spec, Search):
        return Outcome(90.0 + spec.seed, early_stop=3)
    number, seed = spec.ticket.round, spec.ticket.search.seed
    ticket = 90.0 + seed + SCATTER[seed] + (0.05 * (number - 4) if number <= 7 else -40.0)
    if spec.ticket.method == "random-weights":
        return Outcome(ticket - SCATTER[seed], early_stop=3)
    return Outcome(ticket if is_ticket(spec) else ticket - 0.3, early_stop=2 if is_ticket(spec) else 3)


def protocol_claims(tmp_path, given):
    store = Store(tmp_path)
    write(store, [r.spec for r in runs.planned(FIVE)], given)
    found = EXPERIMENTS.load("lottery_lenet300").claims(FIVE, tabulated("lottery_lenet300", FIVE, tmp_path))
    return {c.name: c for c in settled(found, comparable=True)}


def test_lenet_is_judged_by_its_protocol(tmp_path):
    found = protocol_claims(tmp_path, at_paper_scale)
    assert tuple(found) == ALL
    reinit, random, dense, faster = found.values()
    assert [c.verdict for c in found.values()] == [SUPPORTED, EQUIVALENT, f"{SUPPORTED}, {EQUIVALENT}", SUPPORTED]
    assert [c.found.bound for c in found.values()] == [0.0, 0.0, -0.1, 0.0]
    assert reinit.found.difference.mean == pytest.approx(0.3)
    assert random.found.difference.mean == pytest.approx(0.0, abs=1e-9)
    assert random.found.difference.half == pytest.approx(2.776 * 0.0158114 / 5**0.5, rel=1e-3)
    assert dense.found.difference.mean == pytest.approx(0.0, abs=1e-9)  # rounds 8 and 9 are not in it
    assert faster.found.difference.mean == -(-60 // RECIPE.batch_size)  # one epoch, in iterations
    assert (faster.found.unit, {c.family for c in found.values()}) == ("iterations", {rules.FAMILY})
    assert (random.p_holm, dense.p_holm) == (pytest.approx(1.0), pytest.approx(2 * dense.found.p))  # of four: the third
    assert [c.points_to for c in found.values()] == ["for", "mixed", "for", "for"]


def test_a_seed_without_all_its_rounds_is_left_out_and_a_diverged_run_decides_nothing(tmp_path):
    def missing(spec):
        gone = is_ticket(spec) and spec.ticket.round == 7 and spec.ticket.search.seed == 4
        return None if gone else at_paper_scale(spec)

    def diverged(spec):
        return Outcome(None, "diverged") if missing(spec) is None else at_paper_scale(spec)

    lost, broken = (protocol_claims(tmp_path / f.__name__, f) for f in (missing, diverged))
    assert {c.n for c in (*lost.values(), *broken.values())} == {4}
    assert lost["tickets-beat-reinit"].verdict == SUPPORTED
    assert {c.verdict for c in broken.values()} == {INCONCLUSIVE}
    said = [c.evidence.removesuffix("; the whole interval is above 0") for c in broken.values()]
    assert all(text.endswith("1 of its trainings diverged") for text in said)


def test_other_networks_keep_their_claims_beside_the_protocol(tmp_path):
    scale = with_settings(FIVE, ITEM, replace(PROTOCOL, conv2=PANEL, vgg19=PANEL))
    found = claims(ITEM, scale, tabulated(ITEM, scale, tmp_path))
    assert tuple(found) == (*ALL, *(f"conv-{name}" for name in ALL), *RATES)
    assert {c.verdict for c in found.values()} == {NOT_RUN}


def test_moderate_and_late_rounds():
    assert [rules.moderate(PANEL, k) for k in (1, 7, 8)] == [True, True, False]  # 0.8^7 = 0.21
    assert [rules.late(PANEL, k) for k in (1, 2, 3)] == [False, True, True]


def test_cells_compare_percents_at_the_papers_levels(tmp_path):
    store, scale = Store(tmp_path), with_settings(COMPARABLE, ITEM, TWO_SEEDS)
    write(store, [r.spec for r in runs.planned(scale)], outcomes(ticket=97.16, reinit=96.0))
    found = EXPERIMENTS.load(ITEM).cells(scale, tabulated(ITEM, scale, tmp_path))
    cells = {c.cell: c for c in found}
    cell = cells["LeNet-300-100: ticket, round 3: accuracy"]
    assert (cell.published, cell.unit) == (98.16, "%")  # the curve's file has 0.9816
    assert cell.note == "trials of the paper: 98.07 to 98.21"
    assert cell.measured.mean == pytest.approx(97.66)  # 97.16 and 98.16
    assert cell_verdict(cell, comparable=True) == "too imprecise to say"
    assert cells["LeNet-300-100: dense, round 0: early-stop iteration"].measured.mean == 3
    assert "VGG-19, high: reinit, round 1: accuracy" in cells
    assert "VGG-19, high: reinit, round 0: accuracy" not in cells


def test_a_figure_is_drawn_from_what_there_is(tmp_path):
    from matplotlib import pyplot as plt

    table, _ = judged(tmp_path, outcomes(55.0, 45.0))
    figure = EXPERIMENTS.load(ITEM).figure(FEW, table)
    drawn = figure.axes[0].containers
    assert len(drawn) == 3
    assert drawn[0][0].get_xdata() == pytest.approx([80, 64, 51.2])
    assert drawn[0][0].get_ydata() == pytest.approx([5.0] * 3)  # 55 and 56 minus 50 and 51
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "."]
    assert list(dots[0].get_ydata()) == [5.0, 5.0]
    low, high = figure.axes[0].get_ylim()
    assert all(low < y < high for line in dots for y in line.get_ydata())
    plt.close(figure)


def test_lenets_points_agree_by_the_plans_rule():
    """Three seeds beside the mean of five trials: t(2) s sqrt(1/3 + 1/5), with s = 0.1 and a margin of 0.1 points."""
    rows = [
        {"seed": s, "model": "lenet300", "setting": "plain", "series": "ticket", "round": 3, "key": f"k{s}"}
        | {"early_stop_accuracy": accuracy, "early_stop_iteration": 1000.0}
        for s, accuracy in enumerate((98.1, 98.2, 98.3))
    ]
    accuracy, iteration = point_cells(pd.DataFrame(rows), "lenet300", "plain", "ticket", 3, "")
    assert accuracy.tolerance.value == pytest.approx(4.302653 * 0.1 * math.sqrt(1 / 3 + 1 / 5))
    assert accuracy.tolerance.imprecise  # more than twice the margin
    assert iteration.tolerance == (pytest.approx(0.1 * iteration.published), False)

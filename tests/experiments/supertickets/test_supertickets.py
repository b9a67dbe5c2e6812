"""The item supertickets: its arms, its table and its claims, of records whose outcomes are chosen here."""

from dataclasses import replace

import pytest
from scipy.stats import ttest_1samp
from synthetic import TINY, Outcome, claims, empty_table, joint, tabulated, trained

from ebreplicate.errors import UserError
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.supertickets.runs import (
    AFTER,
    ARMS,
    FREED,
    FROZEN,
    JOINT,
    JOINT_RETRAINED,
    RETRAINED,
    SUPERNET,
    grid_of,
    planned,
)
from ebreplicate.experiments.supertickets.table import EPOCH, ROUND, TRAINING
from ebreplicate.specs.scale import load_scale
from ebreplicate.specs.spec import Retrain, Search
from ebreplicate.store.store import Store

ITEM = "supertickets"
FIVE = replace(TINY, items={**TINY.items, ITEM: {**TINY.items[ITEM], "seeds": [0, 1, 2, 3, 4]}})
WORTH = {JOINT: 60, AFTER: 40, RETRAINED: 60.3, FROZEN: 61}
LEFT = {JOINT: [100, 60, 20, 10], AFTER: [100, 90, 80, 8]}
"""Multiply-adds of an image's forward pass that every epoch trains with, the ticket's last."""


def accuracy(run):
    """The arm's, a scatter of seeds that the arms share, and a little of its own."""
    return WORTH.get(run.arm, 50) + run.seed + 0.1 * ((3 * run.seed + len(run.arm)) % 5)


def filled(root, scale=FIVE, outcome=accuracy):
    store = Store(root)
    for run in planned(scale):
        found = outcome(run)
        record = trained(found if isinstance(found, Outcome) else Outcome(found))
        if isinstance(run.spec, Search):
            back = [None, 0.2 + 0.01 * run.seed, 0.4] if run.arm == JOINT else [None]
            record["metrics"] |= joint(LEFT.get(run.arm, [100, 100, 100, 50]), back)
        store.write(run.spec, record)
    return tabulated(ITEM, scale, root)


def test_the_arms_differ_in_what_the_protocol_says_and_in_nothing_else():
    runs = {run.arm: run.spec for run in planned(load_scale("paper")) if run.seed == 0}
    assert list(runs) == list(ARMS)
    joint, once = runs[JOINT], runs[AFTER]
    assert (joint.joint.target, joint.joint.interval, joint.joint.increment, joint.recipe.epochs) == (0.9, 25, 0.1, 350)
    assert runs[SUPERNET] == replace(joint, joint=replace(joint.joint, target=0.0))
    assert once == replace(joint, joint=replace(joint.joint, interval=350, increment=0.9))
    assert [e for e in range(1, 351) if once.joint.is_round(e)] == [350]
    assert {runs[arm].joint.connectivity for arm in (FROZEN, FREED)} == {"zeroed", "reset"}
    for arm, origin in ((RETRAINED, AFTER), (JOINT_RETRAINED, JOINT)):
        assert (runs[arm].ticket.search, runs[arm].recipe) == (runs[origin], joint.recipe)


def test_quick_trains_the_arms_of_the_claims():
    quick = planned(load_scale("quick"))
    assert {run.arm for run in quick} == {JOINT, FROZEN, AFTER, RETRAINED}
    assert {run.seed for run in quick} == {0, 1, 2, 3, 4}
    spec = quick[0].spec
    assert (spec.train_images, spec.evaluation, spec.width, spec.joint.target) == (5000, "unseen", 1.0, 0.9)
    rates = [spec.recipe.lr_at(e) for e in (0, spec.recipe.epochs - 1)]
    assert rates[1] / rates[0] == pytest.approx(0.97 ** (350 / 2.4), rel=0.1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"arms": ("two in one",)}, r"Grid\.arms: unknown name 'two in one'; did you mean 'two-in-one'"),
        ({"seeds": (1, 1)}, r"Grid\.seeds: repeats a seed"),
        ({"joint": replace(grid_of(TINY).joint, target=0.0)}, r"Grid\.joint\.target: must be positive"),
    ],
)
def test_a_wrong_grid_is_refused(change, said):
    with pytest.raises(UserError, match=said):
        replace(grid_of(TINY), **change)


def test_the_table_adds_up_what_was_trained(tmp_path):
    table = filled(tmp_path)
    rows = table[(table.kind == TRAINING) & (table.seed == 1)].set_index("arm")
    images = 60
    once = 3 * (100 + 90 + 80) * images / 1e9
    assert rows.training_products[JOINT] == pytest.approx(3 * (100 + 60 + 20) * images / 1e9)
    assert rows.training_products[AFTER] == pytest.approx(once)
    assert rows.training_products[RETRAINED] == pytest.approx(once + 3 * 8 * 8 * images / 1e9)  # eight epochs
    assert rows.unmasked_weights[RETRAINED] == rows.unmasked_weights[AFTER] == 8
    assert [*rows.loc[JOINT, ["channels_3x3", "channels_5x5", "channels_7x7"]]] == [6, 12, 18]
    assert rows.returned[JOINT] == pytest.approx((21 + 40) / 2)
    back = table[(table.kind == ROUND) & (table.seed == 1)]
    assert [*zip(back.arm, back.epoch, back.returned, strict=True)] == [(JOINT, 2, 21.0), (JOINT, 3, 40.0)]
    assert [*table[(table.kind == EPOCH) & (table.arm == JOINT) & (table.seed == 0)].unmasked_weights] == LEFT[JOINT]


def test_the_claims_are_what_another_test_of_the_same_numbers_says(tmp_path):
    found = claims(ITEM, FIVE, filled(tmp_path))
    by_arm = {arm: [accuracy(r) for r in planned(FIVE) if r.arm == arm] for arm in ARMS}
    d = [a - b for a, b in zip(by_arm[JOINT], by_arm[AFTER], strict=True)]
    main = found["st-beats-search-prune"]
    assert main.found.difference.mean == pytest.approx(sum(d) / 5)
    assert main.found.p == pytest.approx(ttest_1samp(d, 0).pvalue)
    words = {name: claim.verdict.partition(",")[0] for name, claim in found.items()}
    assert words["st-beats-search-prune"] == words["st-matches-retrained"] == words["st-weights-return"] == "supported"
    assert words["st-changing-masks"] == "not supported"
    back = found["st-weights-return"].found
    assert back.difference.mean == pytest.approx((22 + 40) / 2)
    cost = found["st-half-the-training"].found
    assert cost.difference.mean == pytest.approx((0.5 * (270 + 8 * 8) - 180) * 3 * 60 / 1e9)
    assert len({claim.family for claim in found.values()}) == 2
    assert all("docs/supertickets.md" in claim.rule for claim in found.values())


def test_a_diverged_run_decides_nothing_and_two_seeds_are_too_few(tmp_path):
    def one_diverges(run):
        return Outcome(None, "diverged") if (run.arm, run.seed) == (FROZEN, 4) else accuracy(run)

    found = claims(ITEM, FIVE, filled(tmp_path / "one", outcome=one_diverges))
    assert (found["st-changing-masks"].verdict, found["st-changing-masks"].n) == ("inconclusive", 4)
    assert "1 run diverged" in " ".join(found["st-changing-masks"].found.remarks)
    assert found["st-beats-search-prune"].n == 5
    assert {c.verdict for c in claims(ITEM, TINY, filled(tmp_path / "two", TINY)).values()} == {"too few seeds"}
    assert {c.verdict for c in claims(ITEM, TINY, empty_table(ITEM, TINY)).values()} == {"not run"}


def test_the_figure_has_an_arm_a_row_and_a_line_a_search(tmp_path):
    table = filled(tmp_path)
    left, middle, right = EXPERIMENTS.load(ITEM).figure(FIVE, table).axes
    assert [t.get_text() for t in left.get_yticklabels()] == list(ARMS)
    assert len(left.containers) == len(ARMS)
    assert len(middle.lines) == sum(not isinstance(r.spec, Retrain) for r in planned(FIVE) if r.seed == 0)
    assert [line.get_label() for line in right.lines] == [JOINT]
    none = table[table.kind == TRAINING]
    assert "not run" in EXPERIMENTS.load(ITEM).figure(FIVE, none).axes[2].texts[0].get_text()

"""Accuracy against FLOPs beyond Table 2: which networks carry which methods, and what lottery tickets are charged."""

import os
from dataclasses import fields, replace
from itertools import pairwise

import pandas as pd
import pytest
from synthetic import COMPARABLE, Outcome, claims, tabulated, write

from ebreplicate.errors import UserError
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.accuracy_vs_flops.pareto import points
from ebreplicate.experiments.accuracy_vs_flops.plot import published
from ebreplicate.experiments.accuracy_vs_flops.runs import (
    CROP,
    LOTTERY,
    SPARSE,
    Grid,
    crop_trainings,
    grid_of,
    lottery_tickets,
    sparse_trainings,
)
from ebreplicate.experiments.table2.cells import printed
from ebreplicate.experiments.table2.runs import BLOCKS, METHODS
from ebreplicate.specs.graph import Plan, parents
from ebreplicate.specs.scale import load_scale
from ebreplicate.specs.spec import Retrain, Search, Sparse, key
from ebreplicate.store.store import Store

ITEM = "accuracy_vs_flops"
SMOKE = replace(COMPARABLE, name="smoke")


def outcome(spec):
    """Dense training costs 100; a ticket of iterative pruning another 100 a round; EB Train 60."""
    if isinstance(spec, Sparse):
        return Outcome(50.0, flops=30.0)
    if isinstance(spec, Search):
        return Outcome(50.0, flops=100.0)
    if spec.ticket.over_weights:
        return Outcome(50.0, flops=100.0 * (1 + spec.ticket.round))
    return Outcome(50.0, flops=60.0)


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)
    write(Store(tmp_path), EXPERIMENTS.load(ITEM).runs(SMOKE), outcome)
    return tabulated(ITEM, SMOKE, tmp_path)


def test_at_paper_scale_every_block_has_every_method():
    """The paper's rows, the controls, RigL's family and iterative lottery tickets, on four networks and datasets; and
    EarlyCroP on one."""
    scale = load_scale("paper")
    table = EXPERIMENTS.load(ITEM).table(scale, Store("/nonexistent"))
    for dataset, model in BLOCKS:
        here = table[(table.dataset == dataset) & (table.model == model)]
        crop = CROP if (dataset, model) == ("cifar10", "vgg16") else ()
        assert set(here.method) == {"Unpruned", *METHODS, *SPARSE, LOTTERY, *crop}
        assert set(here.groupby("method").seed.nunique()) == {3}
    runs = EXPERIMENTS.load(ITEM).runs(scale)
    assert {key(s) for s in runs} == set(table.key)


def test_lottery_tickets_are_rounds_of_train_prune_and_rewind():
    for run in lottery_tickets(load_scale("paper")):
        ticket = run.spec.ticket
        assert run.ratio == pytest.approx(1 - 0.8**ticket.round)
        assert (run.spec.init, run.spec.rewind, ticket.method) == ("rewind", 0, "magnitude")
        assert run.spec.recipe == ticket.search.recipe == load_scale("paper").recipe
    rounds = [r.spec for r in lottery_tickets(load_scale("paper"))][:7]
    assert [s.ticket.round for s in rounds] == [1, 2, 3, 4, 5, 6, 7]
    assert all(later.ticket.after == earlier for earlier, later in pairwise(rounds))
    chain, spec = 0, rounds[-1]
    while not isinstance(spec, Search):
        (spec,), chain = parents(spec), chain + 1
    assert chain == 14  # a ticket and a training a round


def test_the_first_round_at_table_2s_ratio_is_its_one_shot_ticket():
    """Smoke removes half a round: the run is shared, and only the second round is trained for this item."""
    scale = load_scale("smoke")
    first, second = (r.spec for r in lottery_tickets(scale))
    others = {n for i in EXPERIMENTS if i != ITEM for n in Plan(EXPERIMENTS.load(i).runs(scale)).runs}
    assert key(first) in others
    assert key(second) not in others


def test_sparse_trainings_of_rigl_family_are_shared_and_further_blocks_follow():
    scale = SMOKE
    family = {key(s) for s in EXPERIMENTS.load("rigl_family").runs(scale)}
    runs = sparse_trainings(scale)
    shared = {(r.dataset, r.model) for r in runs if key(r.spec) in family}
    own = {(r.dataset, r.model) for r in runs if key(r.spec) not in family}
    assert (shared, own) == ({("cifar10", "vgg16")}, {("cifar100", "vgg16")})
    assert {r.method for r in runs} == set(SPARSE)


@pytest.mark.parametrize("scale", ["smoke", "quick", "paper"])
def test_earlycrops_trainings_are_those_of_its_own_item(scale):
    own = {key(s) for s in EXPERIMENTS.load("early_crop").runs(load_scale(scale))}
    runs = crop_trainings(load_scale(scale))
    assert {r.method for r in runs} == {"EarlyCroP", "CroP"}
    assert {key(r.spec) for r in runs} <= own
    assert {(r.spec.ticket.method, r.spec.schedule, r.ratio) for r in runs} == {("crop", "continue", 0.5)}


def test_a_lottery_ticket_costs_a_dense_training_a_round(table):
    tickets = table[table.method == LOTTERY]
    assert tickets.ratio.tolist() == [0.5, 0.75]
    assert tickets.flops_ratio.tolist() == [2.0, 3.0]
    assert set(tickets.group) == {"lottery"}
    found = {p[:2]: p[2] for p in points(table, "cifar10", "vgg16")}
    assert (found[LOTTERY, 0.5], found[LOTTERY, 0.75]) == (200, 300)


def test_every_method_that_has_run_is_named_and_smoke_has_no_published_points(table):
    """Of every method with a cost (what is written here for SNIP has none), and of two."""
    table = table[table.flops_ratio.notna()]
    for rows in (table, table[table.method.isin(["Unpruned", "EB Train", LOTTERY])]):
        figure = EXPERIMENTS.load(ITEM).figure(SMOKE, rows)
        named = {text.get_text() for axis in figure.axes for text in axis.texts}
        assert named == {*rows.method} - {"Unpruned"}
        assert not any("paper" in text.get_text() for text in figure.legends[0].get_texts())


def test_the_papers_points_are_beside_its_own_dense_network():
    """EB Train at 50 % costs 215 of SNIP's 302 units; Figure 1's dense VGG16 has 93.36 %."""
    found = published("cifar10", "vgg16")
    cost, value = found["EB Train", 0.5]
    assert cost == pytest.approx(215 / 302)
    cells = printed("cifar10", "vgg16")
    assert value == pytest.approx(cells["EB Train", 0.5, "retrain_top1"] - 93.36)
    assert found["LT (one-shot)", 0.3][0] == pytest.approx(605 / 302)
    assert published("cifar10", "preresnet101") == {}


def test_eb_train_against_iterative_lottery_tickets(table):
    two = pd.concat([table, table.assign(seed=1)])  # a second seed with the same outcomes, so that a verdict is due
    claim = claims(ITEM, SMOKE, two)["pareto-dominates-lottery"]
    assert (claim.verdict, claim.evidence) == ("supported", "2 of 2 points, test images")
    two.loc[(two.method == LOTTERY) & (two.ratio == 0.75), "last_accuracy"] = 90.0
    claim = claims(ITEM, SMOKE, two)["pareto-dominates-lottery"]
    assert (claim.verdict, claim.evidence) == (
        "not supported",
        "1 of 2 points, test images; not: vgg16 cifar10 LT (iterative) 75%",
    )
    assert claims(ITEM, SMOKE, table)["pareto-dominates-lottery"].verdict == "inconclusive"  # one seed


def test_a_scale_that_evaluates_unseen_images_is_judged_on_those(table):
    two = pd.concat([table, table.assign(seed=1)])
    two["unseen_accuracy"] = two.last_accuracy - 40.0 * (two.method != LOTTERY)
    claim = claims(ITEM, SMOKE, two)["pareto-dominates-lottery"]
    assert (claim.verdict, claim.evidence.partition(";")[0]) == ("not supported", "0 of 2 points, unseen images")


@pytest.mark.parametrize(
    ("field", "value"),
    [("seeds", 0), ("sparse", ["vgg16"]), ("lottery", ["vgg_cifar10"]), ("lottery_ratio", 1.0), ("lottery_rounds", 0)],
)
def test_a_bad_setting_is_named(field, value):
    good = grid_of(SMOKE)
    body = {f.name: getattr(good, f.name) for f in fields(Grid)} | {field: value}
    with pytest.raises(UserError, match=rf"Grid\.{field}"):
        Grid(**body)


def test_every_retrain_of_the_item_starts_from_a_search_of_the_same_recipe():
    retrains = [s for s in EXPERIMENTS.load(ITEM).runs(load_scale("quick")) if isinstance(s, Retrain)]
    assert all(s.ticket.search.recipe == replace(s.recipe, swa_start=None) for s in retrains)

"""EarlyCroP's rules for when to prune: by hand, against a second implementation, and through a search."""

import copy
import shutil

import numpy as np
import pytest
import torch
from helpers import CPU, NOWHERE, tiny_search
from hypothesis import given, settings
from hypothesis import strategies as st

from ebreplicate import stages
from ebreplicate.errors import UserError
from ebreplicate.pruning.displacement import EarlyCroP, displacement_epoch, growth
from ebreplicate.pruning.methods.crop import crop
from ebreplicate.runner.inputs import load_mask, load_rows
from ebreplicate.specs.graph import Plan
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.spec import Recipe, Retrain, Ticket, key
from ebreplicate.stages.draw import context_of
from ebreplicate.store.store import Store
from ebreplicate.training.displacement import Displacement
from ebreplicate.training.loop import State
from ebreplicate.training.observers import displacement_detectors
from ebreplicate.verify.draws import draw_problems
from ebreplicate.verify.trainings import search_problems

RECIPE = Recipe(epochs=6, batch_size=20, milestones=(2,), lr_decay=0.01, augment="none")
SEARCH = tiny_search(RECIPE)
AT_RULE = Ticket(SEARCH, 0.5, "crop-code", "crop")
KEEP = Keep(crop={"crop-code:crop:0.5", "crop:slimming:0.3"})


def rows(*from_each):
    """Rows of a network of norm 2 before training and norm 4 after the first epoch."""
    norms = [2.0, 4.0, *[5.0] * (len(from_each) - 2)]
    return torch.tensor([[start, first, norm] for (start, first), norm in zip(from_each, norms, strict=True)])


MOVING = rows((0, 0), (1, 0), (1.6, 2), (2, 3), (2.2, 3.9), (2.3, 4.1), (2.3, 4.1))
"""From the start d is 0, .5, .8, 1, 1.1, 1.15, 1.15; from the first epoch 0, .5, .75, .975, 1.025, 1.025 and d_2 .5."""


@pytest.mark.parametrize(
    ("rule", "ratio", "weights", "epoch"),
    [
        ("crop", 0.3, False, 1),  # 0.5 < 0.7
        ("crop", 0.5, False, 2),  # not 0.5 < 0.5; 0.3 is
        ("crop", 0.75, True, 3),  # 0.2 < 0.25
        ("crop", 0.98, True, None),  # 0.05 is not below 0.02, and the last epoch is not asked
        ("crop-code", 0.3, True, 3),  # 0.25 < 0.5 x 0.7
        ("crop-code", 0.5, True, 4),  # not 0.25 < 0.25; 0.225 is
        ("crop-code", 0.4, False, 4),  # 0.5 x (0.6 - 0.1) is 0.25: not at 3
        ("crop-code", 0.7, False, 5),  # 0.5 x 0.2
        ("crop-code", 0.9, False, None),  # the threshold is 0: a growth of exactly nothing is not below it
        ("crop-code", 0.95, False, None),
    ],
)
def test_rules_by_hand(rule, ratio, weights, epoch):
    assert displacement_epoch(MOVING, ratio, rule, weights) == epoch


def second(table, ratio, rule, over_weights):
    """The rules once more, over whole arrays."""
    ref = 1 if rule == "crop-code" else 0
    d = table[:, ref] / table[ref, 2]
    share = 1 - ratio if over_weights or rule == "crop" else min(0.9 - ratio, 0.99)
    threshold = share * (d[2] if rule == "crop-code" and len(d) > 2 else 1.0)
    hits = [t for t in range(3 if ref else 1, len(d) - 1) if abs(d[t] - d[t - 1]) < threshold]
    return hits[0] if hits else None


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=3, max_size=9),
    st.sampled_from([0.2, 0.35, 0.45, 0.85]),
    st.sampled_from(["crop", "crop-code"]),
    st.booleans(),
)
def test_rules_against_a_second_implementation(moves, ratio, rule, over_weights):
    table = torch.tensor([(a + 0.1, b + 0.2, 7.0) for a, b in moves], dtype=torch.float64)
    table[0, :2], table[1, 1] = 0.0, 0.0
    assert displacement_epoch(table, ratio, rule, over_weights) == second(table, ratio, rule, over_weights)


def test_growth_is_what_the_threshold_is_held_against():
    assert growth(MOVING, "crop")[1:4] == pytest.approx([0.5, 0.3, 0.2])
    assert growth(MOVING, "crop-code")[:2] == [None, None]
    assert growth(MOVING, "crop-code")[3:6] == pytest.approx([0.5, 0.45, 0.1])
    assert EarlyCroP("crop-code", 0.5).share == pytest.approx(0.4)


def test_an_unknown_rule_is_named():
    with pytest.raises(UserError, match="rule: unknown name 'crop-cod'; did you mean 'crop-code'"):
        EarlyCroP("crop-cod", 0.5)


@pytest.mark.parametrize("given", [torch.rand(100), torch.tensor(0.5), torch.rand(1, 3)], ids=["scores", "one", "rows"])
def test_what_is_no_row_is_refused(given):
    """The first three scores of a network were taken for a row."""
    detector = EarlyCroP("crop", 0.5)
    with pytest.raises(UserError, match=r"^row: expected the three numbers from_start, from_first, norm, got shape"):
        detector.update(given)
    assert detector.epoch == -1
    for entry in ("crop:0.5", "crop:crop:half"):
        with pytest.raises(UserError, match="--keep-crop: expected RULE:METHOD:RATIO"):
            displacement_detectors(Keep(crop={entry}))


def test_distances_are_those_of_all_parameters():
    model = torch.nn.Linear(2, 1)
    at = [(3.0, 4.0, 0.0), (3.0, 4.0, 2.0), (3.0, 7.0, 6.0)]
    recorder = Displacement()
    for epoch, (a, b, bias) in enumerate(at):
        model.weight.data, model.bias.data = torch.tensor([[a, b]]), torch.tensor([bias])
        recorder(State(model, RECIPE, epoch, 0))
        recorder = Displacement(copy.deepcopy(recorder.state_dict()))  # interrupted after every epoch
    expected = [[0, 0, 5], [2, 0, 29**0.5], [45**0.5, 5, 94**0.5]]
    assert recorder.table().numpy() == pytest.approx(np.array(expected))


def test_a_plan_has_the_displacement_recorded_for_every_draw_by_a_rule():
    plan = Plan([Retrain(AT_RULE, RECIPE, schedule="continue"), Ticket(SEARCH, 0.3, "crop")])
    assert plan.keep[key(SEARCH)] == KEEP
    assert Keep.from_dict(KEEP.to_dict()) == KEEP == Keep() | KEEP
    assert Plan([Ticket(SEARCH, 0.5, 0, "crop")]).keep[key(SEARCH)] == Keep({0})


@pytest.mark.parametrize(
    ("ticket", "message"),
    [
        (lambda: Ticket(SEARCH, 0.5, 0), "Ticket.at: draw epoch must lie in 1..6"),
        (lambda: Ticket(SEARCH, 0.5, -1, "crop"), "Ticket.at: draw epoch must lie in 0..6"),
        (lambda: Ticket(SEARCH, 0.5, "crops"), "Ticket.at"),
    ],
)
def test_bad_tickets_are_named(ticket, message):
    with pytest.raises(UserError, match=message):
        ticket()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    found = Store(tmp_path_factory.mktemp("results"))
    stages.search(SEARCH, found, NOWHERE, CPU, KEEP | Keep({0}))
    return found


def test_a_search_leaves_the_displacement_and_the_weights_where_rules_fire(store):
    table = np.load(store.folder(SEARCH) / "displacement.npy")
    assert (table.shape, table.dtype) == ((7, 3), np.float32)
    fired = {displacement_epoch(table, 0.5, "crop-code"), displacement_epoch(table, 0.3, "crop")}
    assert None not in fired
    names = {f.name for f in (store.folder(SEARCH) / "weights").iterdir()}
    best = store.read(SEARCH)["metrics"]["best_epoch"]
    assert names == {f"epoch_{e:04d}.pt" for e in {0, best, *fired}}
    assert "displacement.npy" in store.read(SEARCH)["files"]
    assert list(search_problems(SEARCH, store.read(SEARCH), store)) == []


def test_a_ticket_is_drawn_where_the_rule_fires_and_trains_on(store):
    record = stages.draw(AT_RULE, store, NOWHERE)
    table = np.load(store.folder(SEARCH) / "displacement.npy")
    epoch = displacement_epoch(table, 0.5, "crop-code")
    assert record["metrics"]["epoch"] == record["metrics"]["emergence"]["crop-code"] == epoch
    assert record["cost"]["draw_flops"] > 12 * store.read(SEARCH)["cost"]["forward_flops"]["authors"] * 60
    assert list(draw_problems(AT_RULE, record, store)) == []
    rows = load_rows(AT_RULE, store)
    context = context_of(AT_RULE, rows, epoch, store, NOWHERE)
    assert (crop(context) & ~load_mask(AT_RULE, store, rows.scores.shape[1])).sum() == 0  # but for rescued channels
    named = Retrain(AT_RULE, RECIPE, schedule="continue")
    assert stages.retrain(named, store, NOWHERE, CPU)["metrics"]["epochs"] == 6 - epoch
    numbered = Retrain(Ticket(SEARCH, 0.5, epoch, "crop"), RECIPE, schedule="continue")
    stages.draw(numbered.ticket, store, NOWHERE)
    assert stages.retrain(numbered, store, NOWHERE, CPU)["trained_as"] == key(named)


def test_the_untrained_network_can_be_pruned_by_gradients(store):
    ticket = Ticket(SEARCH, 0.5, 0, "crop")
    record = stages.draw(ticket, store, NOWHERE)
    assert (record["status"], record["metrics"]["epoch"]) == ("ok", 0)
    assert set(record["cost"]["search_flops"].values()) == {0}
    assert list(draw_problems(ticket, record, store)) == []


def test_a_search_that_recorded_nothing_is_trained_again_for_it(store, tmp_path):
    bare = Store(tmp_path / "bare")
    shutil.copytree(
        store.folder(SEARCH), bare.folder(SEARCH), ignore=shutil.ignore_patterns("weights", "displacement.npy")
    )
    assert stages.draw(AT_RULE, bare, NOWHERE)["status"] == "ok"
    again, first = ((s.folder(SEARCH) / "displacement.npy").read_bytes() for s in (bare, store))
    assert again == first
    assert not (bare.folder(SEARCH) / ".again").exists()

"""Taylor scores: what is recorded, that recording changes nothing, and tickets drawn from them and by the indicator."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import CPU, NOWHERE, TINY, digits, no_time_left, tiny_search
from torch import nn

from ebreplicate import cost, stages
from ebreplicate.errors import UserError
from ebreplicate.interrupt import Interrupted
from ebreplicate.pruning import EarlyBird, bn_widths, emergence_epoch, epi_epoch, global_mask
from ebreplicate.pruning.channels import batch_norms
from ebreplicate.pruning.indicator import GRADIENT
from ebreplicate.runner.inputs import load_mask, network
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.spec import Retrain, Ticket, key
from ebreplicate.store.store import Store
from ebreplicate.training.loop import Trainer, fit
from ebreplicate.training.observers import detectors
from ebreplicate.training.taylor import Taylor

RECIPE = replace(TINY, epochs=8, milestones=(2,), lr_decay=1e-6, l1=0.01)
"""The rate all but vanishes after two epochs, so that masks settle within eight."""
SEARCH = tiny_search(RECIPE)
KEEP = Keep({1}, {0.5}, {"taylor:0.3", "slimming:0.5"}, taylor=True)
WIDTHS = bn_widths(network(SEARCH))
N = sum(WIDTHS)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with one finished search that left Taylor scores, and the same search without in `plain`."""
    store = Store(tmp_path_factory.mktemp("results"))
    stages.search(SEARCH, store, NOWHERE, CPU, KEEP)
    return store


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("plain"))
    stages.search(SEARCH, store, NOWHERE, CPU, Keep({1}, {0.5}))
    return store


def array(store, name):
    return torch.from_numpy(np.load(store.folder(SEARCH) / f"{name}.npy"))


def test_the_score_of_a_channel_is_its_squared_first_order_change_of_the_loss():
    model, recorder = network(SEARCH), Taylor()
    trainer = Trainer(model, RECIPE, hooks=[recorder], steps_per_epoch=2)
    generator, expected = torch.Generator().manual_seed(0), torch.zeros(N)
    for step in range(2):
        x, y = torch.randn(20, 3, 32, 32, generator=generator), torch.arange(20) % 10
        twin = copy.deepcopy(model)
        nn.functional.cross_entropy(twin(x), y).backward()  # the loss alone, without the L1 term
        for i, (bn, at) in enumerate(zip(batch_norms(twin), np.cumsum([0, *WIDTHS]), strict=False)):
            for c in range(WIDTHS[i]):
                change = bn.weight[c] * bn.weight.grad[c] + bn.bias[c] * bn.bias.grad[c]
                expected[at + c] += change.item() ** 2 / 2  # mean over two steps
        trainer.step(x, y, step)
    recorder(None)
    assert recorder.rows[0].numpy() == pytest.approx(expected.numpy(), rel=1e-3, abs=1e-9)
    assert (recorder.rows[0] > 0).any()


def test_recording_changes_no_bit_of_the_training(store, plain):
    assert array(store, "scores").equal(array(plain, "scores"))
    with_rows, without = (s.read(SEARCH)["metrics"] for s in (store, plain))
    assert with_rows == without
    weights = [torch.load(s.folder(SEARCH) / "weights" / "epoch_0001.pt", weights_only=True) for s in (store, plain)]
    assert all(torch.equal(weights[0][k], weights[1][k]) for k in weights[0])


def test_a_search_leaves_a_row_an_epoch_only_if_asked(store, plain):
    rows = array(store, "taylor")
    assert (rows.shape, rows.dtype) == ((9, N), torch.float32)
    assert (rows[0] == 0).all()
    assert not global_mask(rows[0], 0.5).any()  # as of the untrained |gamma|
    assert (rows[1:] >= 0).all()
    assert all((row > 0).any() for row in rows[1:])
    assert not (plain.folder(SEARCH) / "taylor.npy").exists()


def test_weights_are_kept_where_each_importance_emerges(store):
    """By mask distance for every ratio, by the indicator for the methods that were named."""
    scores, rows = array(store, "scores"), array(store, "taylor")
    expected = {1, store.read(SEARCH)["metrics"]["best_epoch"]}
    expected |= {emergence_epoch(scores, 0.5), emergence_epoch(rows, 0.5)}
    expected |= {epi_epoch(scores, 0.5, WIDTHS), epi_epoch(rows, 0.3, WIDTHS, GRADIENT)}
    names = {f.name for f in (store.folder(SEARCH) / "weights").iterdir()}
    assert names == {f"epoch_{e:04d}.pt" for e in expected - {None}}


def test_a_taylor_ticket_keeps_the_highest_scores_of_its_epoch(store):
    ticket = Ticket(SEARCH, 0.5, 1, "taylor")
    record = stages.draw(ticket, store)
    mask, plain_mask = load_mask(ticket, store, N), global_mask(array(store, "taylor")[1], 0.5)
    assert (mask | plain_mask).equal(mask)
    assert int(mask.sum()) == int(plain_mask.sum()) + record["metrics"]["rescued_layers"]
    for piece, kept, scores in zip(
        plain_mask.split(WIDTHS), mask.split(WIDTHS), array(store, "taylor")[1].split(WIDTHS), strict=True
    ):
        if not piece.any():  # the best by its own importance is rescued
            assert kept.nonzero().flatten().tolist() == [int(scores.argmax())]


def test_an_indicator_ticket_is_drawn_where_it_fires_and_pays_for_every_check(store):
    scores = array(store, "scores")
    record = stages.draw(Ticket(SEARCH, 0.5, "epi"), store)
    epoch = epi_epoch(scores, 0.5, WIDTHS)
    assert record["metrics"]["epoch"] == record["metrics"]["emergence"]["epi"] == epoch == 7
    assert record["metrics"]["emergence"]["authors"] == emergence_epoch(scores, 0.5)
    assert record["cost"]["draw_flops"] == cost.detector_flops(N, 7)  # after each of epochs 1 to 7
    by_gradient = stages.draw(Ticket(SEARCH, 0.3, "epi", "taylor"), store)["metrics"]
    assert by_gradient["epoch"] == epi_epoch(array(store, "taylor"), 0.3, WIDTHS, GRADIENT)
    assert by_gradient["emergence"]["authors"] == emergence_epoch(array(store, "taylor"), 0.3)


def test_epi_and_its_epoch_are_trained_once(store):
    drawn = stages.draw(Ticket(SEARCH, 0.5, "epi"), store)
    numbered, named = (Retrain(Ticket(SEARCH, 0.5, at), TINY) for at in (drawn["metrics"]["epoch"], "epi"))
    stages.draw(numbered.ticket, store)
    trained = stages.retrain(named, store, NOWHERE, CPU)
    again = stages.retrain(numbered, store, NOWHERE, CPU)
    assert again["trained_as"] == key(named)
    assert (again["metrics"], again["cost"]["seconds"]) == (trained["metrics"], trained["cost"]["seconds"])


def test_a_search_that_did_not_record_taylor_scores_is_trained_again_for_them(plain, store):
    before = plain.read(SEARCH)
    assert not (plain.folder(SEARCH) / "taylor.npy").exists()
    assert stages.draw(Ticket(SEARCH, 0.5, 1, "taylor"), plain)["status"] == "ok"
    assert (plain.folder(SEARCH) / "taylor.npy").read_bytes() == (store.folder(SEARCH) / "taylor.npy").read_bytes()
    assert plain.read(SEARCH) == before


@pytest.mark.parametrize(("before", "after", "goes_on"), [(KEEP, KEEP, 1), (Keep({1}), KEEP, 0), (KEEP, Keep({1}), 1)])
def test_an_interrupted_search_goes_on_if_it_has_the_rows_it_needs(store, tmp_path, before, after, goes_on):
    resumed = Store(tmp_path)
    with no_time_left():
        for keep in (before, *[after] * (SEARCH.recipe.epochs - 1 - goes_on)):
            with pytest.raises(Interrupted):
                stages.search(SEARCH, resumed, NOWHERE, CPU, keep)
        stages.search(SEARCH, resumed, NOWHERE, CPU, after)  # its last epoch
    for name in ("scores", "taylor") if after.taylor else ("scores",):
        assert array(resumed, name).equal(array(store, name))
    assert (resumed.folder(SEARCH) / "taylor.npy").exists() == after.taylor
    if after.taylor:
        kept = [{f.name for f in (s.folder(SEARCH) / "weights").iterdir()} for s in (resumed, store)]
        assert kept[0] == kept[1]


def test_the_recorded_loss_curve_is_the_same_with_the_recorder():
    spec = tiny_search(replace(TINY, epochs=2, l1=0.01))
    recorder = Taylor()
    plain = fit(network(spec), digits(), spec.recipe, seed=0)
    watched = fit(network(spec), digits(), spec.recipe, seed=0, observers=[recorder], hooks=[recorder])
    assert [r["train_loss"] for r in plain.history] == [r["train_loss"] for r in watched.history]
    assert len(recorder.rows) == 3


@pytest.mark.parametrize(
    ("entry", "taylor", "message"),
    [
        ("slimming:half", False, "--keep-epi: expected METHOD:RATIO, got 'slimming:half'"),
        ("0.5", False, "--keep-epi: expected METHOD:RATIO, got '0.5'"),
        ("sliming:0.5", False, "method: unknown name 'sliming'; did you mean 'slimming'?"),
        ("slimming:1.5", False, "ratio: must lie strictly between 0 and 1"),
        ("taylor:0.5", False, "--keep-epi: 'taylor:0.5' needs --keep-taylor"),
    ],
)
def test_what_cannot_be_watched_is_named(entry, taylor, message):
    with pytest.raises(UserError) as caught:
        detectors(Keep(epi={entry}, taylor=taylor), WIDTHS)
    assert str(caught.value).startswith(message)


def test_a_detector_watches_the_scores_of_its_importance():
    by_magnitude, by_taylor = detectors(KEEP, WIDTHS)
    assert [type(d) is EarlyBird for d in by_magnitude] == [type(d) is EarlyBird for d in by_taylor] == [True, False]
    assert (by_magnitude[1].ratio, by_taylor[1].ratio, by_taylor[1].threshold) == (0.5, 0.3, GRADIENT)

"""A finished search that is trained again, for weights or rows that are not here: stopped, continued, waited for."""

import contextlib
import itertools
import json
import shutil
import threading
import time
from dataclasses import replace

import pytest
import torch
from helpers import CPU, NOWHERE, TINY, tiny_search

from ebreplicate import cli as command_line
from ebreplicate import interrupt, stages
from ebreplicate.errors import UserError
from ebreplicate.specs.graph import Plan
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.spec import Retrain, Ticket, canonical, key
from ebreplicate.store import locks, manifest, snapshots
from ebreplicate.store.store import Store
from ebreplicate.training.loop import Trainer

SEARCH = tiny_search(replace(TINY, epochs=4))
EARLY, LATE = Ticket(SEARCH, 0.5, 1), Ticket(SEARCH, 0.5, 3)
AGAIN = ".again"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A store with the search, its Taylor scores, and the weights of epochs 1 and 3."""
    store = Store(tmp_path_factory.mktemp("results"))
    stages.search(SEARCH, store, NOWHERE, CPU, Keep({1, 3}, taylor=True))
    return store


@pytest.fixture
def bare(whole, tmp_path):
    """The search as it lies in a repository: all but the weights, and no Taylor scores."""
    store = Store(tmp_path)
    left_out = shutil.ignore_patterns("weights", "taylor.npy")
    shutil.copytree(whole.folder(SEARCH), store.folder(SEARCH), ignore=left_out)
    return store


@pytest.fixture
def epochs(monkeypatch):
    """The 0-based epochs that are trained from now on."""
    seen, real = [], Trainer.epoch

    def epoch(self, batches, number, *more):
        seen.append(number)
        return real(self, batches, number, *more)

    monkeypatch.setattr(Trainer, "epoch", epoch)
    return seen


def stopped_after(epochs, monkeypatch, call):
    """Let `call` be asked to stop after so many epochs."""
    with monkeypatch.context() as patch:
        asked = itertools.count(1)
        patch.setattr(interrupt, "wanted", lambda: next(asked) >= epochs)
        with pytest.raises(interrupt.Interrupted):
            call()


def same_weights(store, whole, epoch):
    a, b = (snapshots.load(s.folder(SEARCH) / "weights" / f"epoch_{epoch:04d}.pt") for s in (store, whole))
    assert all(torch.equal(a[name], b[name]) for name in b)


def test_growing_weights_again_is_continued_where_it_was_stopped(bare, whole, epochs, monkeypatch):
    for ticket in (EARLY, LATE):
        stages.draw(ticket, bare)
    stopped_after(2, monkeypatch, lambda: stages.retrain(Retrain(EARLY, TINY), bare, NOWHERE, CPU))
    assert sorted(f.name for f in (bare.folder(SEARCH) / AGAIN).iterdir()) == ["checkpoint.pt", "epoch_0001.pt"]
    assert not (bare.folder(SEARCH) / "weights").exists()
    stages.retrain(Retrain(EARLY, TINY), bare, NOWHERE, CPU)
    assert epochs == [0, 1, 2, *range(TINY.epochs)]
    for epoch in (1, 3):
        same_weights(bare, whole, epoch)
    assert not (bare.folder(SEARCH) / AGAIN).exists()


def test_it_starts_over_for_an_epoch_that_it_has_passed(bare, whole, epochs, monkeypatch):
    stages.draw(LATE, bare)
    stopped_after(2, monkeypatch, lambda: stages.retrain(Retrain(LATE, TINY), bare, NOWHERE, CPU))
    stages.draw(EARLY, bare)
    stages.retrain(Retrain(EARLY, TINY), bare, NOWHERE, CPU)
    assert epochs == [0, 1, 0, 1, 2, *range(TINY.epochs)]
    same_weights(bare, whole, 1)


def test_what_other_planned_runs_need_is_saved_on_the_way(bare, whole, epochs):
    manifest.write(Plan([Retrain(EARLY, TINY), Retrain(LATE, TINY)]), bare.root)
    for ticket in (LATE, EARLY):
        stages.draw(ticket, bare)
        stages.retrain(Retrain(ticket, TINY), bare, NOWHERE, CPU)
    assert epochs == [0, 1, 2, *range(TINY.epochs), *range(TINY.epochs)]
    same_weights(bare, whole, 1)


def test_it_ends_at_the_last_epoch_whose_weights_are_missing(bare, whole, epochs):
    for ticket in (EARLY, LATE):
        stages.draw(ticket, bare)
    weights = bare.folder(SEARCH) / "weights"
    weights.mkdir()
    shutil.copy(whole.folder(SEARCH) / "weights" / "epoch_0003.pt", weights)
    stages.retrain(Retrain(EARLY, TINY), bare, NOWHERE, CPU)
    assert epochs == [0, *range(TINY.epochs)]


def test_rows_of_taylor_scores_are_continued_as_well(bare, whole, epochs, monkeypatch):
    ticket = Ticket(SEARCH, 0.5, 1, "taylor")
    stopped_after(3, monkeypatch, lambda: stages.draw(ticket, bare))
    stages.draw(ticket, bare)
    assert epochs == [0, 1, 2, 3]
    rows = [(s.folder(SEARCH) / "taylor.npy").read_bytes() for s in (bare, whole)]
    assert rows[0] == rows[1]
    assert not (bare.folder(SEARCH) / AGAIN).exists()


def test_rows_begun_without_taylor_scores_are_begun_anew(bare, whole, epochs, monkeypatch):
    stages.draw(LATE, bare)
    stopped_after(2, monkeypatch, lambda: stages.retrain(Retrain(LATE, TINY), bare, NOWHERE, CPU))
    stages.draw(Ticket(SEARCH, 0.5, 1, "taylor"), bare)
    assert epochs == [0, 1, 0, 1, 2, 3]
    assert (bare.folder(SEARCH) / "taylor.npy").read_bytes() == (whole.folder(SEARCH) / "taylor.npy").read_bytes()


def test_another_trajectory_is_told_after_its_first_epoch(bare, epochs):
    other = replace(SEARCH, seed=1)  # as on another processor: the same training with other numbers
    shutil.copytree(bare.folder(SEARCH), bare.folder(other))
    record = json.loads(bare.record_path(other).read_text())
    bare.record_path(other).write_text(json.dumps(record | {"key": key(other)}))
    with pytest.raises(UserError, match=r"not give its recorded scores \(off by \S+ at epoch 1; .*--config results="):
        stages.draw(Ticket(other, 0.5, 3, "taylor"), bare)
    assert epochs == [0]
    assert not (bare.folder(other) / AGAIN).exists()


@pytest.mark.parametrize(("recorded", "expected"), [(3, 3), (10**9, 1), ("3", 1), (None, 1)])
def test_it_computes_on_as_many_threads_as_the_search_did(bare, epochs, monkeypatch, recorded, expected):
    """How many threads share a sum decides how it is rounded, and roundings grow while a network trains."""
    path, counts, real = bare.record_path(SEARCH), [], Trainer.epoch
    record = json.loads(path.read_text())
    record["provenance"]["threads"] = recorded
    path.write_text(json.dumps(record))

    def epoch(*arguments):
        counts.append(torch.get_num_threads())
        return real(*arguments)

    monkeypatch.setattr(Trainer, "epoch", epoch)
    with contextlib.suppress(UserError):  # on other threads, other scores
        stages.draw(Ticket(SEARCH, 0.5, 1, "taylor"), bare)
    assert set(counts) == {expected}
    assert torch.get_num_threads() == 1


def test_a_draw_trains_on_the_device_it_is_given_before_it_keeps_others_waiting(bare, monkeypatch):
    """A retrain waits, its slot in hand, for the search: a draw that waited for a slot meanwhile would never end."""
    taken = []

    @contextlib.contextmanager
    def slot(name):
        taken.append((name, locks.free(bare.folder(SEARCH), locks.AGAIN)))
        yield CPU

    monkeypatch.setattr("ebreplicate.training.device.slot", slot)
    stages.have_drawn(Ticket(SEARCH, 0.5, 1, "taylor"), bare, NOWHERE, "cuda")
    stages.draw(Ticket(SEARCH, 0.5, 1, "magnitude"), bare, NOWHERE, "auto")
    assert taken == [("cuda", True), ("auto", True)]


def test_whoever_is_not_to_wait_leaves_while_another_process_does_it(bare, monkeypatch):
    ticket = Ticket(SEARCH, 0.5, 1, "taylor")
    argv = ["draw", canonical(ticket), "--results", str(bare.root), "--data", str(NOWHERE), "--no-wait"]
    with locks.held(bare.folder(SEARCH), name=locks.AGAIN):
        assert command_line.main(argv) == locks.BUSY
        with pytest.raises(locks.Busy):
            stages.draw(ticket, Store(bare.root, patient=False))
    assert not bare.done(ticket)
    assert command_line.main(argv) == 0


def test_a_ticket_that_another_process_draws_is_not_waited_for_either(bare):
    with locks.held(bare.folder(EARLY)), pytest.raises(locks.Busy):
        stages.have_drawn(EARLY, Store(bare.root, patient=False), NOWHERE)


def test_who_waits_for_another_process_can_be_stopped(tmp_path, monkeypatch, capsys):
    ended = []

    def wait():
        with pytest.raises(interrupt.Interrupted), locks.held(tmp_path, wait=True):
            pass
        ended.append(True)

    with locks.held(tmp_path):
        waiter = threading.Thread(target=wait)
        waiter.start()
        while "waiting" not in capsys.readouterr().err:
            time.sleep(0.01)
        assert not ended
        monkeypatch.setattr(interrupt, "wanted", lambda: True)
        waiter.join(30)
        assert ended == [True]


def test_a_draw_that_trains_keeps_to_its_time_limit(bare, epochs, monkeypatch, capsys):
    argv = ["draw", canonical(Ticket(SEARCH, 0.5, 1, "taylor")), "--results", str(bare.root), "--data", str(NOWHERE)]
    assert command_line.main([*argv, "--time-limit", "1e-6"]) == interrupt.CONTINUE
    assert "run the same command again" in capsys.readouterr().err
    assert epochs == [0]
    assert command_line.main(argv) == 0
    assert epochs == [0, 1, 2, 3]

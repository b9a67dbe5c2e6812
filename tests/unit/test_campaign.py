"""The campaign takes the most telling runs first, shares a folder, and stops within its budget."""

import fcntl
import time

import pytest
from synthetic import TINY, Outcome, drawn, trained

from ebreplicate import campaign
from ebreplicate.errors import UserError
from ebreplicate.plan.plan import parents, search_of
from ebreplicate.plan.scale import load_scale
from ebreplicate.plan.spec import Ticket, key
from ebreplicate.records import Store

ITEMS = ["table1_schedules", "fig1_existence"]


def test_order_is_seed_then_vgg_then_cifar10_and_figure_1_first():
    _, runs = campaign.ordered(load_scale("paper"), ITEMS)
    roots = [search_of(s) for s in runs]
    places = [(r.seed, r.model != "vgg16", r.dataset) for r in roots]
    assert places == sorted(places)
    assert places[0] == (0, False, "cifar10")
    assert len({key(s) for s in runs}) == len(runs)
    first_panel = [r for r, p in zip(roots, places, strict=True) if p == places[0]]
    rates = [r.recipe.lr for r in first_panel]
    assert rates == sorted(rates, reverse=True)  # Figure 1's search before Table 1's at a tenth of the rate
    assert len(set(rates)) == 2


@pytest.fixture
def done(monkeypatch):
    """Runs finish at once, in the order they are taken."""
    order = []

    def command(spec, _plan, store, *_):
        assert all(store.done(p) for p in parents(spec))
        store.write(spec, drawn(spec, 1) if isinstance(spec, Ticket) else trained(Outcome(50.0)))
        order.append(key(spec))
        return 0

    monkeypatch.setattr(campaign, "_command", command)
    monkeypatch.setattr(campaign, "POLL_SECONDS", 0.0)
    return order


def work(path, until=None):
    until = time.monotonic() + 100 if until is None else until
    return campaign.work(TINY, ITEMS, path, path, "cpu", 1, until)


def test_everything_is_run_once_after_what_it_needs(tmp_path, done):
    assert work(tmp_path) == 0
    plan, _ = campaign.ordered(TINY, ITEMS)
    assert sorted(done) == sorted(plan.runs)
    assert work(tmp_path) == 0
    assert len(done) == len(plan.runs)


def test_a_budget_that_is_over_says_continue(tmp_path, done):
    assert work(tmp_path, until=time.monotonic() - 1) == 75
    assert done == []


def test_a_run_that_another_worker_holds_is_left_to_it(tmp_path, done, monkeypatch):
    first = campaign.ordered(TINY, ITEMS)[1]
    held = next(s for s in first if s.stage == "search")
    folder = Store(tmp_path).folder(held)
    folder.mkdir(parents=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        def give_way(_):
            fcntl.flock(lock, fcntl.LOCK_UN)

        monkeypatch.setattr(campaign.time, "sleep", give_way)
        assert work(tmp_path) == 0
    builds_on_it = {key(s) for s in first if search_of(s) == held}
    assert all(name in builds_on_it for name in done[-len(builds_on_it) :])  # taken up at the end, once free


def test_a_failed_run_is_not_repeated_and_does_not_stop_the_others(tmp_path, done, monkeypatch):
    bad = next(s for s in campaign.ordered(TINY, ITEMS)[1] if s.stage == "search")
    good, tried = campaign._command, []

    def command(spec, *rest):
        tried.append(key(spec))
        return 1 if spec == bad else good(spec, *rest)

    monkeypatch.setattr(campaign, "_command", command)
    assert work(tmp_path) == 1
    assert tried.count(key(bad)) == 1
    assert len(done) == sum(search_of(s) != bad for s in campaign.ordered(TINY, ITEMS)[1])


@pytest.mark.parametrize(("workers", "budget", "named"), [(0, 1.0, "--workers"), (1, 0.0, "--budget")])
def test_bad_settings_are_refused(tmp_path, workers, budget, named):
    with pytest.raises(UserError, match=named):
        campaign.run(TINY, ITEMS, tmp_path, tmp_path, "cpu", workers, 1, budget)

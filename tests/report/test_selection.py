"""Best minus last epoch, on records whose difference a test chooses."""

import math

import pytest
from synthetic import TINY, write

from ebreplicate.experiments.planner import requests
from ebreplicate.report import selection
from ebreplicate.report.markdown import between
from ebreplicate.specs.graph import Plan
from ebreplicate.specs.scale import load_scale
from ebreplicate.specs.spec import Recipe, Retrain, Search, Sparse, Ticket, key
from ebreplicate.store.store import Store

RUNS = [s for s in Plan(requests(TINY, ["fig1_existence"])).runs.values() if not isinstance(s, Ticket)]
SEARCHES = [s for s in RUNS if isinstance(s, Search) and s.dataset == "digits"]


COST = {"seconds": 1.0, "training_flops": {"authors": 1.0}, "forward_flops": {"authors": 1.0}}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def leave(store, spec, gain, status="ok", epochs=None, **more):
    """Record of a run that was `gain` better at its best epoch."""
    metrics = {"last_accuracy": 60.0, "best_accuracy": 60.0 + gain, "epochs": epochs or spec.recipe.epochs}
    store.write(spec, {"status": status, "metrics": metrics, "cost": COST, "provenance": {}, **more})


def test_runs_are_averaged_within_a_seed_and_the_interval_is_over_seeds(store):
    """Two networks, two seeds: means 1 and 3, so 2 +- 12.706 x sqrt(2) / sqrt(2)."""
    gains = {("vgg16", 0): 0.5, ("preresnet20", 0): 1.5, ("vgg16", 1): 2.0, ("preresnet20", 1): 4.0}
    for spec in SEARCHES:
        leave(store, spec, gains[spec.model, spec.seed])
    (effect,) = selection.effects(TINY, store)
    assert (effect.dataset, effect.kind, effect.interval.series, effect.runs) == ("digits", "dense", 2, 4)
    assert (effect.interval.mean, effect.interval.n, effect.largest) == (pytest.approx(2.0), 2, 4.0)
    assert effect.interval.half == pytest.approx(math.tan(0.475 * math.pi))
    assert "| digits | dense | 8 | +2.00 ± 12.71 | 2 | 2 | 4 | +2.00 | +4.00 |" in selection.table([effect])


def test_a_network_that_lacks_a_seed_is_left_out_of_the_interval_not_of_the_runs(store):
    (lone, *_), pair = ([s for s in SEARCHES if s.model == model] for model in ("preresnet20", "vgg16"))
    for spec, gain, epochs in ((lone, 6.0, 8), (pair[0], 1.0, 9), (pair[1], 2.0, 7)):
        leave(store, spec, gain, epochs=epochs)
    (effect,) = selection.effects(TINY, store)
    assert (effect.interval.mean, effect.interval.n, effect.interval.series) == (pytest.approx(1.5), 2, 1)
    assert (effect.runs, effect.mean) == (3, pytest.approx(3.0))
    assert (effect.largest, effect.epochs) == (6.0, (7, 9))


def test_one_seed_has_no_interval_and_what_did_not_finish_does_not_count(store):
    first, second, *others = SEARCHES
    leave(store, first, 0.7)
    leave(store, second, 30.0, status="diverged")
    for spec in others:
        leave(store, spec, 30.0, trained_as=key(first))
    (effect,) = selection.effects(TINY, store)
    assert (effect.interval.mean, effect.interval.n, effect.runs) == (pytest.approx(0.7), 1, 1)
    assert "no interval" in selection.table([effect])


def test_kinds_of_training_and_datasets_are_told_apart(store):
    write(store, RUNS, lambda spec: 70.0)  # best is one point above last in all of these
    found = selection.effects(TINY, store)
    assert {(e.dataset, e.kind) for e in found} == {
        (d, k) for d in {s.dataset for s in RUNS if isinstance(s, Search)} for k in ("dense", "retrained tickets")
    }
    assert all((e.interval.mean, e.interval.half) == pytest.approx((1.0, 0.0)) for e in found)


def test_a_search_that_prunes_factorises_or_quantises_is_no_dense_training():
    plain, others = (
        {selection.kind_of(s) for item in items for s in requests(load_scale("smoke"), [item]) if isinstance(s, Search)}
        for items in (["fig1_existence"], ["supertickets", "factorised_layers", "learned_precision"])
    )
    assert plain == {"dense"}
    assert others >= {"pruned while searched", "factorised", "quantised"}


def test_nothing_run_says_so(store):
    assert selection.table(selection.effects(TINY, store)) == "Nothing has been run at this scale.\n"


def test_runs_that_differ_by_their_seed_alone_are_one_series():
    one, two, longer = (
        Search("vgg16", "digits", Recipe(e, milestones=()), seed) for e, seed in ((8, 1), (8, 2), (9, 1))
    )
    ticket, other = (Ticket(s, 0.5, "final", "magnitude") for s in (one, two))
    rounds = [
        Ticket(t.search, 0.5, "final", "magnitude", Retrain(t, s.recipe)) for t, s in ((ticket, one), (other, two))
    ]
    for a, b in ((one, two), (ticket, other), tuple(rounds), tuple(Retrain(r, one.recipe) for r in rounds)):
        assert a != b
        assert selection.unseeded(a) == selection.unseeded(b)
    assert selection.unseeded(one) != selection.unseeded(longer)
    sparse = [Sparse("vgg16", "digits", seed=s) for s in (0, 3)]
    assert len({selection.unseeded(s) for s in sparse}) == 1


def test_only_what_stands_between_the_markers_is_replaced():
    assert between("a <x> old </x> b", "<x>", "</x>", "new\n") == "a <x>\nnew\n</x> b"
    assert between("a <x> old", "<x>", "</x>", "new") is None
    assert between("</x> a <x>", "<x>", "</x>", "new") is None

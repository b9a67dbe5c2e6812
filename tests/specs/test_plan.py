"""The plan closes requests over what they need, once each, and tells searches which weights to keep."""

from dataclasses import replace

from helpers import TINY, tiny_search

from ebreplicate.experiments.planner import requests
from ebreplicate.report import planning
from ebreplicate.specs.graph import Plan, epochs_of, lineage, trainings_before
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.scale import SCALES, load_scale
from ebreplicate.specs.spec import Retrain, Search, Sparse, Ticket, key

SEARCH = tiny_search()


def test_what_a_run_needs_comes_before_it_once():
    retrains = [Retrain(Ticket(SEARCH, r, 1), TINY, init) for r in (0.3, 0.5) for init in ("inherit", "reinit")]
    plan = Plan([*retrains, SEARCH, *retrains])
    assert [len(plan.stage(kind)) for kind in (Search, Ticket, Retrain)] == [1, 2, 4]
    order = list(plan.runs)
    for retrain in retrains:
        assert order.index(key(SEARCH)) < order.index(key(retrain.ticket)) < order.index(key(retrain))


def test_the_trainings_before_a_run_leave_out_tickets():
    ticket = Ticket(SEARCH, 0.3, 1, "magnitude")
    once = Retrain(ticket, TINY)
    later = Ticket(SEARCH, 0.5, "final", "magnitude", after=once)
    assert trainings_before(SEARCH) == []
    assert trainings_before(ticket) == trainings_before(once) == [SEARCH]
    assert trainings_before(later) == trainings_before(Retrain(later, TINY)) == [once]


def test_a_search_keeps_weights_only_for_the_tickets_that_inherit_them():
    inherit = [Retrain(Ticket(SEARCH, r, at), TINY) for r, at in ((0.5, 2), (0.3, 1), (0.125, "eb"), (0.7, "best"))]
    reinit = [Retrain(Ticket(SEARCH, 0.9, at), TINY, "reinit") for at in (3, "eb")]
    keep = Plan([*inherit, *reinit]).keep[key(SEARCH)]
    assert keep == Keep({1, 2}, {0.125})
    assert Plan([*reinit, Ticket(SEARCH, 0.5, 1)]).keep[key(SEARCH)] == Keep()


def test_a_search_is_told_what_the_indicator_and_taylor_tickets_need():
    by_gradient, by_magnitude = (Ticket(SEARCH, 0.3, "epi", method) for method in ("taylor", "slimming"))
    keep = Plan([Retrain(by_gradient, TINY), Retrain(by_magnitude, TINY)]).keep[key(SEARCH)]
    assert keep == Keep(epi={"slimming:0.3", "taylor:0.3"}, taylor=True)
    assert Plan([by_magnitude]).keep[key(SEARCH)] == Keep()
    assert Plan([Ticket(SEARCH, 0.5, 1, "taylor")]).keep[key(SEARCH)] == Keep(taylor=True)


def test_what_two_ask_to_be_kept_is_kept():
    assert Keep({1}, {0.3}) | Keep({2}, epi={"taylor:0.3"}, taylor=True) == Keep({1, 2}, {0.3}, {"taylor:0.3"}, True)


def test_without_sharing_every_round_of_pruning_trains_all_rounds_before_it(monkeypatch):
    first = Ticket(SEARCH, 0.2, 3, "magnitude")
    once = Retrain(first, TINY, "rewind")
    twice = Retrain(Ticket(SEARCH, 0.2, "final", "magnitude", after=once), TINY, "rewind")
    assert lineage(twice) == [twice, twice.ticket, once, first, SEARCH]
    monkeypatch.setattr(planning, "requests", lambda _scale, _items: [SEARCH, once, twice])
    assert planning.epochs_unshared(None, ["item"]) == 3 + (3 + 3) + (3 + 3 + 3)


def effective(spec):
    """The run, without what its training does not look at."""
    if isinstance(spec, Sparse):
        if spec.method in ("static", "small-dense", "snip"):  # masks that do not change
            spec = replace(spec, interval=100, alpha=0.3, stop=0.75)
        if spec.method in ("small-dense", "snip"):  # one width, one ranking of all weights
            spec = replace(spec, distribution="erk")
        if spec.method == "gmp":
            spec = replace(spec, alpha=0.3)
        return replace(spec, recipe=spec.recipe.scaled(spec.multiplier), multiplier=1.0)
    if isinstance(spec, Retrain) and spec.seed is None:
        return replace(spec, seed=spec.ticket.search.seed)
    return spec


def test_no_run_is_planned_twice_over_all_items_and_scales():
    """Under one name by the key; and under two names, which a field that a training ignores would give it."""
    scales = [load_scale(name) for name in SCALES]
    asked = {spec for scale in scales for spec in requests(scale)}
    plan = Plan(asked)
    assert {key(spec) for spec in asked} <= set(plan.runs)
    assert len(set(plan.runs.values())) == len(plan.runs)
    assert len({effective(spec) for spec in plan.runs.values()}) == len(plan.runs) > 5000


def test_epochs_of_a_run_are_those_it_trains():
    ticket = Ticket(SEARCH, 0.5, 2)
    assert epochs_of(SEARCH) == 3
    assert epochs_of(ticket) == 0
    assert epochs_of(Retrain(ticket, TINY)) == 3
    assert epochs_of(Retrain(ticket, TINY, schedule="continue")) == 1


def test_a_scale_in_another_precision_retrains_in_it_too():
    scale = load_scale("smoke", {"precision": "tf32"})
    retrains = [run for run in requests(scale) if isinstance(run, Retrain)]
    other = {run.precision for run in retrains if run.precision != "tf32"}
    assert len(retrains) > 20
    # Eight bits are a row's own; a retrain in fp32 is of an item that names the precision of its searches as well.
    assert other <= {"bfp8", "fp8", "fp32"}
    assert all(run.ticket.search.precision == "fp32" for run in retrains if run.precision == "fp32")

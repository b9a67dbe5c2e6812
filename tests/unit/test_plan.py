"""The plan closes requests over what they need, once each, and tells searches which weights to keep."""

from dataclasses import replace

from helpers import TINY, tiny_search

from ebreplicate.__main__ import parser
from ebreplicate.plan.plan import Plan, drawn_alone, epochs_of, lineage, make_plan, requests, retrained
from ebreplicate.plan.scale import SCALES, load_scale
from ebreplicate.plan.spec import Retrain, Search, Sparse, Ticket, key
from ebreplicate.report import planning

SEARCH = tiny_search()


def test_what_a_run_needs_comes_before_it_once():
    retrains = [Retrain(Ticket(SEARCH, r, 1), TINY, init) for r in (0.3, 0.5) for init in ("inherit", "reinit")]
    plan = Plan([*retrains, SEARCH, *retrains])
    assert [len(plan.stage(kind)) for kind in (Search, Ticket, Retrain)] == [1, 2, 4]
    order = list(plan.runs)
    for retrain in retrains:
        assert order.index(key(SEARCH)) < order.index(key(retrain.ticket)) < order.index(key(retrain))


def test_a_ticket_has_a_draw_of_its_own_where_a_figure_asks_for_it_and_retrains_none():
    first, second, third = (Ticket(SEARCH, ratio, 1, "magnitude") for ratio in (0.3, 0.5, 0.7))
    trained = {t: Retrain(t, TINY) for t in (first, second)}
    later = Ticket(SEARCH, 0.5, "final", "magnitude", after=trained[second])
    assert drawn_alone([[first, trained[first]], [Retrain(later, TINY), second, later]]) == set()
    assert drawn_alone([[trained[first], third], [first], [trained[second], later]]) == {
        key(t) for t in (first, third, later)
    }
    assert retrained([SEARCH, first, Retrain(later, TINY)]) == {key(second), key(later)}


def test_a_search_keeps_weights_only_for_the_tickets_that_inherit_them():
    inherit = [Retrain(Ticket(SEARCH, r, at), TINY) for r, at in ((0.5, 2), (0.3, 1), (0.125, "eb"), (0.7, "best"))]
    reinit = [Retrain(Ticket(SEARCH, 0.9, at), TINY, "reinit") for at in (3, "eb")]
    keep = Plan([*inherit, *reinit]).keep[key(SEARCH)]
    assert keep.flags == "--keep-epochs 1 2 --keep-ratios 0.125"
    assert Plan([*reinit, Ticket(SEARCH, 0.5, 1)]).keep[key(SEARCH)].flags == ""


def test_a_ratio_reaches_the_search_as_precisely_as_the_ticket_has_it():
    fine = Ticket(SEARCH, 0.123456789, "eb")
    flags = Plan([Retrain(fine, TINY)]).keep[key(SEARCH)].flags
    assert float(flags.split()[-1]) == fine.ratio


def test_a_search_is_told_what_the_indicator_and_taylor_tickets_need():
    by_gradient, by_magnitude = (Ticket(SEARCH, 0.3, "epi", method) for method in ("taylor", "slimming"))
    flags = Plan([Retrain(by_gradient, TINY), Retrain(by_magnitude, TINY)]).keep[key(SEARCH)].flags
    assert flags == "--keep-epi slimming:0.3 taylor:0.3 --keep-taylor"
    assert Plan([by_magnitude]).keep[key(SEARCH)].flags == ""
    assert Plan([Ticket(SEARCH, 0.5, 1, "taylor")]).keep[key(SEARCH)].flags == "--keep-taylor"
    fine = Plan([Retrain(Ticket(SEARCH, 0.123456789, "epi"), TINY)]).keep[key(SEARCH)].flags
    assert fine == "--keep-epi slimming:0.123456789"
    args = parser().parse_args(["search", "{}", *flags.split()])
    assert (args.keep_epi, args.keep_taylor) == (["slimming:0.3", "taylor:0.3"], True)


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
    plan = make_plan(*scales)
    asked = {spec for scale in scales for spec in requests(scale)}
    assert {key(spec) for spec in asked} <= set(plan.runs)
    assert len(set(plan.runs.values())) == len(plan.runs)
    assert len({effective(spec) for spec in plan.runs.values()}) == len(plan.runs) > 5000


def test_epochs_of_a_run_are_those_it_trains():
    ticket = Ticket(SEARCH, 0.5, 2)
    assert epochs_of(SEARCH) == 3
    assert epochs_of(ticket) == 0
    assert epochs_of(Retrain(ticket, TINY)) == 3
    assert epochs_of(Retrain(ticket, TINY, schedule="continue")) == 1

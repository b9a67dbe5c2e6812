"""The plan closes requests over what they need, once each, and tells searches which weights to keep."""

from helpers import TINY, tiny_search

from ebreplicate.__main__ import parser
from ebreplicate.plan.plan import Plan, epochs_of
from ebreplicate.plan.spec import Retrain, Search, Ticket, key

SEARCH = tiny_search()


def test_what_a_run_needs_comes_before_it_once():
    retrains = [Retrain(Ticket(SEARCH, r, 1), TINY, init) for r in (0.3, 0.5) for init in ("inherit", "reinit")]
    plan = Plan([*retrains, SEARCH, *retrains])
    assert [len(plan.stage(kind)) for kind in (Search, Ticket, Retrain)] == [1, 2, 4]
    order = list(plan.runs)
    for retrain in retrains:
        assert order.index(key(SEARCH)) < order.index(key(retrain.ticket)) < order.index(key(retrain))


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


def test_epochs_of_a_run_are_those_it_trains():
    ticket = Ticket(SEARCH, 0.5, 2)
    assert epochs_of(SEARCH) == 3
    assert epochs_of(ticket) == 0
    assert epochs_of(Retrain(ticket, TINY)) == 3
    assert epochs_of(Retrain(ticket, TINY, schedule="continue")) == 1

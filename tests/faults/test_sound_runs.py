"""No false alarm: `verify` has nothing against runs of any kind that the project has, as they were made."""

from dataclasses import replace

from helpers import CPU, NOWHERE, TINY, tiny_search

from ebreplicate import stages
from ebreplicate.catalog import METHODS, SPARSIFIERS
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.spec import Retrain, Search, Sparse, Ticket
from ebreplicate.store.store import Store
from ebreplicate.verify import verify
from faults.suite import fault

SEARCH = tiny_search()
LAST = TINY.epochs
SMALL = {"width": 0.0625, "train_size": 60, "test_size": 40}


def searches():
    soft = replace(SEARCH, soft_ratio=0.3)
    averaged = replace(SEARCH, precision="bfp8", recipe=replace(TINY, swa_start=1))
    diverging = replace(SEARCH, recipe=replace(TINY, lr=1e30))
    without_channels = Search("lenet300", "digits", TINY, width=0.1, train_size=60, test_size=40)
    return [SEARCH, soft, averaged, diverging, without_channels, replace(SEARCH, model="preresnet20", width=0.25)]


def retrains():
    ticket = Ticket(SEARCH, 0.5, 1)
    first = Retrain(Ticket(SEARCH, 0.3, LAST, "magnitude"), TINY, "rewind")
    return [
        Retrain(ticket, TINY),
        Retrain(ticket, TINY, "reinit"),
        Retrain(ticket, TINY, schedule="continue"),
        Retrain(ticket, TINY, schedule="budget"),
        Retrain(replace(ticket, at="best"), TINY),
        Retrain(replace(ticket, at="eb"), TINY),
        Retrain(Ticket(searches()[3], 0.5, 1), TINY),
        first,
        Retrain(Ticket(SEARCH, 0.3, "final", "magnitude", first), TINY, "rewind"),
    ]


@fault(
    "Runs of every stage, method and schedule, and what becomes of a search that diverges, as they were made",
    "`verify` has nothing against any of them",
)
def test_verify_raises_no_false_alarm(tmp_path, figures):
    store = Store(tmp_path / "results")
    for search in searches():
        stages.search(search, store, NOWHERE, CPU, Keep({1}, taylor=search == SEARCH))
    for method in METHODS:
        stages.draw(Ticket(SEARCH if method != "soft" else searches()[1], 0.5, 1, method), store, NOWHERE)
    stages.draw(Ticket(searches()[-1], 0.5, 2), store)
    stages.draw(Ticket(searches()[4], 0.5, 1, "magnitude"), store, NOWHERE)
    for retrain in retrains():
        stages.draw(retrain.ticket, store, NOWHERE)
        stages.retrain(retrain, store, NOWHERE, CPU, Keep({LAST}) if retrain.init == "rewind" else None)
    for method in SPARSIFIERS:
        stages.sparse(Sparse("vgg16", "digits", TINY, **SMALL, method=method, interval=1), store, NOWHERE, CPU)
    stages.sparse(Sparse("vgg16", "digits", TINY, **SMALL, multiplier=1.5, distribution="uniform"), store, NOWHERE, CPU)
    runs, found = verify(store.root)
    assert found == []
    statuses = {store.read(r)["status"] for r in [*searches(), *retrains()]}
    assert statuses == {"ok", "diverged", "no-ticket"}
    figures["runs"] = runs

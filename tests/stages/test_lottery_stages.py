"""Rounds of iterative magnitude pruning through the stages, on 60 digits."""

from dataclasses import replace

import pytest
import torch
from helpers import CPU, NOWHERE, TINY, starting_network, tiny_search

from ebreplicate import cost, stages
from ebreplicate.pruning.weights import prunable, weight_counts
from ebreplicate.runner.inputs import load_mask, network
from ebreplicate.runner.rebuild import load_weights
from ebreplicate.specs.graph import Plan
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.spec import Retrain, Ticket, key
from ebreplicate.store import snapshots
from ebreplicate.store.store import Store
from ebreplicate.training.loop import Ended
from ebreplicate.training.masking import MaskWeights

RECIPE = replace(TINY, l1=0.0, epochs=2)
SEARCH = tiny_search(RECIPE)
FIRST = Ticket(SEARCH, 0.2, "final", "magnitude")
REWOUND = Retrain(FIRST, RECIPE, init="rewind")
SECOND = Ticket(SEARCH, 0.2, "final", "magnitude", after=REWOUND)
LATER = Retrain(SECOND, RECIPE, init="rewind", rewind=1)


def flat(model):
    return torch.cat([w.detach().flatten() for w in prunable(model)])


def loaded(store, run, epoch):
    return load_weights(network(SEARCH), run, epoch, store, NOWHERE, CPU)


def mask_of(store, ticket):
    return load_mask(ticket, store, sum(weight_counts(network(SEARCH))))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two rounds, run as the plan asks."""
    store = Store(tmp_path_factory.mktemp("results"))
    plan = Plan([LATER, Retrain(FIRST, RECIPE, init="reinit")])
    for name, spec in plan.runs.items():
        if spec.stage == "draw":
            stages.draw(spec, store)
        else:
            (stages.search if spec is SEARCH else stages.retrain)(spec, store, NOWHERE, CPU, plan.keep[name])
    return store


def test_the_plan_chains_rounds_and_keeps_what_they_look_at():
    plan = Plan([LATER])
    assert list(plan.runs.values()) == [SEARCH, FIRST, REWOUND, SECOND, LATER]
    assert plan.keep[key(SEARCH)].epochs == {1, 2}  # the rewind of the second round, the draw of the first
    assert plan.keep[key(REWOUND)].epochs == {2}
    assert plan.keep[key(LATER)].epochs == set()
    assert (FIRST.round, SECOND.round) == (1, 2)
    assert "-k2" in key(SECOND)


def test_every_round_removes_the_smallest_weights_of_the_training_before(store):
    weights = flat(loaded(store, SEARCH, 2)).abs()
    first, second = mask_of(store, FIRST), mask_of(store, SECOND)
    hidden = len(first) - weight_counts(network(SEARCH))[-1]
    assert first[hidden:].all()
    assert weights[:hidden][~first[:hidden]].max() <= weights[:hidden][first[:hidden]].min()
    assert int((~first).sum()) == round(0.2 * hidden)
    after = flat(loaded(store, REWOUND, 2)).abs()
    assert not after[~first].any()
    assert not (second & ~first).any()
    gone = (first & ~second)[:hidden]
    assert after[:hidden][gone].max() <= after[:hidden][second[:hidden]].min()
    assert int(gone.sum()) == round(0.2 * int(first[:hidden].sum()))


def test_a_draw_says_what_is_left_and_that_dense_hardware_saves_nothing(store):
    record, mask, model = store.read(SECOND), mask_of(store, SECOND), network(SEARCH)
    metrics = record["metrics"]
    assert metrics["kept"] == int(mask.sum())
    assert metrics["remaining_fraction"] == pytest.approx(int(mask.sum()) / len(mask))
    assert metrics["round"] == 2
    sizes = torch.tensor(weight_counts(model), dtype=torch.float)
    assert (torch.tensor(metrics["density"]) * sizes).sum().item() == pytest.approx(metrics["kept"], rel=1e-4)
    assert metrics["parameters"] == sum(p.numel() for p in model.parameters()) - int((~mask).sum())
    assert record["cost"]["forward_flops"] == cost.forward_flops(model, (3, 32, 32))
    assert record["cost"]["sparse_forward_flops"]["torch"] < record["cost"]["forward_flops"]["torch"]


def test_a_round_pays_for_every_training_before_it(store):
    dense = store.read(SEARCH)["cost"]["training_flops"]
    for ticket, trainings in ((FIRST, 1), (SECOND, 2)):
        assert store.read(ticket)["cost"]["search_flops"] == {c: trainings * f for c, f in dense.items()}
    total = store.read(LATER)["cost"]
    assert total["training_flops"]["torch"] == pytest.approx(3 * dense["torch"] + total["draw_flops"])


def test_rewinding_starts_from_the_searchs_own_weights_bit_for_bit(store, tmp_path):
    again = Store(tmp_path)
    stages.search(SEARCH, again, NOWHERE, CPU, Keep({0}))
    initial = snapshots.load(again.folder(SEARCH) / "weights" / "epoch_0000.pt")
    rewound = starting_network(REWOUND, store, 99).state_dict()
    assert initial.keys() == rewound.keys()
    assert all(initial[name].equal(rewound[name]) for name in initial)
    early = starting_network(LATER, store, 99)
    assert flat(early).equal(flat(loaded(store, SEARCH, 1)))
    fresh = starting_network(replace(REWOUND, init="reinit"), store, 99)
    assert not flat(fresh).equal(flat(network(SEARCH)))
    inherited = starting_network(replace(LATER, init="inherit", rewind=0), store, 99)
    assert flat(inherited).equal(flat(loaded(store, REWOUND, 2)))


def test_a_channel_ticket_may_be_rewound_too(store):
    ticket = Ticket(SEARCH, 0.5, 1)
    stages.draw(ticket, store)
    small = starting_network(Retrain(ticket, init="rewind"), store, 0)
    initial = network(SEARCH)
    kept = load_mask(ticket, store, 264)[:4]
    assert small.features[0].weight.equal(initial.features[0].weight[kept])


def test_what_is_trained_is_as_sparse_as_its_mask(store):
    for spec in (REWOUND, LATER, Retrain(FIRST, RECIPE, init="reinit")):
        record = store.read(spec)
        assert record["status"] == "ok"
        assert record["metrics"]["nonzero_weights"] == store.read(spec.ticket)["metrics"]["kept"]
    assert {f.name for f in (store.folder(REWOUND) / "weights").iterdir()} == {"epoch_0002.pt"}
    assert not (store.folder(LATER) / "weights").exists()


def test_a_pruned_weight_that_moved_is_a_bug_and_no_result(store):
    model = loaded(store, REWOUND, 2)
    hook, ended = MaskWeights(mask_of(store, FIRST)), Ended("ok", None, 0, 1, None, float)  # of which it reads nothing
    hook.attach(model, None, RECIPE, 1)
    assert hook.report(ended).metrics == {"nonzero_weights": store.read(FIRST)["metrics"]["kept"]}
    with torch.no_grad():
        prunable(model)[0].fill_(1.0)
    with pytest.raises(RuntimeError, match="pruned weights are not zero"):
        hook.report(ended)

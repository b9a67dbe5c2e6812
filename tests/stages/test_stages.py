"""Search, draw and retrain end to end on 60 digits; every number of a record is worked out another way."""

import copy
import json
import math
import re
import shutil
import socket
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import CPU, NOWHERE, TINY, digits, starting_network, tiny_search

from ebreplicate import cost, stages
from ebreplicate.errors import UserError
from ebreplicate.models import build
from ebreplicate.pruning import bn_widths, global_mask, shrink
from ebreplicate.runner.checkpoint import Checkpoint
from ebreplicate.runner.inputs import load_mask
from ebreplicate.runner.record import save_array
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.spec import Retrain, Search, Ticket, key
from ebreplicate.stages.retrain import RETRAIN_SEED
from ebreplicate.store.store import Store
from ebreplicate.training.loop import fit

# The rate all but vanishes after two epochs, so the masks settle: the ticket emerges at 6, when the empty mask of the
# untrained network and that of the first epoch have left the queue.
RECIPE = replace(TINY, epochs=8, milestones=(2,), lr_decay=1e-6)
SEARCH = tiny_search(RECIPE)
N = 264  # batch-norm channels of VGG16 at width 1/16: 2 x 4 + 2 x 8 + 3 x 16 + 6 x 32
SHAPE = (3, 32, 32)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with one finished search that kept epoch 1, and emergence at ratio 0.5."""
    store = Store(tmp_path_factory.mktemp("results"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["ebreplicate", "search", "the spec"])
        stages.search(SEARCH, store, NOWHERE, CPU, Keep({1}, {0.5}))
    return store


def forward(model):
    return {c: cost.flops(model, SHAPE, c) for c in cost.CONVENTIONS}


def times(factor, by_convention):
    return {c: pytest.approx(factor * f) for c, f in by_convention.items()}


def scores_of(store, search=SEARCH):
    return torch.from_numpy(np.load(store.folder(search) / "scores.npy"))


def test_a_search_leaves_scores_weights_history_and_its_cost(store):
    record, folder = store.read(SEARCH), store.folder(SEARCH)
    history = (folder / "history.csv").read_text().splitlines()
    accuracies = [float(line.split(",")[4]) for line in history[1:]]
    scores = scores_of(store)
    dense = build("vgg16", 10, 0.0625)

    assert record["status"] == "ok"
    assert record["metrics"]["epochs"] == len(accuracies) == 8
    assert record["metrics"]["last_accuracy"] == accuracies[-1]
    assert record["metrics"]["best_accuracy"] == max(accuracies)
    assert record["metrics"]["best_epoch"] == 1 + accuracies.index(max(accuracies))
    assert record["metrics"]["bn_channels"] == sum(record["metrics"]["bn_widths"]) == N
    assert scores.shape == (9, N)
    assert (scores[0] == 0.5).all()
    assert not (scores[1] == 0.5).all()
    assert record["cost"]["forward_flops"] == forward(dense)
    assert record["cost"]["training_flops"] == times(3 * 60 * 8, forward(dense))
    best = record["metrics"]["best_epoch"]
    assert {f.name for f in (folder / "weights").iterdir()} == {f"epoch_{e:04d}.pt" for e in {1, 6, best}}
    assert not (folder / "checkpoint.pt").exists()


def test_kept_weights_are_those_of_their_epoch(store):
    for epoch in (1, 6):
        weights = torch.load(store.folder(SEARCH) / "weights" / f"epoch_{epoch:04d}.pt", weights_only=True)
        scales = [v for k, v in weights.items() if k.endswith("weight") and v.ndim == 1]
        assert torch.cat(scales).abs().equal(scores_of(store)[epoch])


def test_a_draw_at_an_epoch_takes_its_mask_and_pays_for_the_search_so_far(store):
    ticket = Ticket(SEARCH, 0.5, 1)
    record = stages.draw(ticket, store)
    mask = load_mask(ticket, store, N)
    small = build("vgg16", 10, 0.0625, record["metrics"]["channels"])
    metrics = record["metrics"]

    assert record == {k: v for k, v in store.read(ticket).items() if k not in ("key", "stage", "files")}
    plain = global_mask(scores_of(store)[1], 0.5)
    assert (mask | plain).equal(mask)  # rescued channels come on top
    assert int(mask.sum()) == metrics["kept"] == int(plain.sum()) + metrics["rescued_layers"]
    assert metrics["channels"] == [int(m.sum()) for m in mask.split(bn_widths(build("vgg16", 10, 0.0625)))]
    assert metrics["removed_fraction"] == pytest.approx(1 - metrics["kept"] / N)
    assert metrics["parameters"] == sum(p.numel() for p in small.parameters())
    assert record["cost"]["forward_flops"] == forward(small)
    assert record["cost"]["search_flops"] == times(3 * 60 * 1, forward(build("vgg16", 10, 0.0625)))
    assert record["cost"]["draw_flops"] == cost.detector_flops(N, 1)


def test_an_early_bird_draw_is_at_emergence_and_pays_for_every_check(store):
    record = stages.draw(Ticket(SEARCH, 0.5, "eb"), store)
    assert record["metrics"]["epoch"] == record["metrics"]["emergence"]["authors"] == 6
    assert record["cost"]["search_flops"] == times(3 * 60 * 6, forward(build("vgg16", 10, 0.0625)))
    assert record["cost"]["draw_flops"] == cost.detector_flops(N, 7)  # before each of epochs 0 to 6


def test_a_best_draw_pays_for_the_whole_search(store):
    record = stages.draw(Ticket(SEARCH, 0.5, "best"), store)
    assert record["metrics"]["epoch"] == store.read(SEARCH)["metrics"]["best_epoch"]
    assert record["cost"]["search_flops"] == store.read(SEARCH)["cost"]["training_flops"]


def invented_search(store, model, width, scores):
    """A finished search of which only the scores are real."""
    search = Search(model, "digits", TINY, width=width, train_size=60, test_size=40)
    epochs = len(scores) - 1
    record = {
        "status": "ok",
        "metrics": {"epochs": epochs, "best_epoch": epochs, "last_accuracy": 50.0, "best_accuracy": 50.0},
        "cost": {n: dict.fromkeys(cost.CONVENTIONS, 1.0) for n in ("forward_flops", "training_flops")} | {"seconds": 1},
        "provenance": {},
    }
    store.write(search, record)
    save_array(store.folder(search) / "scores.npy", scores.numpy())
    return search


@pytest.mark.parametrize(("model", "width", "rescued"), [("vgg16", 0.0625, 1), ("preresnet20", 0.5, 0)])
def test_a_layer_that_the_mask_empties_keeps_one_channel(tmp_path, model, width, rescued):
    store, widths = Store(tmp_path), bn_widths(build(model, 10, width))
    scores = torch.rand(4, sum(widths), generator=torch.Generator().manual_seed(0)) + 1
    second = slice(widths[0], widths[0] + widths[1])
    scores[:, second] = torch.arange(widths[1]) / 100  # far below everything else
    search = invented_search(store, model, width, scores)

    metrics = stages.draw(Ticket(search, 0.3, 3), store)["metrics"]

    mask = load_mask(Ticket(search, 0.3, 3), store, sum(widths))
    assert metrics["channels"][1] == 1
    assert (metrics["empty_layers"], metrics["rescued_layers"]) == (1, rescued)
    assert mask[second].tolist() == [False] * (widths[1] - 1) + [bool(rescued)]  # the best-scored, or none


def test_a_ticket_that_never_emerges_is_a_record_and_so_is_its_retrain(tmp_path):
    store = Store(tmp_path)
    restless = torch.rand(4, N, generator=torch.Generator().manual_seed(0))
    ticket = Ticket(invented_search(store, "vgg16", 0.0625, restless), 0.5, "eb")
    drawn = stages.draw(ticket, store)
    assert (drawn["status"], drawn["metrics"]["epoch"]) == ("no-ticket", None)
    record = stages.retrain(Retrain(ticket, TINY), store, NOWHERE, CPU)
    assert (record["status"], record["metrics"]["epochs"]) == ("no-ticket", 0)
    assert store.read(Retrain(ticket, TINY))["metrics"]["last_accuracy"] is None


def test_a_diverged_search_is_a_record_and_so_is_what_follows(tmp_path):
    store, search = Store(tmp_path), tiny_search(replace(TINY, lr=1e6, milestones=()))
    found = stages.search(search, store, NOWHERE, CPU, Keep({1}))
    assert found["status"] == store.read(search)["status"] == "diverged"
    assert found["metrics"]["epochs"] < TINY.epochs
    assert found["metrics"]["last_train_loss"] is None
    for at in (1, "eb", "best"):
        ticket = Ticket(search, 0.5, at)
        assert stages.draw(ticket, store)["status"] == "no-ticket"
        assert stages.retrain(Retrain(ticket, TINY), store, NOWHERE, CPU)["status"] == "no-ticket"


def test_a_search_whose_last_step_diverges_is_recorded_as_diverged(tmp_path):
    recipe = replace(TINY, epochs=1, batch_size=60, lr=1e38, milestones=())  # one step, after a finite loss
    store, search = Store(tmp_path), tiny_search(recipe)
    found = stages.search(search, store, NOWHERE, CPU)
    assert math.isfinite(found["metrics"]["last_train_loss"])
    assert found["status"] == "diverged"
    assert stages.draw(Ticket(search, 0.5, 1), store)["status"] == "no-ticket"


def same(a, b):
    pairs = zip(a.state_dict().items(), b.state_dict().items(), strict=True)
    return all(name == other and x.shape == y.shape and torch.equal(x, y) for (name, x), (other, y) in pairs)


def test_inherit_starts_from_the_weights_of_the_draw_epoch_and_reinit_from_fresh_ones(store):
    ticket = Ticket(SEARCH, 0.5, 1)
    stages.draw(ticket, store)
    dense = build("vgg16", 10, 0.0625)
    path = store.folder(SEARCH) / "weights" / "epoch_0001.pt"
    dense.load_state_dict(torch.load(path, weights_only=True))
    ours = shrink(dense, load_mask(ticket, store, N))

    inherited = starting_network(Retrain(ticket), store, 5)
    fresh, again, other = (starting_network(Retrain(ticket, init="reinit"), store, seed) for seed in (5, 5, 6))

    assert same(inherited, ours)
    assert bn_widths(fresh) == bn_widths(ours)
    assert all((bn.weight == 0.5).all() for bn in fresh.modules() if isinstance(bn, torch.nn.BatchNorm2d))
    assert same(fresh, again)
    assert not same(fresh, other)


@pytest.mark.parametrize(("schedule", "trained"), [("full", range(1, 4)), ("continue", range(2, 9))])
def test_a_retrain_adds_up_search_draw_and_retrain(store, schedule, trained):
    ticket = Ticket(SEARCH, 0.5, 1)
    drawn = stages.draw(ticket, store)
    spec = Retrain(ticket, TINY if schedule == "full" else RECIPE, schedule=schedule)
    record = stages.retrain(spec, store, NOWHERE, CPU)
    ledger = record["cost"]

    lines = (store.folder(spec) / "history.csv").read_text().splitlines()[1:]
    assert [int(line.split(",")[0]) for line in lines] == list(trained)
    assert [float(line.split(",")[1]) for line in lines] == [
        pytest.approx(spec.recipe.lr_at(e - 1), rel=1e-5) for e in trained
    ]
    assert (record["status"], record["metrics"]["epochs"]) == ("ok", len(trained))
    assert ledger["retrain_flops"] == times(3 * 60 * len(trained), drawn["cost"]["forward_flops"])
    for c in cost.CONVENTIONS:
        parts = drawn["cost"]["search_flops"][c] + drawn["cost"]["draw_flops"] + ledger["retrain_flops"][c]
        assert ledger["training_flops"][c] == pytest.approx(parts)


def test_a_retrain_sees_batches_of_its_seed_other_than_its_searchs(store):
    ticket, recipe = Ticket(SEARCH, 0.5, 1), replace(TINY, epochs=1, milestones=(), lr=0.2)
    stages.draw(ticket, store)
    data, model = digits(), starting_network(Retrain(ticket, recipe), store)

    def first_loss(seed):
        return fit(copy.deepcopy(model), data, recipe, seed=seed).history[0]["train_loss"]

    for seed, own in ((None, SEARCH.seed), (4, 4)):
        record = stages.retrain(Retrain(ticket, recipe, seed=seed), store, NOWHERE, CPU)
        assert record["metrics"]["last_train_loss"] == first_loss(RETRAIN_SEED + own) != first_loss(own)


def test_best_and_its_epoch_are_trained_once(store):
    epoch = store.read(SEARCH)["metrics"]["best_epoch"]
    numbered, named = (Retrain(Ticket(SEARCH, 0.5, at), TINY) for at in (epoch, "best"))
    other = replace(named, init="reinit")
    stages.draw(numbered.ticket, store)
    stages.draw(named.ticket, store)
    trained = stages.retrain(numbered, store, NOWHERE, CPU)

    record = stages.retrain(named, store, NOWHERE, CPU)

    assert record["trained_as"] == store.read(named)["trained_as"] == key(numbered)
    assert record["metrics"] == trained["metrics"]
    assert record["cost"]["retrain_flops"] == trained["cost"]["retrain_flops"]
    assert record["cost"]["search_flops"] == store.read(SEARCH)["cost"]["training_flops"]  # known only at the end
    assert record["cost"]["seconds"] == trained["cost"]["seconds"]
    assert "trained_as" not in stages.retrain(other, store, NOWHERE, CPU)  # another initialisation: another training


def test_a_training_that_was_removed_is_run_again_and_not_taken_from_its_other_name(store):
    epoch = store.read(SEARCH)["metrics"]["best_epoch"]
    numbered, named = (
        Retrain(Ticket(SEARCH, 0.4, at), replace(TINY, epochs=1, milestones=())) for at in (epoch, "best")
    )
    for spec in (numbered, named):
        stages.draw(spec.ticket, store)
        stages.retrain(spec, store, NOWHERE, CPU)
    metrics = store.read(numbered)["metrics"]
    shutil.rmtree(store.folder(numbered))

    again = stages.retrain(numbered, store, NOWHERE, CPU)

    assert "trained_as" not in again
    assert again["metrics"] == metrics
    assert (store.folder(numbered) / "history.csv").is_file()
    assert store.read(named)["trained_as"] == key(numbered)


def test_what_has_not_been_run_is_named(tmp_path):
    store, ticket = Store(tmp_path), Ticket(SEARCH, 0.5, 1)
    with pytest.raises(UserError, match=f"^search {key(SEARCH)} has not been run"):
        stages.draw(ticket, store)
    with pytest.raises(UserError, match=f"^draw {key(ticket)} has not been run"):
        stages.retrain(Retrain(ticket), store, NOWHERE, CPU)


def without_weights(store, path):
    """A copy of the search as it lies in a repository: all but the weights."""
    copy = Store(path)
    shutil.copytree(store.folder(SEARCH), copy.folder(SEARCH), ignore=shutil.ignore_patterns("weights"))
    return copy


def test_weights_that_are_gone_are_grown_again(store, tmp_path):
    copy = without_weights(store, tmp_path)
    early, late = Ticket(SEARCH, 0.5, 1), Ticket(SEARCH, 0.5, 2)
    for ticket in (early, late):
        stages.draw(ticket, copy)
    stages.draw(early, store)
    assert stages.retrain(Retrain(early, TINY), copy, NOWHERE, CPU)["status"] == "ok"
    weights = copy.folder(SEARCH) / "weights"
    assert sorted(f.name for f in weights.iterdir()) == ["epoch_0001.pt", "epoch_0002.pt"]  # one training for both
    kept, grown = (torch.load(s.folder(SEARCH) / "weights" / "epoch_0001.pt", weights_only=True) for s in (store, copy))
    assert all(torch.equal(kept[k], grown[k]) for k in kept)
    assert copy.read(SEARCH) == store.read(SEARCH)


def disowned(store, spec):
    """Have a record vouch for no files, as those of earlier versions do not."""
    record = json.loads(store.record_path(spec).read_text())
    del record["files"]
    store.record_path(spec).write_text(json.dumps(record))


def test_weights_of_another_trajectory_are_not_passed_off_as_the_searchs(store, tmp_path):
    copy, ticket = without_weights(store, tmp_path), Ticket(SEARCH, 0.5, 2)
    path = copy.folder(SEARCH) / "scores.npy"
    scores = np.load(path)
    scores[2, 7] += 0.01
    np.save(path, scores)
    disowned(copy, SEARCH)
    stages.draw(ticket, copy)
    with pytest.raises(UserError, match=f"search {key(SEARCH)}: training it again .*off by 0.01 at epoch 2"):
        stages.retrain(Retrain(ticket, TINY), copy, NOWHERE, CPU)
    assert not any((copy.folder(SEARCH) / name).exists() for name in ("weights", ".again"))
    assert not copy.done(Retrain(ticket, TINY))


def test_damaged_scores_are_named(tmp_path):
    store = Store(tmp_path)
    search = invented_search(store, "vgg16", 0.0625, torch.rand(4, N))
    path = store.folder(search) / "scores.npy"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=f"^scores.npy of search {key(search)}: unreadable"):
        stages.draw(Ticket(search, 0.5, 1), store)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 truncated", None], ids=["empty", "truncated", "another run's"])
def test_a_checkpoint_that_is_not_this_runs_is_discarded(tmp_path, content):
    checkpoint = Checkpoint(tmp_path, "this-run", every=0.0)
    if content is None:
        Checkpoint(tmp_path, "another-run", every=0.0).save({"epoch": 3})
        assert checkpoint.path.is_file()
    else:
        checkpoint.path.write_bytes(content)
    assert checkpoint.load() is None


def test_a_checkpoint_is_written_no_more_often_than_asked(tmp_path):
    checkpoint = Checkpoint(tmp_path, "this-run", every=1e6)
    checkpoint.save({"epoch": 3})
    assert checkpoint.load() is None


def test_a_record_says_where_it_comes_from_without_host_user_or_path(store):
    text = store.record_path(SEARCH).read_text()
    provenance = store.read(SEARCH)["provenance"]
    assert provenance["versions"]["torch"] == metadata.version("torch")
    assert provenance["started"] <= provenance["ended"]
    assert provenance["threads"] == 1
    assert provenance["instructions"] == torch.backends.cpu.get_cpu_capability()
    assert provenance["command"] == f"ebreplicate search {key(SEARCH)} --device cpu --threads 1"
    assert re.fullmatch(r"\S+ Linux, \d+ cores, \d+ GiB, (no GPU|\d+ x .+)", provenance["host_class"])
    assert (provenance["precision"], provenance["driver"], provenance["processes"]) == ("fp32", None, 1)
    assert "/" not in "".join(str(v) for v in provenance.values() if isinstance(v, str))
    private = [socket.gethostname(), str(store.root), str(NOWHERE), str(Path.home()), str(Path.cwd())]
    assert [word for word in private if len(word) > 2 and word in text] == []

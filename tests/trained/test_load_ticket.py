"""Pruned networks of finished runs: with the weights that were trained, whether those were saved or not."""

import shutil
from dataclasses import replace

import pytest
import torch
from helpers import CPU, NOWHERE, TINY, digits, tiny_search

import ebreplicate
from ebreplicate import cli as command_line
from ebreplicate import interrupt, stages
from ebreplicate.errors import UserError
from ebreplicate.pruning import prunable_scores
from ebreplicate.pruning.weights import prunable
from ebreplicate.runner.inputs import network
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.spec import Retrain, Ticket, canonical, key
from ebreplicate.store.store import Store
from ebreplicate.training.loop import evaluate

SEARCH = tiny_search()
TICKET = Ticket(SEARCH, 0.5, 1)
RETRAIN = Retrain(TICKET, replace(TINY, epochs=2))
WEIGHTS = Ticket(SEARCH, 0.5, 1, method="magnitude")
LATER = Retrain(TICKET, TINY, schedule="continue")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("here") / "results")
    stages.search(SEARCH, store, NOWHERE, CPU, Keep({1}))
    for ticket in (TICKET, WEIGHTS):
        stages.draw(ticket, store)
    for spec in (RETRAIN, LATER):
        stages.retrain(spec, store, NOWHERE, CPU)
    return store


@pytest.mark.parametrize("spec", [RETRAIN, LATER], ids=["full", "continue"])
def test_a_retrain_gives_the_network_whose_accuracy_it_recorded(finished, spec):
    record = finished.read(spec)
    before = finished.record_path(spec).read_bytes()
    assert not (finished.folder(spec) / "weights").exists()
    model = ebreplicate.load_ticket(key(spec), finished.root)
    assert evaluate(model, digits())[1] == record["metrics"]["last_accuracy"]
    assert len(prunable_scores(model)) == sum(finished.read(TICKET)["metrics"]["channels"])
    assert finished.record_path(spec).read_bytes() == before
    assert not (finished.folder(spec) / ".again").exists()
    again = ebreplicate.load_ticket(finished.folder(spec))  # from the saved weights, by its folder
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))


def test_a_draw_gives_the_network_that_its_retrain_starts_from(finished):
    model = ebreplicate.load_ticket(key(TICKET), finished.root)
    assert len(prunable_scores(model)) == finished.read(TICKET)["metrics"]["kept"]
    dense = network(SEARCH)
    dense.load_state_dict(torch.load(finished.folder(SEARCH) / "weights" / "epoch_0001.pt", weights_only=True))
    scales = prunable_scores(dense)
    assert set(prunable_scores(model).tolist()) <= set(scales.tolist())


def test_a_ticket_over_weights_has_zeros(finished):
    model = ebreplicate.load_ticket(key(WEIGHTS), finished.root)
    nonzero = sum(int(w.count_nonzero()) for w in prunable(model))
    assert nonzero == finished.read(WEIGHTS)["metrics"]["kept"]


def test_a_training_that_comes_out_otherwise_is_refused(finished, tmp_path):
    store = Store(tmp_path / "results")
    shutil.copytree(finished.root, store.root, ignore=shutil.ignore_patterns("weights"))
    record = store.read(RETRAIN)
    record["metrics"]["last_accuracy"] += 2.5
    store.write(RETRAIN, {n: record[n] for n in ("status", "metrics", "cost", "provenance")})
    with pytest.raises(UserError, match=r"trained again here it ends at .* not at the recorded"):
        ebreplicate.load_ticket(key(RETRAIN), store.root)
    assert not (store.folder(RETRAIN) / "weights").exists()


def test_a_run_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="has no draw or retrain called 'nothing'"):
        ebreplicate.load_ticket("nothing", tmp_path)


@pytest.mark.parametrize("content", [b"{", b"\xff", canonical(SEARCH).encode()])
def test_a_run_whose_spec_is_none_is_named(finished, tmp_path, content):
    folder = tmp_path / "results" / "runs" / "retrain" / key(RETRAIN)
    shutil.copytree(finished.folder(RETRAIN), folder)
    (folder / "spec.json").write_bytes(content)
    with pytest.raises(UserError, match=f"^{folder}: "):
        ebreplicate.load_ticket(folder)


def test_the_command_line_says_how_to_have_weights_that_were_not_saved(finished, tmp_path, capsys):
    store = Store(tmp_path / "results")
    shutil.copytree(finished.root, store.root, ignore=shutil.ignore_patterns("weights"))
    arguments = ["retrain", canonical(RETRAIN), "--results", str(store.root), "--device", "cpu"]
    assert command_line.main([*arguments, "--keep-epochs", "2"]) == 0
    said = capsys.readouterr().err
    assert f"weights of epoch 2 were not saved; ebreplicate.load_ticket('{key(RETRAIN)}') trains them again" in said
    assert command_line.main(arguments) == 0
    assert "not saved" not in capsys.readouterr().err


def test_a_retrain_that_is_continued_says_which_weights_it_was_asked_for_too_late(finished, tmp_path, capsys):
    store = Store(tmp_path / "results")
    shutil.copytree(finished.root, store.root)
    shutil.rmtree(store.folder(RETRAIN))
    arguments = ["retrain", canonical(RETRAIN), "--results", str(store.root), "--device", "cpu"]
    codes = [command_line.main([*arguments, *more]) for more in (["--time-limit", "0"], ["--keep-epochs", "1", "2"])]
    interrupt.install(None)
    assert codes == [75, 0]
    assert "weights of epoch 1 were not saved; ebreplicate.load_ticket" in capsys.readouterr().err

"""A run over a graph: the same every time, its parts as the protocol has them, and checked again by verify."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic import edited

from ebreplicate import interrupt
from ebreplicate.cli import main
from ebreplicate.errors import UserError
from ebreplicate.graphs.data import blocks
from ebreplicate.graphs.gcn import Weights, random_stream
from ebreplicate.graphs.search import keep_weights
from ebreplicate.graphs.tickets import run, searched
from ebreplicate.graphs.training import Dropout, Trainer, start
from ebreplicate.interrupt import CONTINUE
from ebreplicate.pruning.graph import normalised_adjacency
from ebreplicate.specs.spec import GraphTickets, canonical, from_json
from ebreplicate.store.store import Store
from ebreplicate.verify import run_problems, verify

JOINT = GraphTickets("blocks", 0.3, 0.5, draws=(0, 4), epochs=12)
EDGES = GraphTickets("blocks", 0.3, draws=(0, 4), random_graphs=2, epochs=12)
WHOLE = GraphTickets("blocks", epochs=12)
GRAPH = blocks()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("graphs") / "results"
    assert main(["graph", *map(canonical, (WHOLE, EDGES, JOINT)), "--results", str(root)]) == 0
    return root


def test_a_run_is_the_same_every_time(results):
    record = Store(results).read(JOINT)
    assert run(JOINT, GRAPH).metrics == record["metrics"]


def test_another_seed_is_another_run():
    one, other = (run(replace(EDGES, seed=seed), GRAPH) for seed in (0, 1))
    assert one.history != other.history
    assert one.metrics["accuracy"] != other.metrics["accuracy"]


def test_every_arm_has_an_accuracy_a_draw_and_the_arms_differ(results):
    metrics = Store(results).read(JOINT)["metrics"]
    assert metrics["draws"] == [0, 4, metrics["draws"][-1]]
    arms = metrics["accuracy"]
    assert set(arms) == {"dense-fresh", "inherit-masked", "masked-fresh"}
    assert len({tuple(values) for values in arms.values()}) == 3
    assert len(Store(results).read(EDGES)["metrics"]["accuracy"]["random-edges"]) == 2
    assert set(Store(results).read(WHOLE)["metrics"]["accuracy"]) == {"unpruned"}


def test_before_the_search_all_edges_tie(results):
    assert Store(results).read(EDGES)["metrics"]["tied"][0] == 1


def test_edges_beyond_two_hops_of_the_labelled_nodes_never_part():
    """On a path of 40 nodes labelled at one end, edges that the loss does not reach keep one common weight."""
    path = np.stack([np.arange(39), np.arange(1, 40)], 1)
    parts = {"train": np.arange(3), "validation": np.arange(3, 6), "test": np.arange(6, 40)}
    graph = replace(GRAPH, edges=path, features=GRAPH.features[:40], labels=GRAPH.labels[:40], **parts)
    states, _ = searched(replace(EDGES, draws=(2,)), graph)  # before the first ADMM round
    # Nodes 0 to 2 have labels; two hops from them is node 4, whose normalised degree the edge to node 5 changes.
    near, beyond = states[0].edges[:5], states[0].edges[5:]
    assert len(beyond.unique()) == 1
    assert len(near.unique()) > 1


def test_a_masked_arm_stays_masked_and_side_by_side_is_as_alone():
    fresh = Weights.fresh(GRAPH.features.shape[1], GRAPH.classes, random_stream(0, "retrain"))
    ticket = Weights.fresh(GRAPH.features.shape[1], GRAPH.classes, random_stream(0, "search"))
    mask, everything = keep_weights(ticket, 0.9), np.ones(len(GRAPH.edges), bool)
    trainer = Trainer(GRAPH, everything, torch.ones(len(GRAPH.edges)))
    dropout = Dropout(11, GRAPH.nodes, random_stream(0, "dropout"))
    starts = [start(arm, fresh, ticket, mask) for arm in ("dense-fresh", "inherit-masked", "masked-fresh")]
    together = trainer.train(starts, dropout)
    assert together == [trainer.train([one], dropout)[0] for one in starts]
    dense, inherited, masked = (weights.flat for weights, _ in starts)
    assert torch.equal(dense, fresh.flat)
    assert torch.equal(inherited, ticket.flat * mask)
    assert torch.equal(masked, fresh.flat * mask)


def test_a_view_gives_the_output_of_the_whole_graph():
    adjacency, x = normalised_adjacency(GRAPH.edges, GRAPH.nodes), GRAPH.features
    weights = Weights.fresh(x.shape[1], GRAPH.classes, random_stream(3, "any"))
    w1, b1, w2, b2 = (p.squeeze().numpy() for p in weights.parts(weights.flat))
    whole = adjacency @ (np.maximum(adjacency @ (x @ w1) + b1, 0) @ w2) + b2
    trainer = Trainer(GRAPH, np.ones(len(GRAPH.edges), bool), torch.ones(len(GRAPH.edges)))
    right = whole[GRAPH.test].argmax(1) == GRAPH.labels[GRAPH.test]
    assert trainer.judges["test"].accuracies(weights) == [pytest.approx(100 * right.mean())]


def test_verify_agrees_with_what_was_run(results):
    runs, problems = verify(results)
    assert runs == 3
    assert [p for p in problems if "graph/" in p] == []


EDITS = {
    "accuracy": (lambda m: m["accuracy"]["dense-fresh"].__setitem__(0, 50.1), "is no count of 150 test nodes"),
    "emergence": (
        lambda m: m["emergence"].update(graph=6 if m["emergence"]["graph"] != 6 else 7),
        "the distances give",
    ),
    "epoch": (lambda m: m.update(epoch=9 if m["epoch"] != 9 else 8), "draws"),
    "edges": (lambda m: m["edges"].__setitem__(0, 700), "are removed, not"),
    "an arm": (lambda m: m["accuracy"].pop("masked-fresh"), "lacks masked-fresh"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_verify_names_what_was_edited(results, tmp_path, edit):
    change, message = EDITS[edit]
    store = edited(Store(results), JOINT, tmp_path, change)
    assert any(message in problem for problem in run_problems(store.folder(JOINT), store))


def test_a_missing_graph_is_said_before_anything_is_trained(tmp_path, capsys):
    arguments = [canonical(WHOLE), canonical(GraphTickets("cora")), "--results", str(tmp_path), "--data", str(tmp_path)]
    assert main(["graph", *arguments]) == 2
    assert "cora.npz" in capsys.readouterr().err
    assert not Store(tmp_path).done(WHOLE)


def test_a_run_that_is_asked_to_stop_says_so_and_begins_again(tmp_path, capsys):
    arguments = ["graph", canonical(WHOLE), canonical(EDGES), "--results", str(tmp_path)]
    assert main([*arguments, "--time-limit", "0"]) == CONTINUE
    assert "run the same command again" in capsys.readouterr().err
    assert not Store(tmp_path).done(EDGES)
    interrupt.install()
    assert main(arguments) == 0
    assert Store(tmp_path).done(EDGES)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dataset": "corra"}, "did you mean 'cora'"),
        ({"p_graph": 1.0}, r"GraphTickets.p_graph: must lie in \[0, 1\)"),
        ({"p_graph": 0.0, "p_weight": 0.5}, "GraphTickets.p_graph: must be positive"),
        ({"draws": [4, 2]}, "GraphTickets.draws: must increase"),
        ({"draws": [101]}, "GraphTickets.draws: must increase strictly in 0..100"),
        ({"epochs": 30}, "GraphTickets.epochs: must be a multiple of 4"),
        ({"seed": -1}, "GraphTickets.seed"),
        ({"random_graphs": -1}, "GraphTickets.random_graphs"),
    ],
)
def test_a_spec_that_means_nothing_is_refused_by_its_field(fields, message):
    body = {"numerics": 1, "spec": {"dataset": "cora", "p_graph": 0.5, **fields}, "stage": "graph"}
    with pytest.raises(UserError, match=message):
        from_json(json.dumps(body))

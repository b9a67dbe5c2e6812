"""The graph search, the joint search and retraining against the authors' GEBT code on small seeded graphs.

Masks and detector exactly, edge weights to 4e-7. Each update starts from the golden masks of the rounds before: two
values that differ in their last bit may swap places. Where the smallest kept and the largest dropped value are equal,
the mask is not defined, and only its count is compared.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch

from ebreplicate.graphs.data import Graph
from ebreplicate.graphs.gcn import Weights, fixed, forward, weight_adam, weight_gradient
from ebreplicate.graphs.search import EdgeSearch, keep_weights
from ebreplicate.graphs.sparse import Structure
from ebreplicate.graphs.training import Trainer
from ebreplicate.pruning.graph import GraphEarlyBird, edge_distance, keep_edges, normalised, normalised_adjacency

DATA = Path(__file__).parent / "data"
FACTS = json.loads((DATA / "gebt.json").read_text())
NUMBERS = dict(np.load(DATA / "gebt.npz"))
NAMES = ("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias")
graphs = pytest.mark.parametrize("number", [0, 1])


def case(facts):
    return f"graph{facts['graph']}-case{facts.get('case', 'inherit')}"


def graph(number):
    parts = [np.flatnonzero(row) for row in NUMBERS[f"graph_{number}_masks"]]
    edges, labels = (NUMBERS[f"graph_{number}_{name}"].astype(np.int64) for name in ("edges", "y"))
    return Graph(edges, scipy.sparse.csr_matrix(NUMBERS[f"graph_{number}_x"]), labels, *parts)


def weights(prefix, names=NAMES, row=None):
    w1, b1, w2, b2 = (
        torch.tensor(NUMBERS[f"{prefix}{n}"] if row is None else NUMBERS[f"{prefix}{n}"][row]) for n in names
    )
    return Weights(w1[:, None], b1[None], w2[None], b2[None])


def far(a, b):
    return float((torch.as_tensor(a) - torch.as_tensor(b)).abs().max())


def search_of(number, percent, **flags):
    data = graph(number)
    view = Structure(data.edges, data.nodes).view(data.train, data.features)
    return EdgeSearch(view, torch.from_numpy(data.labels[data.train]), percent / 100, seed=0, **flags)


def tied_at_the_cut(values, kept):
    return values[kept].min() <= values[~kept].max()


@graphs
def test_the_network_and_its_training(number):
    data, first = graph(number), weights(f"graph_{number}_")
    everywhere = Structure(data.edges, data.nodes).view(np.arange(data.nodes), data.features)
    ones = torch.ones(len(data.edges))
    logits = forward(first.parts(first.flat), everywhere, fixed(everywhere, ones))
    assert far(torch.log_softmax(logits[:, 0], 1), NUMBERS[f"gcn_{number}_logp"]) < 5e-7
    trainer, adam = Trainer(data, np.ones(len(data.edges), bool), ones), weight_adam(first)
    for _ in range(10):
        trainer.update(first, adam, dropout=None)
    assert far(first.flat, weights(f"pretrained_{number}_").flat) < 2e-6


@graphs
def test_the_normalised_adjacency_is_that_of_the_network(number):
    data, first = graph(number), weights(f"graph_{number}_")
    adjacency = normalised_adjacency(data.edges, data.nodes)
    w1, b1, w2, b2 = (p.squeeze().numpy() for p in first.parts(first.flat))
    hidden = np.maximum(adjacency @ (data.features @ w1) + b1, 0)
    logits = adjacency @ (hidden @ w2) + b2
    logp = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert np.abs(logp - NUMBERS[f"gcn_{number}_logp"]).max() < 1e-6


@pytest.mark.parametrize("facts", [f for f in FACTS["functions"] if "ties" not in f], ids=str)
def test_edges_that_are_kept(facts):
    values, kept = (NUMBERS[f"prune_{facts['case']}_{n}"] for n in ("values", f"kept_{facts['percent']}"))
    mask = keep_edges(values, facts["percent"] / 100, seed=1)
    assert mask.tolist() == kept.tolist()
    assert int((~mask).sum()) == facts["pruned"]


@pytest.mark.parametrize("facts", [f for f in FACTS["functions"] if "ties" in f], ids=str)
def test_how_many_of_equal_edges_go(facts):
    mask = keep_edges(np.ones(facts["edges"], np.float32), facts["percent"] / 100, seed=1)
    assert int((~mask).sum()) == facts["pruned"]


@pytest.mark.parametrize("facts", FACTS["geb"], ids=case)
def test_the_graph_search(facts):
    prefix = f"geb_{facts['graph']}_{facts['case']}_"
    trained, percent = weights(f"pretrained_{facts['graph']}_"), facts["percent"]
    search = search_of(facts["graph"], percent, live=facts["gradient_mask"].startswith("live"))
    detector, exact = GraphEarlyBird("graph"), 0
    for epoch, (values, kept) in enumerate(zip(NUMBERS[prefix + "a"], NUMBERS[prefix + "kept"], strict=True)):
        search.update(trained)
        assert far(search.edges, values) < 4e-7
        again = keep_edges(values, percent / 100, seed=0)
        assert again.sum() == kept.sum() == facts["kept_per_epoch"][epoch]
        if not tied_at_the_cut(values, kept):
            assert again.tolist() == kept.tolist()
            exact += 1
        detector.update(kept)
        if (epoch + 1) % facts["epochs_per_round"] == 0:
            search.close_round(NUMBERS[prefix + "z"][search.rounds])
    assert exact > 0.7 * facts["rounds"] * facts["epochs_per_round"]
    assert [[e, 2 * d[0]] for e, d in enumerate(detector.distances, 3)] == facts["distance_max_of_3"]
    assert np.array_equal(NUMBERS[prefix + "final"], np.where(kept, values, 0))


@pytest.mark.parametrize("facts", FACTS["joint"], ids=case)
def test_the_joint_search(facts):
    prefix, own = f"joint_{facts['graph']}_{facts['case']}_", weights(f"graph_{facts['graph']}_")
    search, adam = search_of(facts["graph"], facts["percent_graph"]), weight_adam(own)
    detector = GraphEarlyBird("mean", threshold=facts["threshold_on_mean"])
    epochs = len(NUMBERS[prefix + "kept"])
    stored = {epoch: row for row, epoch in enumerate((0, 1, 2, epochs - 1))}
    for epoch in range(epochs):
        adam.step(weight_gradient(own, search.view, fixed(search.view, search.edges), search.labels, None)[1])
        if epoch in stored:
            assert far(own.flat, weights(prefix, ("w1", "b1", "w2", "b2"), stored[epoch]).flat) < 2e-6
        masks = [np.unpackbits(NUMBERS[f"{prefix}mask{i}"][epoch]).astype(bool) for i in (1, 2)]
        masks = [m[: int(np.prod(s))].reshape(s) for m, s in zip(masks, (own.shapes[0], own.shapes[2]), strict=True)]
        mask = keep_weights(own, facts["percent_weights"] / 100)
        w1, _, w2, _ = own.parts(mask)
        assert np.array_equal(w1, masks[0])
        assert np.array_equal(w2, masks[1])
        own.flat.mul_(mask)
        search.update(own)
        if epoch in stored:
            assert far(search.edges, NUMBERS[prefix + "a"][stored[epoch]]) < 4e-7
        kept = NUMBERS[prefix + "kept"][epoch]
        if not tied_at_the_cut(search.edges.numpy(), kept):
            assert search.keep().tolist() == kept.tolist()
        detector.update(kept, masks)
        search.close_round(NUMBERS[prefix + "z"][epoch])
    assert detector.first == facts["fired_at"]
    raw = zip(facts["graph_distance"], facts["weight_distance_layer1_layer2"], strict=True)
    assert detector.distances == [(g // 2, int(a), int(b)) for (_, g), (_, a, b) in raw]
    ours = normalised(detector.distances)
    for row, (_, of_weights, of_graph, mean) in enumerate(facts["normalised"][3:]):
        for rule, value in (("weights", of_weights), ("graph", of_graph), ("mean", mean)):
            expected = np.nan if value is None else value
            assert ours[rule][row] == pytest.approx(expected, rel=1e-6, nan_ok=True)


@graphs
def test_a_ticket_that_inherits_its_weights_stays_masked(number):
    ticket, edges = weights(f"ticket_{number}_"), torch.tensor(NUMBERS[f"ticket_{number}_adj"])
    trainer, adam, mask = Trainer(graph(number), (edges != 0).numpy(), edges), weight_adam(ticket), ticket.flat != 0
    for update in range(8):
        trainer.update(ticket, adam, dropout=None, mask=mask)
        if update in (0, 7):
            assert far(ticket.flat, weights(f"retrain_{number}_inherit_", row=int(update > 0)).flat) < 5e-7
    (facts,) = (f for f in FACTS["retrain"] if f["graph"] == number and f["inherit"])
    w1, _, w2, _ = ticket.parts(ticket.flat)
    assert int((w1 == 0).sum() + (w2 == 0).sum()) == facts["zero_weights_after"]
    assert w1.numel() + w2.numel() == facts["weights"]


@graphs
def test_distances_count_both_directions(number):
    one, other = (NUMBERS[f"geb_{number}_0_kept"][epoch] for epoch in (0, -1))
    matrices = np.zeros((2, 80, 80), bool)
    for matrix, kept in zip(matrices, (one, other), strict=True):
        for i, j in NUMBERS[f"graph_{number}_edges"][kept]:
            matrix[i, j] = matrix[j, i] = True
    assert edge_distance(one, other) == int((matrices[0] != matrices[1]).sum())

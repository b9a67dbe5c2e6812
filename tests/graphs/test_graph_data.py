"""Graphs from files: checked before they are read, nothing unpickled but arrays, bad ones refused by name."""

import collections
import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from ebreplicate.catalog import GRAPHS
from ebreplicate.errors import UserError
from ebreplicate.graphs import data

SPLIT = (np.array([0]), np.array([1]), np.array([2]))
LABELS = np.array([0, 1, 0])
SHARED = Path(__file__).parents[3] / "shared" / "data" / "planetoid"
FILES = next((p for p in (SHARED, Path(os.environ.get("EBREPLICATE_DATA", "data"), "planetoid")) if p.is_dir()), None)
here = pytest.mark.skipif(FILES is None, reason="no planetoid/*.npz beside this project or in EBREPLICATE_DATA")


def features(rows=3):
    return scipy.sparse.csr_matrix(np.arange(2.0 * rows).reshape(rows, 2))


def test_rows_are_divided_by_their_sum_and_a_row_of_zeros_stays():
    x = scipy.sparse.csr_matrix([[1.0, 3.0], [0.0, 0.0], [5.0, 0.0]])
    graph = data.make_graph(np.array([[0, 1]]), x, LABELS, SPLIT)
    assert graph.features.toarray().tolist() == [[0.25, 0.75], [0, 0], [1, 0]]


@pytest.mark.parametrize(
    ("edges", "x", "labels", "message"),
    [
        ([[0, 3]], features(), LABELS, "node index out of range in edge 0"),
        ([[0, -1]], features(), LABELS, "node index out of range"),
        ([[0, 1]], features(4), LABELS, "features: 4 rows, and the graph has 3 nodes"),
        ([[1, 1]], features(), LABELS, "self-loop"),
        ([[0, 1], [1, 0]], features(), LABELS, "stands twice"),
        ([[0.5, 1]], features(), LABELS, "expected integers"),
        ([[0, 1]], features(), np.array([0, 1, -1]), "test: node 2 has no label"),
    ],
)
def test_a_graph_that_does_not_fit_is_refused_by_name(edges, x, labels, message):
    with pytest.raises(UserError, match=message):
        data.make_graph(np.array(edges), x, labels, SPLIT)


def test_a_missing_graph_is_one_message_with_file_hash_and_source(tmp_path):
    with pytest.raises(UserError) as e:
        data.load("cora", tmp_path)
    assert all(part in str(e.value) for part in ("planetoid/cora.npz", data.NPZ_SHA256["cora"], data.ORIGIN))


@pytest.mark.parametrize("path", ["planetoid/cora.npz", "Cora/raw/ind.cora.x"])
def test_a_damaged_file_is_refused_with_both_hashes(tmp_path, path):
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_bytes(b"not a graph")
    expected = data.NPZ_SHA256["cora"] if path.endswith("npz") else data.RAW_SHA256["cora"]["x"]
    with pytest.raises(UserError, match="damaged") as e:
        data.load("cora", tmp_path)
    assert expected in str(e.value)
    assert file.name in str(e.value)


def test_an_unknown_graph_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="did you mean 'cora'"):
        data.load("corra", Path("nowhere"))


@pytest.mark.parametrize("content", [os.system, collections.OrderedDict(), {"a": Path("x")}], ids=str)
def test_a_pickle_of_anything_but_arrays_is_refused(content):
    with pytest.raises(UserError, match="is not allowed here"):
        data.unpickle(pickle.dumps(content))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_pickles_of_arrays_are_read(protocol):
    matrix, neighbours = features(), collections.defaultdict(list, {0: [1]})
    for content in (matrix, matrix.toarray(), neighbours):
        found = data.unpickle(pickle.dumps(content, protocol))
        if scipy.sparse.issparse(content):
            assert (found != content).nnz == 0
        else:
            assert np.all(found == content)


def test_a_cut_off_pickle_is_refused():
    with pytest.raises(UserError, match="pickle: refused"):
        data.unpickle(pickle.dumps(features())[:-20])


def packed_as_raw(name, root):
    """The raw files of a graph, rebuilt from its npz as its README says; their bytes are not the original's."""
    with np.load(io.BytesIO((FILES / f"{name}.npz").read_bytes())) as z:
        nodes, width = z["shape"][:2]
        col, row = np.divmod(np.cumsum(z["x_gap"].astype(np.int64)), nodes)
        x = scipy.sparse.csr_matrix((np.ones(len(row), np.float32), (row, col)), (nodes, width))
        onehot = np.eye(z["y"].max() + 1, dtype=np.int32)[np.maximum(z["y"], 0)] * (z["y"] >= 0)[:, None]
        test, n_all, n_train = z["test_index"].astype(int), int(z["n_all"]), int(z["n_train"])
        lists = np.split(z["graph_nbr"].astype(int), z["graph_ptr"][1:-1].astype(int))
        neighbours = {i: found.tolist() for i, found in enumerate(lists)}
    return x[:n_all], x[test], onehot[:n_all], onehot[test], neighbours, test, n_train, nodes


@here
@pytest.mark.parametrize("name", ["cora", "citeseer"])
def test_the_raw_layout_and_the_npz_give_one_graph(name, tmp_path):
    (tmp_path / "planetoid").symlink_to(FILES)
    packed, raw = data.load(name, tmp_path), data.assemble(*packed_as_raw(name, tmp_path))
    assert np.array_equal(packed.edges, raw.edges)
    assert (packed.features != raw.features).nnz == 0
    assert np.array_equal(packed.labels, raw.labels)
    assert all(np.array_equal(packed.judged[part], raw.judged[part]) for part in packed.judged)
    assert len(packed.edges) == GRAPHS[name].edges
    assert packed.features.shape == (GRAPHS[name].nodes, GRAPHS[name].features)


def test_the_stand_in_has_the_sizes_it_is_listed_with():
    graph, info = data.blocks(), GRAPHS["blocks"]
    assert (graph.nodes, len(graph.edges), graph.classes) == (info.nodes, info.edges, info.classes)
    same = graph.labels[graph.edges[:, 0]] == graph.labels[graph.edges[:, 1]]
    assert 0.6 < same.mean() < 0.73

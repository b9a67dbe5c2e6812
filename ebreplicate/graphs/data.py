"""Citation graphs: Planetoid's files without running a pickle, and a stochastic block model that needs no file."""

import functools
import hashlib
import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from ebreplicate.catalog import GRAPH_FOLDER, GRAPHS
from ebreplicate.errors import UserError, unknown
from ebreplicate.files import atomic_write, regular_bytes
from ebreplicate.pruning.graph import checked_edges

LIMIT = 64 << 20
"""Bytes of the largest file; PubMed's features have 8 million."""
ORIGIN = "https://github.com/kimiyoung/planetoid/raw/af6abf4/data/"
PARTS = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")
NPZ_SHA256 = {
    "cora": "101444bf20ebddf78d514e6afcf0413ae26a1b0c5dfe41a41776ad78deed6682",
    "citeseer": "72439bf5753b07b9e6c535fbe7389aa30cecd7bc86bcc0602ca24141e0def133",
    "pubmed": "8987b135e64dcfe6c2397e040adb8ee6a72989c59d5cf1257686ae936d017e28",
}
RAW_SHA256 = {
    "citeseer": {
        "x": "d20de19150741e555de0ed037195630fc194114ebc7fd72ced62810148aa22f6",
        "tx": "539a8906a2da97628d212f2fdd668c109a8b3f0d36574b59e5d3fd5b5303da21",
        "allx": "2ac30345d95c9ec933a817ee0bdd6a5f077f8c184a20e696910192d534414668",
        "y": "8ba87e515d8e3ee3cf52f6d2c5b86aa73f11ecad825a808455209ec26cd54924",
        "ty": "55e5bd1ba1e733a04598753ad1a8d57957f4b8f89e74519f41f4f4938767e4ce",
        "ally": "f704b2d986dde6c2669934de1f3ae5696a6cf9455c0f6b2646a2d135ea0a1c95",
        "graph": "d79a4ef9d3e7169aee8946145f6b7306e35bc79bffad26346cfb94e10e9912a7",
        "test.index": "2af990671580b6b2df5d158d1038f8292e30c9cd821b5453f399659b25b723d4",
    },
    "cora": {
        "x": "23cfa55d91c6f624233f5eb7b6e3f141f1bd2b2ae39608a63cf5d084bb27baab",
        "tx": "b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a",
        "allx": "9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543",
        "y": "94465c14eb53e04ca262198dcbb2521ee8af60fb3f3d546cd6ca24a511b0e7d1",
        "ty": "41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad",
        "ally": "2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71",
        "graph": "58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d",
        "test.index": "297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875",
    },
    "pubmed": {
        "x": "fbe9cb5c47200d1b7769a26e579be3b7130b556831f9d850e77c4c74f2599b33",
        "tx": "4eb5f5d0f30f26497eb0ac6ac9719d09c67e284f1ed0385c93f3ef27a671da3d",
        "allx": "508e538e2abdccdd54c4d3e9f49d638b4af7107d85845f66ddea5a5152658b7e",
        "y": "e6c807633307a07ed659249006536a147c7999c797f11a2560752990181b41b3",
        "ty": "ee2e0d4819d9fbcc403689c3bf2e49face401b605932f093bc58ab6461130fdd",
        "ally": "0c37bbe3b5014ec365e9d393cf4791925e5ed94fb194305d74f064a8d7b50f0e",
        "graph": "5b89f0036ca22909471f1e6558eb42fa06e0c730a577bde5b058b40638f81dc9",
        "test.index": "b101d421688bbaecbd82e8a18f1e282378d6830f3a37666f28ebc47f844341b5",
    },
}
"""Of the 24 files of the planetoid repository (commit af6abf4), by graph and part."""


@dataclass(frozen=True)
class Graph:
    """A graph with features and a split of its nodes.

    `edges`: int (M, 2), each once, first < second. `features`: float32 CSR (N, F), every row divided by its sum.
    `labels`: int (N,), -1 where a node has none. `train`, `validation`, `test`: node indices.
    """

    edges: np.ndarray
    features: scipy.sparse.csr_matrix
    labels: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return len(self.labels)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.labels.max()) + 1

    @property
    def judged(self) -> dict[str, np.ndarray]:
        """The nodes that accuracies are of, int (k,) each, by name."""
        return {"validation": self.validation, "test": self.test}


def make_graph(
    edges: np.ndarray, features: scipy.sparse.csr_matrix, labels: np.ndarray, split: tuple[np.ndarray, ...]
) -> Graph:
    """Check and normalise a graph; raises UserError naming what does not fit.

    `features` (N, F) are divided by their row sums (a row of zeros stays). `split`: training, validation, test nodes.
    """
    nodes = len(labels)
    if features.shape[0] != nodes:
        raise UserError(f"features: {features.shape[0]} rows, and the graph has {nodes} nodes (one label each)")
    pairs = checked_edges(edges, nodes)
    for name, part in zip(("train", "validation", "test"), split, strict=True):
        if len(part) == 0 or part.min() < 0 or part.max() >= nodes:
            raise UserError(f"{name}: node index out of range; the graph has {nodes} nodes")
        if (labels[part] < 0).any():
            raise UserError(f"{name}: node {part[labels[part] < 0][0]} has no label; leave it out of the split")
    sums = np.asarray(features.sum(1)).ravel()
    scale = np.divide(1, sums, out=np.zeros_like(sums), where=sums != 0)
    rows = scipy.sparse.csr_matrix(scipy.sparse.diags(scale) @ features, dtype=np.float32)
    rows.sort_indices()
    return Graph(pairs, rows, labels.astype(np.int64), *(np.asarray(p, np.int64) for p in split))


@functools.lru_cache(maxsize=1)
def load(name: str, root: Path) -> Graph:
    """Load a graph by name: from `<root>/planetoid/<name>.npz`, else from `<root>/<Name>/raw/ind.<name>.<part>`.

    Every file is checked by SHA-256 before it is read. Raises UserError, naming the file, for one that is missing or
    damaged.
    """
    if name not in GRAPHS:
        raise unknown("dataset", name, GRAPHS)
    if name == "blocks":
        return blocks()
    packed = root / GRAPH_FOLDER / f"{name}.npz"
    return _from_npz(name, packed) if packed.is_file() else _from_raw(name, root)


def prepare(name: str, root: Path) -> None:
    """Verify a graph's files, or download the raw ones where none is there. Raises UserError if that fails."""
    raw = raw_folder(name, root)
    if not (root / GRAPH_FOLDER / f"{name}.npz").is_file() and not raw.is_dir():
        _download(name, raw)
    load(name, root)


def raw_folder(name: str, root: Path) -> Path:
    """Where torch_geometric keeps the raw files: <root>/Cora/raw, for example."""
    return root / GRAPHS[name].title / "raw"


def _checked(path: Path, expected: str) -> bytes:
    """Content of a file whose SHA-256 is known."""
    try:
        content = regular_bytes(path, LIMIT)
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) else e
        raise UserError(f"{path}: cannot be read ({reason}); expected SHA-256 {expected}; {_source(path)}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise UserError(f"{path}: damaged, SHA-256 {found}, expected {expected}; {_source(path)}")
    return content


def _source(path: Path) -> str:
    name = path.stem if path.suffix == ".npz" else path.name.split(".")[1]
    return f"`python -m ebreplicate data {name}` downloads {ORIGIN}ind.{name}.*"


def _from_npz(name: str, path: Path) -> Graph:
    with np.load(io.BytesIO(_checked(path, NPZ_SHA256[name])), allow_pickle=False) as arrays:
        nodes, width = (int(n) for n in arrays["shape"][:2])
        column, row = np.divmod(np.cumsum(arrays["x_gap"].astype(np.int64)), nodes)
        values = arrays["x_val"] if "x_val" in arrays.files else np.ones(len(row), np.float32)
        features = scipy.sparse.csr_matrix((values, (row, column)), (nodes, width), np.float32)
        train = np.arange(int(arrays["n_train"]))
        validation = len(train) + np.arange(500)
        split = train, validation, np.sort(arrays["test_index"].astype(np.int64))
        return make_graph(arrays["edges"].astype(np.int64), features, arrays["y"].astype(np.int64), split)


ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"): ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"): ("numpy", "ndarray"),
    ("numpy", "dtype"): ("numpy", "dtype"),
    ("scipy.sparse.csr", "csr_matrix"): ("scipy.sparse", "csr_matrix"),
    ("scipy.sparse._csr", "csr_matrix"): ("scipy.sparse", "csr_matrix"),
    ("collections", "defaultdict"): ("collections", "defaultdict"),
    ("__builtin__", "list"): ("builtins", "list"),
    ("__builtin__", "object"): ("builtins", "object"),
    ("builtins", "list"): ("builtins", "list"),
    ("copy_reg", "_reconstructor"): ("copyreg", "_reconstructor"),
    ("_codecs", "encode"): ("_codecs", "encode"),
}
"""Names that a pickle of Planetoid may ask for, written by Python 2 or 3, and what each stands for."""


class _ArraysOnly(pickle.Unpickler):
    """Unpickle numpy and scipy arrays, dictionaries and lists; anything else is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what an allowed name stands for."""
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed here")
        return super().find_class(*ALLOWED[module, name])


def unpickle(content: bytes) -> Any:
    """Arrays of a pickle, numpy and scipy only; raises UserError for a pickle that asks for anything else."""
    try:
        return _ArraysOnly(io.BytesIO(content), encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, AttributeError, TypeError, ValueError, IndexError, KeyError) as e:
        raise UserError(f"pickle: refused ({e})") from None


def _from_raw(name: str, root: Path) -> Graph:
    """Assemble a graph from the raw files, as torch_geometric's Planetoid does."""
    folder = raw_folder(name, root)
    if not folder.is_dir():
        packed = root / GRAPH_FOLDER / f"{name}.npz"
        raise UserError(
            f"{name}: neither {packed} (SHA-256 {NPZ_SHA256[name]}) nor {folder}/ind.{name}.* is here; "
            f"`python -m ebreplicate data {name}` downloads {ORIGIN}ind.{name}.*"
        )
    content = {part: _checked(folder / f"ind.{name}.{part}", RAW_SHA256[name][part]) for part in PARTS}
    _, tx, allx, y, ty, ally, graph = (unpickle(content[part]) for part in PARTS[:-1])
    test = np.array(content["test.index"].split(), np.int64)
    return assemble(allx, tx, ally, ty, graph, test, len(y), GRAPHS[name].nodes)


def assemble(
    allx: Any, tx: Any, ally: Any, ty: Any, neighbours: dict[int, list[int]], test: np.ndarray, train: int, nodes: int
) -> Graph:
    """Put Planetoid's parts together; features of shapes (n, F), labels one-hot (n, C).

    Test nodes lie where `test` (k,) says; a node of no part has no features and no label.
    """
    head = allx.shape[0]
    features = scipy.sparse.lil_matrix((nodes, allx.shape[1]), dtype=np.float32)
    features[:head], features[test] = allx, tx
    labels = np.full(nodes, -1, np.int64)
    for where, onehot in ((np.arange(head), np.asarray(ally)), (test, np.asarray(ty))):
        labels[where] = np.where(onehot.sum(1) > 0, onehot.argmax(1), -1)
    pairs = np.array([(i, j) for i, found in neighbours.items() for j in found], np.int64)
    pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    split = np.arange(train), train + np.arange(500), np.sort(test)
    return make_graph(np.unique(pairs, axis=0), features.tocsr(), labels, split)


def _download(name: str, folder: Path) -> None:
    import urllib.error
    import urllib.request

    for part in PARTS:
        url = f"{ORIGIN}ind.{name}.{part}"
        try:
            with urllib.request.urlopen(url, timeout=60) as response:
                content = response.read(LIMIT)
        except (urllib.error.URLError, TimeoutError, OSError) as e:
            raise UserError(f"{name}: {url} cannot be downloaded ({e}); put the files into {folder}") from None
        found = hashlib.sha256(content).hexdigest()
        if found != RAW_SHA256[name][part]:
            raise UserError(f"{name}: {url} has SHA-256 {found}, expected {RAW_SHA256[name][part]}; nothing was kept")
        atomic_write(folder / f"ind.{name}.{part}", content)


def blocks() -> Graph:
    """Make a stochastic block model: 3 classes of 80 nodes, 720 edges, two in three of them within a class, 60 binary
    features, 20 of which are likelier in a class. It is made from a fixed seed, the same everywhere."""
    info, rng = GRAPHS["blocks"], np.random.default_rng(0)
    labels = np.arange(info.nodes) % info.classes
    found: set[tuple[int, int]] = set()
    while len(found) < info.edges:
        i, j = (int(n) for n in rng.integers(0, info.nodes, 2))
        if i != j and (rng.random() < 0.8) == (labels[i] == labels[j]):
            found.add((min(i, j), max(i, j)))
    own = np.arange(info.features)[None, :] % info.classes == labels[:, None]
    features = rng.random((info.nodes, info.features)) < np.where(own, 0.15, 0.08)
    split = np.arange(30), np.arange(30, 90), np.arange(90, info.nodes)
    return make_graph(np.array(sorted(found)), scipy.sparse.csr_matrix(features.astype(np.float32)), labels, split)

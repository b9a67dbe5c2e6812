"""CIFAR files are verified before anything is trained. The files here are small stand-ins with their own MD5s."""

import hashlib
import io
import pickle
import sys
import types

import numpy as np
import pytest

from ebreplicate.data import arrays
from ebreplicate.errors import UserError

FILES = {
    "cifar10": ["a/data_batch_1", "a/data_batch_2", "a/test_batch"],
    "cifar100": ["b/train", "b/test"],
}
LABEL = {"cifar10": "labels", "cifar100": "fine_labels"}


def batch(label, seed, count=4):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, 3 * 32 * 32), dtype=np.uint8)
    return {"data": pixels, label: rng.integers(0, 10, count).tolist(), "filenames": ["x.png"] * count}


@pytest.fixture(params=sorted(FILES))
def cifar(request, tmp_path, monkeypatch):
    """A stand-in of one dataset: its name, root and batches in file order."""
    name, sums, batches = request.param, {}, []
    for seed, file in enumerate(FILES[name]):
        batches.append(batch(LABEL[name], seed))
        content = pickle.dumps(batches[-1], protocol=4)
        sums[file] = hashlib.md5(content).hexdigest()
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(content)
    monkeypatch.setitem(arrays.FILES, name, sums)
    return name, tmp_path, batches


def test_verified_files_load_in_order(cifar):
    name, root, batches = cifar
    loaded = arrays.load(name, root)
    pixels = np.concatenate([b["data"] for b in batches[:-1]]).reshape(-1, 3, 32, 32)
    assert (loaded.train.images.numpy() == pixels).all()
    assert loaded.train.labels.tolist() == [y for b in batches[:-1] for y in b[LABEL[name]]]
    assert (loaded.test.images.numpy() == batches[-1]["data"].reshape(-1, 3, 32, 32)).all()
    assert loaded.test.labels.tolist() == batches[-1][LABEL[name]]


def test_one_flipped_byte_is_refused(cifar):
    name, root, _ = cifar
    path = root / FILES[name][-1]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"{FILES[name][-1]}: corrupted .*delete it and fetch it again"):
        arrays.load(name, root)


@pytest.fixture
def torchvision(monkeypatch):
    """A torchvision that only notes what it is asked to download; `effect` is what then happens."""
    fake = types.SimpleNamespace(asked=[], effect=lambda: None)

    def fetch(url, root, filename, md5):
        fake.asked.append((url, root, filename, md5))
        fake.effect()

    def kind(name):  # no class that could be made: torchvision's would unpickle the files
        return types.SimpleNamespace(url=f"of {name}", filename=f"{name}.tar.gz", tgz_md5=f"md5 of {name}")

    fake.datasets = types.SimpleNamespace(CIFAR10=kind("cifar10"), CIFAR100=kind("cifar100"), MNIST=None)
    monkeypatch.setitem(sys.modules, "torchvision", fake)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", fake.datasets)
    utils = types.SimpleNamespace(download_and_extract_archive=fetch)
    monkeypatch.setitem(sys.modules, "torchvision.datasets.utils", utils)
    return fake


def test_what_is_missing_and_cannot_be_fetched_is_named_with_all_that_is_needed(cifar, torchvision):
    name, root, _ = cifar
    (root / FILES[name][-1]).unlink()

    def no_network():
        raise OSError("no route to host")

    torchvision.effect = no_network
    with pytest.raises(UserError) as caught:
        arrays.load(name, root)
    message = str(caught.value)
    assert message.startswith(f"data: could not download {name} (no route to host)")
    assert f"under {root}: {', '.join(f'{file} (MD5 {md5})' for file, md5 in arrays.FILES[name].items())}" in message


def test_a_run_fetches_what_is_missing_and_verifies_it(cifar, torchvision):
    name, root, _ = cifar
    last = root / FILES[name][-1]
    content = last.read_bytes()
    last.unlink()
    torchvision.effect = lambda: last.write_bytes(content)
    arrays.load(name, root)
    arrays.load(name, root)
    assert torchvision.asked == [(f"of {name}", str(root), f"{name}.tar.gz", f"md5 of {name}")]

    last.unlink()
    torchvision.effect = lambda: last.write_bytes(b"something else")
    with pytest.raises(UserError, match="corrupted"):
        arrays.load(name, root)


def test_download_leaves_verified_files_alone(cifar, monkeypatch):
    name, root, _ = cifar
    monkeypatch.setitem(__import__("sys").modules, "torchvision", None)  # importing it would fail
    arrays.download(name, root)


def test_the_listed_files_are_the_whole_datasets():
    assert {name: len(files) for name, files in arrays.FILES.items()} == {"cifar10": 6, "cifar100": 2, "mnist": 4}
    sums = [md5 for files in arrays.FILES.values() for md5 in files.values()]
    assert all(len(md5) == 32 for md5 in sums)
    assert len(set(sums)) == 12


class Harmful:
    def __reduce__(self):
        return print, ("executed",)


@pytest.mark.parametrize(
    "payload", [Harmful(), io.BytesIO(b""), np.random.default_rng(0)], ids=lambda p: type(p).__name__
)
def test_the_unpickler_refuses_foreign_classes(payload, capsys):
    content = pickle.dumps({"data": payload}, protocol=4)
    with pytest.raises(pickle.UnpicklingError, match="unexpected"):
        arrays.ArraysOnly(io.BytesIO(content)).load()
    assert capsys.readouterr().out == ""

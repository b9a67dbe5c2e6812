"""Small networks, datasets and specs that several tests share."""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ebreplicate import interrupt
from ebreplicate.data import arrays
from ebreplicate.models import build
from ebreplicate.pruning.channels import batch_norms
from ebreplicate.specs.spec import Recipe, Search
from ebreplicate.stages.retrain import starting_weights, ticket_mask_of, ticket_network

CPU = torch.device("cpu")
NOWHERE = Path("/nonexistent")
"""A data root: digits need no files."""

TINY = Recipe(epochs=3, batch_size=20, milestones=(2,), augment="none")


def tiny_search(recipe: Recipe = TINY, seed: int = 0, width: float = 0.0625) -> Search:
    """A search that takes about a second: 60 handwritten digits, VGG16 with 4 to 32 channels per layer."""
    return Search("vgg16", "digits", recipe, seed, width, train_size=60, test_size=40)


def digits(train: int = 60, test: int = 40) -> arrays.Data:
    """Class-balanced handwritten digits."""
    return arrays.load("digits", NOWHERE, train, test)


def random_network(name: str, width: float, seed: int, classes: int = 10) -> nn.Module:
    """A network none of whose batch norms is at its initial value, so that every copied tensor shows."""
    torch.manual_seed(seed)
    model = build(name, classes, width)
    for bn in batch_norms(model):
        nn.init.uniform_(bn.weight, -1.0, 1.0)
        nn.init.normal_(bn.bias)
        bn.running_mean.normal_()
        bn.running_var.uniform_(0.5, 2.0)
    return model


def images(count: int, seed: int = 0) -> torch.Tensor:
    """Random images (count, 3, 32, 32)."""
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


@contextmanager
def no_time_left() -> Iterator[None]:
    """Trainings are past their time limit: each call trains one more epoch and raises Interrupted, until the last."""
    interrupt.install(0.0)
    try:
        yield
    finally:
        interrupt.install()


def left(folder: Path) -> dict[str, Any]:
    """What a run left, by file: records and histories without what is measured, arrays and weights to the bit."""
    found: dict[str, Any] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != ".lock"):
        if path.name == "record.json":
            record = json.loads(path.read_text())
            found[path.name] = {n: record[n] for n in ("key", "status", "metrics")} | {
                n: v for n, v in record["cost"].items() if "flops" in n
            }
        elif path.suffix == ".csv":
            with path.open(newline="") as f:
                found[path.name] = [{n: v for n, v in row.items() if "seconds" not in n} for row in csv.DictReader(f)]
        elif path.suffix == ".npy":
            found[path.name] = np.load(path).tobytes()
        elif path.suffix == ".pt":
            weights = torch.load(path, weights_only=True)
            found[path.name] = {name: tensor.numpy().tobytes() for name, tensor in weights.items()}
        else:
            found[path.name] = path.read_bytes()
    return found


def starting_network(spec, store, seed=0):
    """The network that a retrain starts from."""
    epoch = store.read(spec.ticket)["metrics"]["epoch"]
    dense = starting_weights(spec, store, epoch, NOWHERE, CPU)
    return ticket_network(spec, dense, ticket_mask_of(spec.ticket, store), seed)

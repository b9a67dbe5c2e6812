"""The swing-up champion that the authors released (ebreplicate/wann/champion/README.md)."""

import csv
from pathlib import Path

import numpy as np

from ebreplicate.wann.activations import NAMES
from ebreplicate.wann.genome import Genome

FOLDER = Path(__file__).parent / "champion"


def _rows(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(newline="") as file:
        return list(csv.DictReader(file))


def champion() -> Genome:
    """The released network, its nodes in the order of `Genome`: bias and inputs, output, hidden nodes."""
    nodes = _rows("nodes.csv")
    ordered = [row for kinds in (("bias", "input"), ("output",), ("hidden",)) for row in nodes if row["kind"] in kinds]
    place = {row["node"]: i for i, row in enumerate(ordered)}
    links = np.array([[place[row["source"]], place[row["destination"]]] for row in _rows("edges.csv")])
    hidden = np.array([NAMES.index(row["activation"]) for row in ordered if row["kind"] == "hidden"])
    outputs = sum(row["kind"] == "output" for row in nodes)
    inputs = len(nodes) - len(hidden) - outputs
    return Genome(inputs, outputs, hidden, links[:, 0], links[:, 1], np.ones(len(links), bool))

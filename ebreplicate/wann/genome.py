"""A network as the search sees it: hidden nodes with activations, and connections that are enabled or not."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ebreplicate.wann.activations import NAMES

Array = np.ndarray


@dataclass(frozen=True)
class Genome:
    """Nodes 0 to inputs - 1 are the bias (0) and the inputs, then come the outputs, then the hidden nodes.

    `activations` (H,): index into `activations.NAMES` of each hidden node. `sources`, `destinations` (E,): nodes that a
    connection leads from and to; `enabled` (E,): whether it does. Arrays are never modified.
    """

    inputs: int
    outputs: int
    activations: Array
    sources: Array
    destinations: Array
    enabled: Array

    @property
    def nodes(self) -> int:
        """Bias, inputs, outputs and hidden nodes."""
        return self.inputs + self.outputs + len(self.activations)

    @property
    def connections(self) -> int:
        """Enabled connections."""
        return int(self.enabled.sum())

    def layers(self) -> Array:
        """Layer of every node (nodes,): the longest path to it, disabled connections included, so that no connection
        closes a cycle when it is enabled again. All outputs are in the last layer. Raises ValueError for a cycle."""
        depth = np.zeros(self.nodes, np.int64)
        for _ in range(self.nodes + 1):
            longer = depth.copy()
            np.maximum.at(longer, self.destinations, depth[self.sources] + 1)
            if np.array_equal(longer, depth):
                depth[self.inputs : self.inputs + self.outputs] = depth.max() + 1
                return depth
            depth = longer
        raise ValueError("the connections form a cycle")

    def to_json(self) -> dict[str, Any]:
        """What JSON can hold of it, for a record or a checkpoint."""
        links = zip(self.sources.tolist(), self.destinations.tolist(), self.enabled.tolist(), strict=True)
        return {
            "inputs": self.inputs,
            "outputs": self.outputs,
            "activations": [NAMES[i] for i in self.activations],
            "connections": [[a, b, int(on)] for a, b, on in links],
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "Genome":
        """The inverse of `to_json`; raises KeyError, TypeError or ValueError for anything else."""
        links = np.array(found["connections"], np.int64).reshape(-1, 3)
        activations = np.array([NAMES.index(name) for name in found["activations"]], np.int64)
        made = cls(found["inputs"], found["outputs"], activations, links[:, 0], links[:, 1], links[:, 2] != 0)
        first = made.inputs + made.outputs
        known = ((links[:, :2] >= 0) & (links[:, :2] < made.nodes)).all()
        between = (links[:, 0] < made.inputs) | (links[:, 0] >= first)  # none leads from an output or into an input
        if not (known and between.all() and (links[:, 1] >= made.inputs).all()):
            raise ValueError("a connection between nodes that there are not")
        made.layers()
        return made


def fresh(inputs: int, outputs: int, initial: float, randomness: np.random.Generator) -> Genome:
    """A network without hidden nodes: every input or bias to every output, each enabled with probability `initial`."""
    sources = np.repeat(np.arange(inputs), outputs)
    destinations = np.tile(np.arange(inputs, inputs + outputs), inputs)
    enabled = randomness.random(len(sources)) < initial
    return Genome(inputs, outputs, np.zeros(0, np.int64), sources, destinations, enabled)

"""How a child differs from its parent: by exactly one change, or by none where the chosen one cannot be made."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ebreplicate.wann.genome import Genome

Randomness = np.random.Generator


def add_connection(parent: Genome, _: Sequence[int], randomness: Randomness) -> Genome | None:
    """Connect a random node with a random node of a later layer that it is not connected with, enabled or not."""
    layers, first = parent.layers(), parent.inputs + parent.outputs
    for source in randomness.permutation(parent.nodes):
        if parent.inputs <= source < first:  # an output
            continue
        free = layers > layers[source]
        free[: parent.inputs] = False
        free[parent.destinations[parent.sources == source]] = False
        places = np.flatnonzero(free)
        if len(places):
            return _connected(parent, [(int(source), int(randomness.choice(places)))])
    return None


def insert_node(parent: Genome, allowed: Sequence[int], randomness: Randomness) -> Genome | None:
    """Put a node with a random activation of `allowed` into a random enabled connection, which is disabled."""
    places = np.flatnonzero(parent.enabled)
    if not len(places):
        return None
    place, node = randomness.choice(places), parent.nodes
    enabled = parent.enabled.copy()
    enabled[place] = False
    activations = np.append(parent.activations, randomness.choice(list(allowed)))
    longer = replace(parent, activations=activations, enabled=enabled)
    return _connected(longer, [(int(parent.sources[place]), node), (node, int(parent.destinations[place]))])


def enable_connection(parent: Genome, _: Sequence[int], randomness: Randomness) -> Genome | None:
    """Enable a random disabled connection."""
    places = np.flatnonzero(~parent.enabled)
    if not len(places):
        return None
    enabled = parent.enabled.copy()
    enabled[randomness.choice(places)] = True
    return replace(parent, enabled=enabled)


def change_activation(parent: Genome, allowed: Sequence[int], randomness: Randomness) -> Genome | None:
    """Give a random hidden node another activation of `allowed`."""
    if not len(parent.activations):
        return None
    activations = parent.activations.copy()
    node = randomness.integers(len(activations))
    activations[node] = randomness.choice([a for a in allowed if a != activations[node]])
    return replace(parent, activations=activations)


def _connected(parent: Genome, links: Sequence[tuple[int, int]]) -> Genome:
    """The genome with further connections, enabled."""
    sources, destinations = zip(*links, strict=True)
    return replace(
        parent,
        sources=np.append(parent.sources, sources),
        destinations=np.append(parent.destinations, destinations),
        enabled=np.append(parent.enabled, [True] * len(links)),
    )


OPERATORS = (add_connection, insert_node, enable_connection, change_activation)
PROBABILITIES = (0.20, 0.25, 0.05, 0.50)
"""Of the operators, in their order (WANNRelease/WANN, its settings files)."""


def mutated(parent: Genome, allowed: Sequence[int], randomness: Randomness) -> Genome:
    """A child: one operator, drawn by its probability; the parent itself where that changes nothing."""
    operator = OPERATORS[randomness.choice(len(OPERATORS), p=PROBABILITIES)]
    return operator(parent, allowed, randomness) or parent

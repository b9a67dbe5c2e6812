"""Non-dominated sorting with crowding distance (NSGA-II; Deb et al., 2002)."""

import numpy as np

Array = np.ndarray
ON_SIZE = 0.8
"""Probability that a generation is ranked by fitness and number of connections; else by fitness and best weight."""


def fronts(objectives: Array) -> list[Array]:
    """Indices of the fronts, best first. `objectives` (P, K), larger is better in each.

    A row is dominated by one that is at least as good in all objectives and better in one.
    """
    ahead, behind = objectives[:, None], objectives[None]
    dominates = (ahead >= behind).all(-1) & (ahead > behind).any(-1)
    found, left = [], np.ones(len(objectives), bool)
    while left.any():
        front = left & ~(dominates & left[:, None]).any(0)
        found.append(np.flatnonzero(front))
        left &= ~front
    return found


def crowding(objectives: Array) -> Array:
    """Crowding distance of every row of one front (F, K): the sum over objectives of the distance between its two
    neighbours, divided by the objective's range; infinite at the ends."""
    distance = np.zeros(len(objectives))
    for values in objectives.T:
        order = np.argsort(values, kind="stable")
        ordered = values[order]
        reach = ordered[-1] - ordered[0]
        distance[order[[0, -1]]] = np.inf
        if reach > 0:
            distance[order[1:-1]] += (ordered[2:] - ordered[:-2]) / reach
    return distance


def order(objectives: Array) -> Array:
    """Indices from the best to the worst (P,): front by front, and within a front the least crowded first."""
    ranked = [front[np.argsort(-crowding(objectives[front]), kind="stable")] for front in fronts(objectives)]
    return np.concatenate(ranked)


def ranked(fitness: Array, best: Array, connections: Array, randomness: np.random.Generator) -> Array:
    """Indices of a generation from the best to the worst; one draw decides by which objectives.

    `fitness`, `best`: mean and maximum over weights; `connections`: enabled ones, 0 counts as 1 (all (P,)).
    """
    on_size = randomness.random() < ON_SIZE
    second = 1 / np.maximum(connections, 1) if on_size else best
    return order(np.stack([fitness, second], axis=1))

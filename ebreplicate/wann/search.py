"""The search: evaluate, rank, select, mutate, generation after generation, and keep the best network found."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ebreplicate.wann.genome import Genome, fresh
from ebreplicate.wann.mutation import mutated
from ebreplicate.wann.ranking import ranked

Array = np.ndarray
CULLED = 0.2
"""Share of a generation that leaves no child."""


class Task(Protocol):
    """What networks are searched for."""

    inputs: int
    outputs: int
    activations: tuple[int, ...]
    macs: int

    def evaluate(self, genomes: Sequence[Genome], randomness: np.random.Generator) -> Array:
        """Reward of every network with each search weight (networks, weights)."""
        ...

    def again(self, genome: Genome, randomness: np.random.Generator) -> float:
        """Fitness of one network, measured more closely."""
        ...

    def test(
        self, genome: Genome, tests: int, randomness: np.random.Generator
    ) -> tuple[dict[str, float], dict[float, float]]:
        """Test results by kind of weights, and results by shared weight."""
        ...


@dataclass(frozen=True)
class Settings:
    """Sizes of a search: networks a generation, share that passes unchanged, size of a tournament, and probability that
    a connection is enabled at the start."""

    population: int
    elite: float
    tournament: int
    initial: float


@dataclass
class Search:
    """A search after some generations; `advance` makes one more.

    `champion`, `best`: the best network so far and its fitness, measured again; `history`: a row a generation.
    """

    task: Task
    settings: Settings
    randomness: np.random.Generator
    population: list[Genome] = field(default_factory=list)
    champion: Genome | None = None
    best: float = -np.inf
    history: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with networks without hidden nodes, where none are given."""
        if not self.population:
            sizes = self.task.inputs, self.task.outputs, self.settings.initial
            self.population = [fresh(*sizes, self.randomness) for _ in range(self.settings.population)]

    def advance(self) -> None:
        """Evaluate the generation, note it and its champion, and put its children in its place."""
        rewards = self.task.evaluate(self.population, self.randomness)
        fitness, peak = rewards.mean(axis=1), rewards.max(axis=1)
        self._note(fitness, peak)
        connections = np.array([genome.connections for genome in self.population])
        order = ranked(fitness, peak, connections, self.randomness)
        self.population = self._children([self.population[i] for i in order])

    def _note(self, fitness: Array, peak: Array) -> None:
        """Keep the generation's best network if it is still the best ever when it is measured again."""
        top = int(np.argmax(fitness))
        if fitness[top] > self.best:
            again = self.task.again(self.population[top], self.randomness)
            if again > self.best:
                self.champion, self.best = self.population[top], again
        self.history.append(
            {
                "generation": len(self.history) + 1,
                "elite_fitness": float(fitness[top]),
                "median_fitness": float(np.median(fitness)),
                "peak_fitness": float(peak.max()),
                "best_ever_fitness": float(self.best),
                "median_connections": float(np.median([g.connections for g in self.population])),
                "median_nodes": float(np.median([g.nodes for g in self.population])),
            }
        )

    def _children(self, parents: list[Genome]) -> list[Genome]:
        """The next generation of the ranked `parents`, the best first."""
        count, choice = len(parents), self.settings
        parents = parents[: max(1, count - int(CULLED * count))]
        passed = parents[: int(choice.elite * count)]
        drawn = self.randomness.integers(len(parents), size=(count - len(passed), choice.tournament))
        winners = drawn.min(axis=1)
        return [*passed, *(mutated(parents[i], self.task.activations, self.randomness) for i in winners)]

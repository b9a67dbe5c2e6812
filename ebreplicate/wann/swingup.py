"""Cart-pole swing-up: a pole that hangs from a cart is to be swung up and held (CartPoleSwingUp of WANNRelease)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ebreplicate.wann import activations
from ebreplicate.wann.genome import Genome
from ebreplicate.wann.networks import Networks

Array = np.ndarray
GRAVITY, CART, POLE, LENGTH, FRICTION, FORCE, SECONDS = 9.82, 0.5, 0.5, 0.6, 0.1, 10.0, 0.01
"""m/s^2, kg, kg, m, N s/m, N, s of a step."""
STEPS, EDGE, SPREAD = 1000, 2.4, 0.2
"""Steps of an episode; distance from the middle, m, at which it ends; standard deviation of the start."""
RETESTS, TUNING_STARTS = 16, 20
"""Starts that a champion is measured again on, and that its best shared weight is chosen on (at most)."""
HANGING = np.array([0.0, 0.0, np.pi, 0.0])


def starts(count: int, randomness: np.random.Generator) -> Array:
    """Random starts (4, count): x, dx/dt, theta (0: upright), d theta/dt."""
    return randomness.normal(HANGING, SPREAD, (count, 4)).T


def moved(state: Sequence[Array], action: Array) -> tuple[Array, Array, Array, Array]:
    """The state one step later; positions move by the old velocities. `action`: force / 10 N, clipped to [-1, 1]."""
    x, dx, theta, dtheta = state
    s, c = np.sin(theta), np.cos(theta)
    ml, mass = POLE * LENGTH, CART + POLE
    push = FORCE * np.clip(action, -1, 1) - FRICTION * dx
    swing = ml * dtheta * dtheta * s
    ddx = (-2 * swing + 3 * POLE * GRAVITY * s * c + 4 * push) / (4 * mass - 3 * POLE * c * c)
    ddtheta = (-3 * swing * c + 6 * mass * GRAVITY * s + 6 * push * c) / (LENGTH * (4 * mass - 3 * POLE * c * c))
    return x + SECONDS * dx, dx + SECONDS * ddx, theta + SECONDS * dtheta, dtheta + SECONDS * ddtheta


def rollouts(
    networks: Networks, start: Array, shared: Array | float = 1.0, steps: int | None = None
) -> tuple[Array, int]:
    """Total reward of every network and case (networks, cases), and steps until all had ended.

    `start` (4, cases), or (4, networks, cases); `shared`: weight of each case (cases,); `steps`: default STEPS. Reward
    of a step: (cos theta + 1)/2 cos(pi x / 4.8).
    """
    seen, steps = networks.bias_and_inputs, STEPS if steps is None else steps
    shape = (networks.count, seen.shape[-1])
    state = tuple(np.broadcast_to(row, shape) for row in start)
    total, running = np.zeros(shape), np.ones(shape, bool)
    for step in range(steps):
        x, dx, theta, dtheta = state
        seen[:, 1], seen[:, 2], seen[:, 3], seen[:, 4], seen[:, 5] = x, dx, np.cos(theta), np.sin(theta), dtheta
        action = np.nan_to_num(networks.forward(shared)[:, 0], posinf=1, neginf=-1)
        state = moved(state, action)
        total += running * ((np.cos(state[2]) + 1) / 2 * np.cos(np.pi * state[0] / (2 * EDGE)))
        running &= np.abs(state[0]) <= EDGE
        if not running.any():
            return total, step + 1
    return total, steps


@dataclass
class SwingUp:
    """The task of a search: `trials` starts a generation. `macs`: multiply-accumulates spent so far."""

    trials: int
    macs: int = 0
    inputs = 6
    outputs = 1
    activations = activations.ALL
    weights = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0)
    tuning = tuple(round(-2 + 0.02 * i, 2) for i in range(201))
    """Shared weights among which the best one is chosen."""

    def mean_rewards(
        self, genomes: Sequence[Genome], start: Array, weights: Sequence[float], dtype: type = np.float64
    ) -> Array:
        """Reward of every network with each shared weight, mean over the starts (networks, weights)."""
        shared = np.repeat(weights, start.shape[1])
        networks = Networks(genomes, len(shared), dtype=dtype)
        total, ran = rollouts(networks, np.tile(start, len(weights)), shared)
        self.macs += networks.links * len(shared) * ran
        means: Array = total.reshape(len(genomes), len(weights), -1).mean(-1)
        return means

    def evaluate(self, genomes: Sequence[Genome], randomness: np.random.Generator) -> Array:
        """Reward with each search weight, all networks from the same starts (networks, weights)."""
        return self.mean_rewards(genomes, starts(self.trials, randomness), self.weights, np.float32)

    def again(self, genome: Genome, randomness: np.random.Generator) -> float:
        """Fitness of one network on fresh starts."""
        return float(self.mean_rewards([genome], starts(RETESTS, randomness), self.weights, np.float32).mean())

    def test(
        self, genome: Genome, tests: int, randomness: np.random.Generator
    ) -> tuple[dict[str, float], dict[float, float]]:
        """Mean reward over `tests` fresh starts by kind of weights (docs/wann.md), with the tuned weight; and mean
        reward by shared weight, from the starts that it is chosen on."""
        tuning = starts(min(TUNING_STARTS, tests), randomness)
        rewards = self.mean_rewards([genome], tuning, self.tuning)[0]
        tuned = self.tuning[int(np.argmax(rewards))]
        start = starts(tests, randomness)
        common = randomness.uniform(-2, 2, tests)
        own = [randomness.uniform(-2, 2, len(genome.sources)) for _ in range(tests)]
        networks = Networks([genome], tests)
        shared, ran = rollouts(networks, start, common)
        one_each = Networks([genome] * tests, 1, own)
        individual, ran_each = rollouts(one_each, start[:, :, None])
        self.macs += networks.links * tests * ran + one_each.links * ran_each
        scores = {
            "individual": float(individual.mean()),
            "shared": float(shared.mean()),
            "six": float(self.mean_rewards([genome], start, self.weights).mean()),
            "tuned": float(self.mean_rewards([genome], start, [tuned]).mean()),
            "tuned_weight": tuned,
        }
        return scores, dict(zip(self.tuning, rewards.tolist(), strict=True))

"""The ten activations of weight agnostic networks, by the numbers that their search gives them."""

from collections.abc import Callable

import numpy as np

Array = np.ndarray


def _step(x: Array) -> None:
    x[...] = x > 0


def _sin(x: Array) -> None:
    x *= np.pi
    np.sin(x, out=x)


def _gauss(x: Array) -> None:
    np.square(x, out=x)
    x *= -0.5
    np.exp(x, out=x)


def _sigmoid(x: Array) -> None:  # (tanh(x/2) + 1)/2 is 1/(1 + exp(-x)), which overflows
    x *= 0.5
    np.tanh(x, out=x)
    x += 1
    x *= 0.5


def _cos(x: Array) -> None:
    x *= np.pi
    np.cos(x, out=x)


ACTIVATIONS: dict[str, Callable[[Array], object]] = {
    "linear": lambda x: None,
    "step": _step,
    "sin(pi x)": _sin,
    "gauss": _gauss,
    "tanh": lambda x: np.tanh(x, out=x),
    "sigmoid": _sigmoid,
    "negate": lambda x: np.negative(x, out=x),
    "abs": lambda x: np.abs(x, out=x),
    "relu": lambda x: np.maximum(x, 0, out=x),
    "cos(pi x)": _cos,
}
"""Functions that change an array in place. WANNRelease/WANN: 1 linear, 2 step, 3 sin, 4 Gauss, 5 tanh, 6 sigmoid, 7
inverse, 8 absolute value, 9 ReLU, 10 cosine."""
NAMES = tuple(ACTIVATIONS)
FUNCTIONS = tuple(ACTIVATIONS.values())
ALL = tuple(range(len(NAMES)))
NO_STEP = tuple(i for i in ALL if NAMES[i] != "step")
"""Those that classification uses."""

"""Handwritten digits, 8 x 8 pixels, recognised by a network with one shared weight (the code's game `digits`)."""

from collections.abc import Iterator, Sequence

import numpy as np

from ebreplicate.data.digits import scanned_digits
from ebreplicate.wann import activations
from ebreplicate.wann.genome import Genome
from ebreplicate.wann.networks import Networks

Array = np.ndarray
TEST = 360
"""Images that the search does not see, of 1,797."""


class Digits:
    """The task of a search: `batch` random training images a generation. `macs`: multiply-accumulates spent so far.

    `split`: decides which 360 images are for tests.
    """

    inputs, outputs = 65, 10
    activations = activations.NO_STEP
    weights = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0)
    tuning = tuple(round(-2 + 0.1 * i, 1) for i in range(41))
    """Shared weights among which the best one is chosen."""

    def __init__(self, batch: int, split: np.random.Generator):
        pixels, labels = scanned_digits()
        order = split.permutation(len(labels))
        test, train = order[:TEST], order[TEST:]
        flat = (pixels.reshape(len(labels), -1) / 16).T.astype(np.float32)
        self.train_images, self.train_labels = flat[:, train], labels[train]
        self.test_images, self.test_labels = flat[:, test], labels[test]
        self.batch, self.macs = batch, 0

    def _logits(
        self, genomes: Sequence[Genome], pixels: Array, weights: Sequence[float], own: Sequence[Array] | None = None
    ) -> Iterator[Array]:
        """Outputs of one network after another, finite (10, weights, images)."""
        tiled, shared = np.tile(pixels, len(weights)), np.repeat(np.asarray(weights, np.float32), pixels.shape[1])
        for i, genome in enumerate(genomes):
            network = Networks([genome], len(shared), own and [own[i]], np.float32)
            network.bias_and_inputs[0, 1:] = tiled
            self.macs += network.links * len(shared)
            found = np.nan_to_num(network.forward(shared)[0], posinf=1e30, neginf=-1e30)
            yield found.reshape(self.outputs, len(weights), -1)

    def _rewards(self, genomes: Sequence[Genome], pixels: Array, labels: Array) -> Array:
        """Minus the mean cross-entropy with each search weight (networks, weights)."""
        losses = []
        for logits in self._logits(genomes, pixels, self.weights):
            logits -= logits.max(axis=0)
            of_label = logits[labels, :, np.arange(len(labels))].T
            losses.append((of_label - np.log(np.exp(logits).sum(axis=0))).mean(axis=1, dtype=np.float64))
        return np.array(losses)

    def evaluate(self, genomes: Sequence[Genome], randomness: np.random.Generator) -> Array:
        """Reward with each search weight, all networks on the same random training images (networks, weights)."""
        chosen = randomness.choice(len(self.train_labels), self.batch, replace=False)
        return self._rewards(genomes, self.train_images[:, chosen], self.train_labels[chosen])

    def again(self, genome: Genome, _: np.random.Generator) -> float:
        """Fitness of one network on all training images."""
        return float(self._rewards([genome], self.train_images, self.train_labels).mean())

    def predicted(self, genome: Genome, pixels: Array, weights: Sequence[float]) -> Array:
        """Digit of each image with each shared weight (weights, images); of equal outputs, the smaller digit."""
        (logits,) = self._logits([genome], pixels, weights)
        named: Array = logits.argmax(axis=0)
        return named

    def test(
        self, genome: Genome, tests: int, randomness: np.random.Generator
    ) -> tuple[dict[str, float], dict[float, float]]:
        """Accuracy in percent on the test images by kind of weights (docs/wann.md), with the tuned weight; and accuracy
        by shared weight on the training images, on which it is chosen."""

        def right(found: Array) -> float:
            return float(100 * (found == self.test_labels).mean())

        sweep = 100 * (self.predicted(genome, self.train_images, self.tuning) == self.train_labels).mean(axis=1)
        tuned = self.tuning[int(np.argmax(sweep))]
        six = self.predicted(genome, self.test_images, self.weights)
        own = [randomness.uniform(-2, 2, len(genome.sources)) for _ in range(tests)]
        separate = [
            logits[:, 0].argmax(axis=0) for logits in self._logits([genome] * tests, self.test_images, [1.0], own)
        ]
        scores = {
            "individual": right(np.array(separate)),
            "shared": right(self.predicted(genome, self.test_images, randomness.uniform(-2, 2, tests).tolist())),
            "six": right(six),
            "vote": right(vote(six)),
            "tuned": right(self.predicted(genome, self.test_images, [tuned])),
            "tuned_weight": tuned,
        }
        return scores, dict(zip(self.tuning, sweep.tolist(), strict=True))


def vote(predicted: Array) -> Array:
    """Digit that most of the networks name for each image, of equally many the smaller (networks, images)."""
    return np.array([np.bincount(named, minlength=10).argmax() for named in predicted.T])

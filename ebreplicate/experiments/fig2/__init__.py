"""Figure 2, low precision: tickets searched for in eight bits and retrained in full precision.

Beside the paper's question (do they retrain as well?) ours: does the ticket found in eight bits differ, and how far?
The searches of one seed share initialisation and batches, so their masks differ by the rounding alone; the distance
between masks of two full-precision seeds is the yardstick.
"""

from ebreplicate.experiments.common.experiment import Experiment

EXPERIMENT = Experiment(
    item="fig2_low_precision",
    title="Figure 2: searching for tickets in eight bits",
    package=__name__,
    category="Paper figures",
    caption=(
        "The search for a ticket is run in eight bits: weights, gradients, activations and errors are rounded to 8-bit "
        "block floating point (the authors' code) or to FP8 (the paper's words), while the small network is trained in "
        "full precision. Upper rows: its test accuracy against the epoch the ticket was drawn at. Last row: how many "
        "of the network's channels the eight-bit ticket decides otherwise than the full-precision ticket of the same "
        "seed, beside the distance between two seeds and between random masks."
    ),
)

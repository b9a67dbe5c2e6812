"""Lottery tickets by iterative magnitude pruning (Frankle & Carbin, ICLR 2019): Figures 1, 4, 5, 7 and 8."""

from dataclasses import replace

from ebreplicate.experiments.common.experiment import Experiment

EXPERIMENT = Experiment(
    item="lottery_tickets",
    title="Lottery tickets by iterative magnitude pruning",
    package=__name__,
    functions={"cells": "cells:cells"},
    category="Methods beside the paper's",
    caption=(
        "Networks are trained, the smallest of the remaining weights are removed, the rest is rewound to its "
        "initialisation, and so on. Winning tickets are set beside the same masks with fresh weights and beside random "
        "sparsity; deep networks at a high learning rate, a low one, with warmup, and rewound to an early epoch. "
        "Hollow: Frankle & Carbin (ICLR 2019)."
    ),
)

LENET300 = replace(
    EXPERIMENT,
    item="lottery_lenet300",
    title="Lottery tickets, LeNet-300-100 on MNIST",
    options={name: {"models": ("lenet300",)} for name in ("runs", "table", "cells", "claims")},
    trains_on_cpu=True,
)
"""The network that a CPU trains at that paper's own scale."""

"""The four claims of the protocol (docs/big-sparse.md)."""

import pandas as pd

from ebreplicate.experiments.common import judgement as rules
from ebreplicate.experiments.common.contrasts import paired
from ebreplicate.experiments.common.experiment import Claim
from ebreplicate.experiments.common.family import Judged, diverged, judge
from ebreplicate.experiments.common.margins import margin_of
from ebreplicate.specs.scale import Scale

PAPER = "RigL, section 4.1.2, Figure 3 (MobileNet on ImageNet)"
FAMILY = "Big-Sparse"
CLAIMS = {
    "big-sparse-beats-dense": (
        "big-sparse",
        "dense",
        "At equal weights and equal length, a larger sparse network is better than the dense one.",
    ),
    "big-sparse-longer-beats-dense": (
        "big-sparse-longer",
        "dense",
        "A larger sparse network, trained five times as long, is better than a dense one of as many weights.",
    ),
    "big-sparse-longer-beats-dense-longer": (
        "big-sparse-longer",
        "dense-longer",
        "A larger sparse network is better than the dense one that is trained as long, which the paper does not show.",
    ),
    "dense-longer-beats-dense": ("dense-longer", "dense", "Five times the training alone makes the dense one better."),
}
"""Better and worse arm by claim."""


def claims(scale: Scale, table: pd.DataFrame) -> list[Claim]:
    """All four, judged as one family: accuracy of the better arm minus that of the worse, by seed."""
    found = []
    for name, (better, worse, statement) in CLAIMS.items():
        differences = paired(table, "last_accuracy", {"arm": better}, {"arm": worse})
        rule, withheld = rules.Rule(rules.BETTER, margin_of(scale, "mnist")), diverged(table, better, worse)
        what = f"{better} minus {worse}"
        found.append(Judged(name, statement, PAPER, what, differences, rule, "pp", withheld=withheld))
    return judge(found, FAMILY)

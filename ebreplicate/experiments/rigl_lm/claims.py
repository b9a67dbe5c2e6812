"""The four claims of the protocol (docs/char-lm.md). The paper prints the ranking and no value."""

import pandas as pd

from ebreplicate.experiments.common import judgement as rules
from ebreplicate.experiments.common.contrasts import paired
from ebreplicate.experiments.common.experiment import Claim
from ebreplicate.experiments.common.family import Judged, diverged, judge
from ebreplicate.experiments.rigl_lm.table import RUN
from ebreplicate.specs.scale import Scale

PAPER = "RigL, section 4.2, Figure 4 left"
FAMILY = "character language model"
MARGIN = 0.01
"""Bits per character."""
CLAIMS = {
    "rigl-lm-beats-set": ("set", "rigl", "At equal sparsity RigL predicts characters better than SET."),
    "rigl-lm-beats-static": ("static", "rigl", "At equal sparsity RigL is better than a random mask that stays."),
    "rigl-lm-beats-small-dense": ("small-dense", "rigl", "RigL is better than a dense network with no more weights."),
    "rigl-lm-pruning-beats-rigl": ("rigl", "gmp", "Gradual pruning of a dense network is still better than RigL."),
}
"""Worse and better method by claim."""


def _withheld(table: pd.DataFrame, arms: tuple[str, str]) -> str:
    """Why a claim about `arms` cannot be decided."""
    rows = table[(table.kind == RUN) & table.arm.isin(arms)]
    texts = "its trainings are of different texts" if rows.text.dropna().nunique() > 1 else ""
    return diverged(rows, *arms) or texts


def claims(scale: Scale, table: pd.DataFrame) -> list[Claim]:
    """All four, judged as one family: bits of the worse method minus those of the better, by seed."""
    found = []
    for name, (worse, better, statement) in CLAIMS.items():
        differences = paired(table, "bits", {"kind": RUN, "arm": worse}, {"kind": RUN, "arm": better})
        what, rule = f"bits of {worse} minus {better}", rules.Rule(rules.BETTER, MARGIN)
        withheld = _withheld(table, (worse, better))
        found.append(Judged(name, statement, PAPER, what, differences, rule, "bits", withheld=withheld))
    return judge(found, FAMILY)

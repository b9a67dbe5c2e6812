"""The claims of the protocol about MNIST (docs/early-crop.md)."""

import pandas as pd

from ebreplicate.experiments.common.compared import Compared, judged
from ebreplicate.experiments.common.experiment import Claim
from ebreplicate.experiments.common.judgement import BETTER, NO_WORSE
from ebreplicate.experiments.common.margins import margin_of
from ebreplicate.experiments.early_crop.runs import AT_INIT, DENSE, EARLY_CROP
from ebreplicate.experiments.early_crop_mnist.runs import GRASP, RANDOM, SNIP
from ebreplicate.specs.scale import Scale

ABSTRACT = "EarlyCroP, abstract (reconstruction from its code)"
FAMILY = "EarlyCroP on MNIST"


def _minus(name: str, statement: str, first: str, second: str, test: str = BETTER, source: str = ABSTRACT) -> Compared:
    return Compared(f"early-crop-mnist-{name}", statement, source, test, ((first, 1.0), (second, -1.0)))


COMPARED = (
    _minus(
        "not-before",
        "Early, not before: EarlyCroP is better than the same criterion on the untrained network.",
        EARLY_CROP,
        AT_INIT,
    ),
    _minus(
        "absolute",
        "The absolute score, abs(theta . H g), is better than GraSP's signed one, both before training.",
        AT_INIT,
        GRASP,
        source="EarlyCroP's released code, against GraSP (ICLR 2020)",
    ),
    _minus("beats-snip", "EarlyCroP is better than SNIP at equal sparsity.", EARLY_CROP, SNIP),
    _minus("beats-random", "EarlyCroP is better than a random mask at equal sparsity.", EARLY_CROP, RANDOM),
    _minus("matches-dense", "EarlyCroP is no worse than dense training.", EARLY_CROP, DENSE, NO_WORSE),
)


def claims(scale: Scale, table: pd.DataFrame) -> list[Claim]:
    """The five judged claims."""
    return judged(COMPARED, table, margin_of(scale, "mnist"), FAMILY)

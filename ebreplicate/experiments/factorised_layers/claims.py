"""The cells and claims of the protocol (docs/factorised-layers.md)."""

import pandas as pd

from ebreplicate import published
from ebreplicate.experiments.common.compared import Compared, judged
from ebreplicate.experiments.common.experiment import Cell, Claim
from ebreplicate.experiments.common.judgement import BETTER, NO_WORSE
from ebreplicate.experiments.common.margins import margin_of
from ebreplicate.experiments.common.rows import by_seed, interval
from ebreplicate.experiments.factorised_layers.runs import BOTH, DENSE, FD, LOW_RANK, NARROW, ONES, RIGL, SI
from ebreplicate.specs.scale import Scale

ABSTRACT = "Khodak et al., ICLR 2021, abstract"
SECOND_HAND = "Khodak et al., ICLR 2021, Table 1 (one row, second hand)"
PAGE = "docs/factorised-layers.md"
PRINTED = {
    DENSE: "Dense baseline",
    LOW_RANK: "Low-Rank (plain)",
    SI: "Low-Rank, spectral initialisation only",
    FD: "Low-Rank, Frobenius decay only",
    BOTH: "Low-Rank, SI and FD",
}
MAIN = Compared(
    "fnl-interaction",
    "Spectral initialisation and Frobenius decay help only together: each gains more beside the other than alone.",
    SECOND_HAND,
    BETTER,
    ((BOTH, 1.0), (SI, -1.0), (FD, -1.0), (LOW_RANK, 1.0)),
)
FURTHER = (
    Compared(
        "fnl-both-beats-plain",
        "With both, a factorised network is better than with neither.",
        ABSTRACT,
        BETTER,
        ((BOTH, 1.0), (LOW_RANK, -1.0)),
    ),
    Compared(
        "fnl-alone-worse",
        "Each alone is worse than neither: mean over the two.",
        SECOND_HAND,
        BETTER,
        ((LOW_RANK, 1.0), (SI, -0.5), (FD, -0.5)),
    ),
    Compared(
        "fnl-beats-narrow",
        "With both, a factorised network is better than a narrow dense network of as many parameters.",
        "ours, a control of equal parameters",
        BETTER,
        ((BOTH, 1.0), (NARROW, -1.0)),
    ),
    Compared(
        "fnl-beats-sparse",
        "With both, a factorised network is better than sparse training (here RigL) at as many parameters.",
        ABSTRACT,
        BETTER,
        ((BOTH, 1.0), (RIGL, -1.0)),
    ),
    Compared(
        "fnl-ones",
        "With all singular values one the spectral initialisation is no worse: directions matter, sizes do not.",
        "Kamalakara et al., 2022 (second hand)",
        NO_WORSE,
        ((ONES, 1.0), (BOTH, -1.0)),
    ),
    Compared(
        "fnl-nuclear-norm",
        "Decay of the factors leaves a smaller nuclear norm than Frobenius decay: it pushes the rank further down.",
        "Khodak et al., ICLR 2021 (its code's diagnostics)",
        BETTER,
        ((FD, 0.5), (BOTH, 0.5), (LOW_RANK, -0.5), (SI, -0.5)),
        column="final_nuclear_norm",
        unit="nuclear norm",
    ),
)
COMPARED = (MAIN, *FURTHER)


def claims(scale: Scale, table: pd.DataFrame) -> list[Claim]:
    """The main claim, and the six others as one family."""
    margin = margin_of(scale, "cifar10")
    main = judged([MAIN], table, margin, "factorised layers: interaction", PAGE)
    return [*main, *judged(FURTHER, table, margin, "factorised layers", PAGE)]


def cells(scale: Scale, table: pd.DataFrame) -> list[Cell]:
    """The upstream's dense network beside ours; the second-hand row, of another network, for orientation."""
    margin = margin_of(scale, "cifar10")
    baseline = published.read("fnl_dense_baselines").set_index("model").loc["ResNet20"]
    errors = interval({seed: 100 - best for seed, best in by_seed(table, "best_accuracy", arm=DENSE).items()})
    dense = Cell(
        "ResNet-20, dense: test error",
        float(baseline.value),
        errors,
        "%",
        baseline.source,
        "best epoch on test",
        margin,
        note="one printed run of the code that the authors build on",
        reading=0.005,
        method=DENSE,
    )
    rows = published.read("fnl_table1")
    rows = rows[rows.model == "ResNet32x2"].set_index("method")
    return [
        dense,
        *(
            Cell(
                f"{arm}: accuracy",
                float(rows.loc[name].value),
                interval(by_seed(table, "unseen_accuracy", arm=arm)),
                "%",
                SECOND_HAND,
                "last epoch",
                margin,
                note="printed: ResNet-32 of double width, 10 % of the parameters; ours: ResNet-20",
                context=True,
                method=arm,
            )
            for arm, name in PRINTED.items()
        ),
    ]

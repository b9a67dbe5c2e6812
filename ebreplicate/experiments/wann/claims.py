"""The printed cells beside ours, and the six claims of the protocol (docs/wann.md)."""

from collections.abc import Iterator

import pandas as pd

from ebreplicate import published
from ebreplicate.experiments.common import judgement as rules
from ebreplicate.experiments.common.contrasts import BySeed, minus
from ebreplicate.experiments.common.experiment import Cell, Claim
from ebreplicate.experiments.common.family import Judged, judge
from ebreplicate.experiments.common.rows import by_seed, interval
from ebreplicate.experiments.wann.runs import DIGITS, RELEASED, SWING_UP
from ebreplicate.experiments.wann.table import RUN
from ebreplicate.specs.scale import Scale

PAPER = "Gaier & Ha, NeurIPS 2019"
MARGIN = 50.0
"""Of reward: 5 % of the best possible, about 1,000."""
POINTS = 1.0
"""Margin of accuracies, percentage points."""
CHANCE = 10.0
"""Percent of ten digits."""
FAMILY = "weight agnostic networks"
PRINTED = {
    "individual": "random weights U(-2,2)",
    "shared": "random shared weight U(-2,2)",
    "tuned": "tuned shared weight",
}
"""Rows of the paper's swing-up table."""
MNIST = {"shared": "random weight", "vote": "ensemble of weights", "tuned": "tuned weight"}
"""Rows of its MNIST table."""


def printed(dataset: str, method: str) -> float:
    """A number of the paper's tables, of its weight agnostic network."""
    rows = published.read("wann_tables")
    (value,) = rows[(rows.dataset == dataset) & (rows.model == "WANN") & (rows.method == method)].value
    return float(value)


def scores(table: pd.DataFrame, arm: str, name: str) -> BySeed:
    """A score of the runs of an arm, by seed."""
    return by_seed(table, name, kind=RUN, arm=arm)


def cells(scale: Scale, table: pd.DataFrame) -> list[Cell]:
    """The released champion, which is judged, and our own networks beside the paper's numbers, which are not."""
    return [*_of_released(table), *_context(table)]


def _of_released(table: pd.DataFrame) -> Iterator[Cell]:
    for name, method in PRINTED.items():
        yield Cell(
            f"released champion, {method}",
            printed("CartPoleSwingUp", method),
            interval(scores(table, RELEASED, name)),
            "reward",
            f"{PAPER}, swing-up table",
            "mean of 100 starts",
            MARGIN,
            note="one printed set of 100 trials",
            reading=0.5,
            everywhere=True,
            dataset="CartPoleSwingUp",
            method=method,
        )


def _context(table: pd.DataFrame) -> Iterator[Cell]:
    of_swing = (SWING_UP, "CartPoleSwingUp", PRINTED, "reward", MARGIN, "our search, laptop settings", "swing-up table")
    of_digits = (DIGITS, "MNIST", MNIST, "%", POINTS, "our search on 8x8 digits", "MNIST table")
    for arm, dataset, names, unit, margin, what, where in (of_swing, of_digits):
        for name, method in names.items():
            yield Cell(
                f"{what}, {method}",
                printed(dataset, method),
                interval(scores(table, arm, name)),
                unit,
                f"{PAPER}, {where}",
                "champion of the search",
                margin,
                note="the paper's is the best of an unknown number of longer searches",
                context=True,
                dataset=dataset,
                method=method,
            )


def _printed_difference(a: str, b: str) -> float:
    """The same difference between two printed scores of the paper's network, which is the released one's."""
    return printed("CartPoleSwingUp", PRINTED[a]) - printed("CartPoleSwingUp", PRINTED[b])


def judged(table: pd.DataFrame) -> list[Judged]:
    """The six claims in the order of the protocol."""
    individual, shared, tuned = (scores(table, SWING_UP, n) for n in ("individual", "shared", "tuned"))
    chance = {seed: value - CHANCE for seed, value in scores(table, DIGITS, "shared").items()}
    six, vote, best = (scores(table, DIGITS, n) for n in ("six", "vote", "tuned"))
    reward, points = rules.Rule(rules.BETTER, MARGIN), rules.Rule(rules.BETTER, POINTS)
    return [
        Judged(
            "wann-shared-beats-individual",
            "A network searched for one shared weight acts better with a random shared weight than with a random "
            "weight for each connection.",
            PAPER,
            "random shared weight minus random weights",
            minus(shared, individual),
            reward,
            "reward",
            _printed_difference("shared", "individual"),
        ),
        Judged(
            "wann-tuned-beats-shared",
            "The best shared weight is better than a random one.",
            PAPER,
            "tuned minus random shared weight",
            minus(tuned, shared),
            reward,
            "reward",
            _printed_difference("tuned", "shared"),
        ),
        Judged(
            "wann-search-improves",
            "The search still improves after an eighth of its generations.",
            PAPER,
            "last minus second eighth of the generations",
            scores(table, SWING_UP, "improvement"),
            reward,
            "reward",
        ),
        Judged(
            "wann-digits-above-chance",
            "With one random weight the network found recognises digits above chance.",
            PAPER,
            f"accuracy minus {CHANCE:g} %",
            chance,
            points,
            "pp",
        ),
        Judged(
            "wann-digits-vote",
            "The vote of the networks of six weights is better than their mean.",
            PAPER,
            "vote minus mean of six weights",
            minus(vote, six),
            points,
            "pp",
        ),
        Judged(
            "wann-digits-tuned",
            "The best shared weight alone is no worse than the vote of six.",
            PAPER,
            "tuned weight minus vote",
            minus(best, vote),
            rules.Rule(rules.NO_WORSE, POINTS),
            "pp",
        ),
    ]


def claims(scale: Scale, table: pd.DataFrame) -> list[Claim]:
    """All six, judged as one family."""
    return judge(judged(table), FAMILY)

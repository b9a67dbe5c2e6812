"""What the detector study judges: masks settle early, drawing there suffices, EB Train matches dense for less."""

from typing import Any

import pandas as pd

from ebreplicate import published
from ebreplicate.experiments.common.contrasts import minus, pooled
from ebreplicate.experiments.common.experiment import INCONCLUSIVE, NOT_RUN, NOT_SUPPORTED, SUPPORTED, Cell, Claim
from ebreplicate.experiments.common.finding import Finding
from ebreplicate.experiments.common.lineage import Traced
from ebreplicate.experiments.common.margins import margin_of
from ebreplicate.experiments.common.panels import DATASETS
from ebreplicate.experiments.common.rows import by_seed, count
from ebreplicate.experiments.common.stats import t_interval
from ebreplicate.experiments.common.verdicts import at_least, confounded
from ebreplicate.experiments.fig1.runs import RATIOS
from ebreplicate.specs.scale import Scale


def _before_decay(scale: Scale, table: pd.DataFrame) -> Claim:
    known = table[table.emergence_known.astype(bool)]
    early = known[known.emergence_authors <= known.first_decay]
    n, total = len(early), len(known)
    verdict = NOT_RUN if not total else SUPPORTED if n == total else NOT_SUPPORTED
    if total and 0 < n < total:
        verdict = INCONCLUSIVE
    median = known.emergence_authors.median()
    counted = f"{n} of {total} searches x ratios; median emergence epoch {median:g} of {scale.recipe.epochs}"
    return Claim(
        "settles-before-decay",
        "The mask settles (all five masks within 0.1) before the learning rate first falls.",
        "paper, section 3 and Fig. 3",
        f"count of (search, ratio) pairs that emerge, under the authors' rule, within the {scale.recipe.milestones[0]} "
        "epochs trained at the first rate; supported if all, not supported if none",
        Finding(verdict, known.seed.nunique(), counted=counted, records=frozenset(known.draw_key)),
    )


AT_EMERGENCE, AT_THE_END = ("last_accuracy", "key"), ("final_draw_accuracy", "final_draw_key")
EB_TRAIN, DENSE = ("eb_train_accuracy", "eb_train_key"), ("dense_accuracy", "dense_key")
"""Columns of an accuracy and of the keys of its runs."""
Columns = tuple[str, str]


def _no_worse(scale: Scale, table: pd.DataFrame, a: Columns, b: Columns, what: str) -> Finding:
    """`a` minus `b`, mean over panels and ratios, against minus the margin."""
    contrasts = {}
    for (dataset, model), ratios in RATIOS.items():
        for ratio in ratios:
            where = {"dataset": dataset, "model": model, "ratio": ratio}
            if differences := minus(by_seed(table, *a, **where), by_seed(table, *b, **where)):
                contrasts[dataset, model, ratio] = differences
    return at_least(pooled(contrasts), -margin_of(scale, *DATASETS), what)


def _as_good_as_oracle(scale: Scale, table: pd.DataFrame) -> Claim:
    finding = _no_worse(scale, table, AT_EMERGENCE, AT_THE_END, "at emergence minus final draw")
    return Claim(
        "emergence-suffices",
        "A ticket drawn where the detector fires retrains as well as one drawn from the fully trained network.",
        "paper, Algorithm 1 and Table 2",
        "mean over panels and ratios where a ticket emerged, t-interval over seeds; supported if its lower end "
        f"exceeds -{margin_of(scale, *DATASETS):g} pp. The best draw of the grid is not the yardstick: the maximum of "
        "noisy draws is biased upwards.",
        confounded(scale, finding),
    )


def _eb_train_matches_dense(scale: Scale, table: pd.DataFrame) -> Claim:
    finding = _no_worse(scale, table, EB_TRAIN, DENSE, "EB Train minus dense")
    return Claim(
        "eb-train-matches-dense",
        "EB Train (search until emergence, then train the small network through the rest of the same schedule) reaches "
        "the accuracy of the dense network.",
        "paper, abstract and Table 2",
        "mean over panels and ratios where a ticket emerged, same number of epochs in total, t-interval over seeds; "
        f"supported if its lower end exceeds -{margin_of(scale, *DATASETS):g} pp",
        finding,
    )


def _eb_train_costs_less(table: pd.DataFrame) -> Claim:
    found = table[table.eb_train_flops_ratio.notna()]
    ratios = [float(rows.eb_train_flops_ratio.mean()) for _, rows in found.groupby("seed")]
    i = t_interval(ratios)
    verdict = NOT_RUN if not i.n else SUPPORTED if found.eb_train_flops_ratio.max() < 1 else NOT_SUPPORTED
    counted = f"EB Train / dense: mean {i.mean:.2f}, range {found.eb_train_flops_ratio.min():.2f} to "
    counted += f"{found.eb_train_flops_ratio.max():.2f} ({count(len(found), 'run')}, {count(i.n, 'seed')})"
    return Claim(
        "eb-train-costs-less",
        "EB Train needs fewer training FLOPs, search and detector included, than dense training.",
        "paper, Table 2",
        "supported if every run's total is below its dense network's (FLOPs are counted, not sampled: no interval)",
        Finding(verdict, i.n, counted=counted, records=frozenset([*found.eb_train_key, *found.dense_key])),
    )


def claims(scale: Scale, table: pd.DataFrame) -> list[Claim]:
    """Every claim of the study."""
    return [
        _before_decay(scale, table),
        _as_good_as_oracle(scale, table),
        _eb_train_matches_dense(scale, table),
        _eb_train_costs_less(table),
    ]


def cells(scale: Scale, table: pd.DataFrame) -> list[Cell]:
    """The second-hand N_EB / N figure, tickets found in 12.5 % of training; and the earliest ticket."""
    known = table[table.emergence_known.astype(bool) & table.emergence_authors.notna()]
    per_seed = [
        Traced((100 * rows.emergence_authors / rows.search_epochs).mean(), rows.draw_key)
        for _, rows in known.groupby("seed")
    ]
    earliest = [_earliest(rows) for _, rows in known.groupby("seed")]
    printed = published.read("eb_headline_claims").set_index("metric").value
    return [
        Cell(
            "earliest emergence over panels and ratios",
            float(printed["eb_emergence_epoch"]),
            t_interval(earliest),
            "epoch of 160",
            "second-hand note on arXiv v1 (as early as epoch 20 of 160)",
            "authors' rule",
            4.0,
            note="where the first ticket emerged; tolerance: 4 of 160 epochs",
        ),
        Cell(
            "emergence epoch / search epochs, mean over panels and ratios",
            float(printed["N_EB_over_N_fig1"]),
            t_interval(per_seed),
            "%",
            "second-hand note on Fig. 1 (20 of 160 epochs)",
            "authors' rule",
            2.5,
            note="where the ticket emerged; tolerance: 4 of 160 epochs",
        ),
    ]


def _earliest(rows: Any) -> Traced:
    """Emergence of the first ticket of one seed's rows, on the paper's scale of 160 epochs."""
    epochs = 160 * rows.emergence_authors / rows.search_epochs
    return Traced(epochs.min(), rows.draw_key)

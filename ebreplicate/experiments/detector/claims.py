"""What the detector study judges: masks settle early, drawing there suffices, EB Train matches dense for less."""

import math
from typing import Any

from ebreplicate.experiments.common.experiment import INCONCLUSIVE, NOT_RUN, NOT_SUPPORTED, SUPPORTED, Claim
from ebreplicate.experiments.common.lineage import Evidence
from ebreplicate.experiments.common.rows import by_seed, count, interval, test_images
from ebreplicate.experiments.common.stats import accuracy_margin, t_interval
from ebreplicate.experiments.common.verdicts import at_least, confounded, pooled, told_margin
from ebreplicate.experiments.fig1.runs import RATIOS
from ebreplicate.specs.scale import Scale


def _before_decay(scale: Scale, table: Any) -> Claim:
    known = table[table.emergence_known.astype(bool)]
    early = known[known.emergence_authors <= known.first_decay]
    n, total = len(early), len(known)
    verdict = NOT_RUN if not total else SUPPORTED if n == total else NOT_SUPPORTED
    if total and 0 < n < total:
        verdict = INCONCLUSIVE
    median = known.emergence_authors.median()
    evidence = f"{n} of {total} searches x ratios; median emergence epoch {median:g} of {scale.recipe.epochs}"
    return Claim(
        "settles-before-decay",
        "The mask settles (all five masks within 0.1) before the learning rate first falls.",
        "paper, section 3 and Fig. 3",
        f"count of (search, ratio) pairs that emerge, under the authors' rule, within the {scale.recipe.milestones[0]} "
        "epochs trained at the first rate; supported if all, not supported if none",
        verdict,
        Evidence(evidence if total else "", known.draw_key),
        known.seed.nunique() if total else 0,
    )


def _as_good_as_oracle(scale: Scale, table: Any) -> Claim:
    contrasts, margins = {}, []
    for (dataset, model), ratios in RATIOS.items():
        for ratio in ratios:
            where = {"dataset": dataset, "model": model, "ratio": ratio}
            at_eb, final = by_seed(table, **where), by_seed(table, "final_draw_accuracy", "final_draw_key", **where)
            seeds = sorted(set(at_eb) & set(final))
            if seeds:
                contrasts[dataset, model, ratio] = {s: at_eb[s] - final[s] for s in seeds}
                margins.append(accuracy_margin(interval(at_eb).mean, test_images(scale, dataset)))
    margin = sum(margins) / len(margins) if margins else math.nan
    difference, series = pooled(contrasts)
    verdict, evidence, n = at_least(difference, -margin, "at emergence minus final draw", series)
    verdict, evidence = confounded(scale, verdict, evidence)
    return Claim(
        "emergence-suffices",
        "A ticket drawn where the detector fires retrains as well as one drawn from the fully trained network.",
        "paper, Algorithm 1 and Table 2",
        "mean over panels and ratios where a ticket emerged, t-interval over seeds; supported if its lower end "
        f"exceeds minus the noise margin ({told_margin(margin)}). The best draw of the grid is not the yardstick: the "
        "maximum of noisy draws is biased upwards.",
        verdict,
        evidence,
        n,
    )


def _eb_train_matches_dense(scale: Scale, table: Any) -> Claim:
    contrasts, margins = {}, []
    for (dataset, model), ratios in RATIOS.items():
        for ratio in ratios:
            where = {"dataset": dataset, "model": model, "ratio": ratio}
            ours = by_seed(table, "eb_train_accuracy", "eb_train_key", **where)
            dense = by_seed(table, "dense_accuracy", "dense_key", **where)
            seeds = sorted(set(ours) & set(dense))
            if seeds:
                contrasts[dataset, model, ratio] = {s: ours[s] - dense[s] for s in seeds}
                margins.append(accuracy_margin(interval(dense).mean, test_images(scale, dataset)))
    margin = sum(margins) / len(margins) if margins else math.nan
    difference, series = pooled(contrasts)
    verdict, evidence, n = at_least(difference, -margin, "EB Train minus dense", series)
    return Claim(
        "eb-train-matches-dense",
        "EB Train (search until emergence, then train the small network through the rest of the same schedule) reaches "
        "the accuracy of the dense network.",
        "paper, abstract and Table 2",
        "mean over panels and ratios where a ticket emerged, same number of epochs in total, t-interval over seeds; "
        f"supported if its lower end exceeds minus the noise margin ({told_margin(margin)})",
        verdict,
        evidence,
        n,
    )


def _eb_train_costs_less(table: Any) -> Claim:
    found = table[table.eb_train_flops_ratio.notna()]
    ratios = [float(rows.eb_train_flops_ratio.mean()) for _, rows in found.groupby("seed")]
    i = t_interval(ratios)
    verdict = NOT_RUN if not i.n else SUPPORTED if found.eb_train_flops_ratio.max() < 1 else NOT_SUPPORTED
    evidence = f"EB Train / dense: mean {i.mean:.2f}, range {found.eb_train_flops_ratio.min():.2f} to "
    evidence += f"{found.eb_train_flops_ratio.max():.2f} ({count(len(found), 'run')}, {count(i.n, 'seed')})"
    return Claim(
        "eb-train-costs-less",
        "EB Train needs fewer training FLOPs, search and detector included, than dense training.",
        "paper, Table 2",
        "supported if every run's total is below its dense network's (FLOPs are counted, not sampled: no interval)",
        verdict,
        Evidence(evidence if i.n else "", [*found.eb_train_key, *found.dense_key]),
        i.n,
    )


def all_claims(scale: Scale, table: Any) -> list[Claim]:
    """Every claim of the study."""
    return [
        _before_decay(scale, table),
        _as_good_as_oracle(scale, table),
        _eb_train_matches_dense(scale, table),
        _eb_train_costs_less(table),
    ]

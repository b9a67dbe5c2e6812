"""What is claimed of when to prune: when the indicators fire, and what that costs beside the best draw (an oracle)."""

import math

import pandas as pd

from ebreplicate import published
from ebreplicate.experiments.common.contrasts import BySeed, minus, pooled
from ebreplicate.experiments.common.experiment import Cell, Claim
from ebreplicate.experiments.common.lineage import Traced, records_of
from ebreplicate.experiments.common.margins import MARGINS, margin_of
from ebreplicate.experiments.common.rows import by_seed
from ebreplicate.experiments.common.stats import Interval, t_interval
from ebreplicate.experiments.common.verdicts import at_least, confounded
from ebreplicate.experiments.when_to_prune.runs import INDICATORS, Series, draws, panels_of, series, where_of
from ebreplicate.specs.scale import Scale


def oracle(scale: Scale, table: pd.DataFrame, one: Series) -> dict[int, float]:
    """Accuracy of the best draw of the grid, for seeds all of whose draws have been run."""
    grid = [by_seed(table, draw=d, schedule="full", **where_of(one)) for d in draws(scale, one[3])]
    seeds = set.intersection(*map(set, grid)) if grid else set()
    return {s: Traced(max(g[s] for g in grid), records_of(*(g[s] for g in grid))) for s in sorted(seeds)}


def gaps(scale: Scale, table: pd.DataFrame, one: Series, draw: str) -> dict[int, float]:
    """Accuracy of the oracle minus that of a full retrain at `draw`, by seed."""
    best, ours = oracle(scale, table, one), by_seed(table, draw=draw, schedule="full", **where_of(one))
    return {s: best[s] - ours[s] for s in best if s in ours}


def _margin(scale: Scale) -> float:
    return margin_of(scale, *(dataset for dataset, _ in panels_of(scale)))


def _differences(scale: Scale, table: pd.DataFrame, a: dict[str, str], b: dict[str, str]) -> dict[Series, BySeed]:
    """Per series that has both, accuracy in the rows of `a` minus that in the rows of `b`, by seed."""
    contrasts = {}
    for one in series(scale):
        where = where_of(one)
        if "importance" in a and one[3] != "magnitude":
            continue  # the contrast is between importances: once per panel and ratio
        first, second = by_seed(table, **{**where, **a}), by_seed(table, **{**where, **b})
        if differences := minus(first, second):
            contrasts[one] = differences
    return contrasts


def _fires_no_later(scale: Scale, table: pd.DataFrame) -> Claim:
    contrasts = {}
    known = table[table.scores_known.astype("boolean").fillna(False).astype(bool) & (table.schedule == "full")]
    for one in series(scale):
        fired = {i: by_seed(known, "fires", "search_key", draw=i, **where_of(one)) for i in INDICATORS}
        seeds = sorted(set().union(*fired.values()))
        if seeds:  # one that never fires is taken to fire when the search ends
            end = scale.recipe.epochs
            contrasts[one] = {s: fired["eb"].get(s, end) - fired["epi"].get(s, end) for s in seeds}
    finding = at_least(pooled(contrasts), 0.0, "mask distance minus EPI", "epochs")
    return Claim(
        "epi-fires-no-later",
        "The early pruning indicator fires no later than the mask distance settles.",
        "our reading of When to Prune? (abstract: EPI quickly triggers pruning); not claimed against EB there",
        "mean over panels, ratios and importances where either fires of (epoch of the mask distance minus epoch of "
        "EPI), one that never fires counting as the end of the search; t-interval over seeds; supported if its lower "
        "end is at least zero",
        finding,
    )


def _nearoracle(scale: Scale, table: pd.DataFrame) -> Claim:
    contrasts = {}
    for one in series(scale):
        if below := gaps(scale, table, one, "epi"):
            contrasts[one] = {s: -gap for s, gap in below.items()}
    finding = confounded(scale, at_least(pooled(contrasts), -_margin(scale), "at EPI minus oracle"))
    return Claim(
        "epi-as-good-as-oracle",
        "A ticket drawn where EPI fires retrains as well as that of the best draw epoch a grid search finds.",
        "When to Prune?, abstract and Table 1",
        "mean over panels, ratios and importances where EPI fired of (at EPI minus best draw of the grid), t-interval "
        f"over seeds; supported if its lower end exceeds -{_margin(scale):g} pp. Strict: the maximum of noisy draws is "
        "biased upwards",
        finding,
    )


def _no_worse_than_distance(scale: Scale, table: pd.DataFrame, schedule: str) -> Claim:
    rows = {"schedule": schedule}
    contrasts = _differences(scale, table, {"draw": "epi", **rows}, {"draw": "eb", **rows})
    finding = at_least(pooled(contrasts), -_margin(scale), "at EPI minus at emergence")
    how = "goes through the rest of the schedule to"
    if schedule == "full":
        how = "retrains to"
        finding = confounded(scale, finding)
    return Claim(
        f"epi-no-worse-than-distance-{schedule}",
        f"A ticket drawn where EPI fires {how} an accuracy no lower than one drawn where the mask distance settles "
        "(so it is no further from the oracle).",
        "our question, between When to Prune? and the EB paper",
        "mean over panels, ratios and importances where both fired, t-interval over seeds; supported if its lower end "
        f"exceeds -{_margin(scale):g} pp",
        finding,
    )


def _gradient(scale: Scale, table: pd.DataFrame) -> Claim:
    rows = {"draw": "epi", "schedule": "full"}
    contrasts = _differences(scale, table, {**rows, "importance": "taylor"}, {**rows, "importance": "magnitude"})
    found = at_least(pooled(contrasts), -_margin(scale), "Taylor minus magnitude, each at its EPI")
    finding = confounded(scale, found)
    return Claim(
        "gradient-as-good-as-magnitude",
        "Channels ranked by gradient (Taylor) give, at EPI, tickets no worse than channels ranked by magnitude.",
        "When to Prune?, Table 1 (both importances come close to their oracle)",
        "mean over panels and ratios where EPI fired on both, t-interval over seeds; supported if its lower end "
        f"exceeds -{_margin(scale):g} pp",
        finding,
    )


def claims(scale: Scale, table: pd.DataFrame) -> list[Claim]:
    """Every claim of the item."""
    return [
        _fires_no_later(scale, table),
        _nearoracle(scale, table),
        *(_no_worse_than_distance(scale, table, schedule) for schedule in ("full", "continue")),
        _gradient(scale, table),
    ]


POLICIES = ("EPI", "random epoch", "pre-defined (epoch 30)", "at init (FORCE/SNIP)")
OTHER = "ImageNet, ResNet-50 and another importance by magnitude: for context"


def cells(scale: Scale, table: pd.DataFrame) -> list[Cell]:
    """EPI's Table 1 for ResNet-50 on ImageNet, for context: another network and dataset."""
    printed = published.read("epi_table1")
    printed = printed[printed.model == "ResNet-50"].set_index("method").value
    label = {"magnitude": "Magnitude", "taylor": "Gradient"}
    out = []
    for importance, theirs in label.items():
        for policy in ("mask distance", *POLICIES):
            value = float(printed.get(f"{theirs}: {policy}", math.nan))
            out.append(
                Cell(
                    f"absolute gap to oracle, {importance}: {policy}",
                    value,
                    _mean_gap(scale, table, importance, policy),
                    "pp",
                    "Table 1 of When to Prune? (ResNet-50, ImageNet)" if value == value else "not printed",
                    "last epoch",
                    MARGINS["imagenet"] if value == value else math.nan,
                    note=OTHER,
                    context=True,
                )
            )
    return out


def _mean_gap(scale: Scale, table: pd.DataFrame, importance: str, policy: str) -> Interval:
    """Mean |gap| over series within each seed; of a random epoch, its expectation over the grid."""
    named = {"EPI": ["epi"], "mask distance": ["eb"], "random epoch": draws(scale, importance)}.get(policy, [])
    per_seed: dict[int, list[float]] = {}
    for one in series(scale):
        for draw in named if one[3] == importance else []:
            for seed, gap in gaps(scale, table, one, draw).items():
                per_seed.setdefault(seed, []).append(abs(gap))
    return t_interval([sum(v) / len(v) for v in per_seed.values()])

"""When to prune: the Early Pruning Indicator beside the mask distance, and both beside the best draw (an oracle)."""

import math
from dataclasses import dataclass
from typing import Any

from ebreplicate import published
from ebreplicate.errors import UserError
from ebreplicate.experiments import base
from ebreplicate.experiments.base import Cell, Claim, Experiment, by_seed, interval
from ebreplicate.experiments.verdicts import at_least, pooled
from ebreplicate.plan.fields import need
from ebreplicate.plan.scale import Scale
from ebreplicate.plan.spec import Retrain, Search, Spec, Ticket, key
from ebreplicate.stats import Interval, accuracy_margin, t_interval

METHODS = {"magnitude": "slimming", "taylor": "taylor"}
"""Importance of channels and the pruning method that ranks by it."""
INDICATORS = {"eb": "mask distance", "epi": "EPI"}
POLICIES = ("EPI", "random epoch", "pre-defined (epoch 30)", "at init (FORCE/SNIP)")
OTHER = "ImageNet, ResNet-50 and another importance by magnitude: for context"
Series = tuple[str, str, float, str]
"""Dataset, model, ratio, importance."""


@dataclass(frozen=True)
class Grid(Spec):
    """`taylor_draws`: draws, as the paper's epochs, among which Taylor's oracle is looked for (none: no oracle);
    `continue_too`: whether tickets also go on through the rest of the search's schedule."""

    seeds: int
    datasets: tuple[str, ...]
    ratios: tuple[float, ...]
    taylor_draws: tuple[int, ...]
    continue_too: bool

    def _validate(self) -> None:
        need(self.seeds >= 1, "Grid.seeds", f"must be at least 1, got {self.seeds}")
        need(len(self.ratios) <= 4, "Grid.ratios", f"the figure has room for 4, got {len(self.ratios)}")


def grid_of(scale: Scale) -> Grid:
    """This item's part of the scale."""
    return scale.grid("when_to_prune", Grid)


def seeds_of(scale: Scale) -> tuple[int, ...]:
    """Seeds this item runs."""
    return scale.seeds[: grid_of(scale).seeds]


def panels(scale: Scale) -> list[tuple[str, str]]:
    """(dataset, model) of the panels this item runs."""
    return [(d, m) for d, m in base.panels() if d in grid_of(scale).datasets]


def series(scale: Scale) -> list[Series]:
    """Everything that is compared within itself: panel, ratio and importance."""
    return [(d, m, r, i) for d, m in panels(scale) for r in grid_of(scale).ratios for i in METHODS]


def draws(scale: Scale, importance: str) -> list[str]:
    """Names of the draws the oracle chooses from: those of Figure 1 by magnitude, the grid's own by Taylor."""
    epochs = scale.draw_epochs if importance == "magnitude" else grid_of(scale).taylor_draws
    return [str(e) for e in epochs]


def retrains(scale: Scale, one: Series, seed: int) -> dict[tuple[str, str], Retrain]:
    """Retrains of a series by (draw, schedule): where each indicator fires, and the oracle's draws."""
    dataset, model, ratio, importance = one
    search, method = scale.search(model, dataset, seed), METHODS[importance]
    grid = {name: scale.epoch(int(name)) for name in draws(scale, importance)}
    out = {}
    for name, at in {**{i: i for i in INDICATORS}, **grid}.items():
        ticket = Ticket(search=search, ratio=ratio, at=at, method=method)
        out[name, "full"] = Retrain(ticket=ticket, recipe=scale.retrain_recipe)
        if name in INDICATORS and grid_of(scale).continue_too:
            out[name, "continue"] = Retrain(ticket=ticket, recipe=scale.recipe, schedule="continue")
    return out


class WhenToPrune(Experiment):
    """Panels x ratios x importances: two indicators and an oracle."""

    def runs(self, scale: Scale) -> list[Spec]:
        """By magnitude all but the tickets at EPI are shared with Figure 1 and the detector study."""
        return [spec for s in seeds_of(scale) for one in series(scale) for spec in retrains(scale, one, s).values()]

    def table(self, scale: Scale, store: Any) -> Any:
        """One row a retrain; for the first seed also one an epoch (draw "curve") with the two indicators.

        `fires`: epoch at which the indicator of the row fires in the stored scores, whether or not it was drawn there;
        nan with `scores_known` true: never.
        """
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for one in series(scale):
            names = where_of(one)
            for seed in seeds_of(scale):
                search = scale.search(one[1], one[0], seed)
                curves, fires = _indicators(search, store, one[2], one[3])
                for (draw, schedule), spec in retrains(scale, one, seed).items():
                    row = base.retrain_row(spec, store, **names, draw=draw, schedule=schedule)
                    rows.append({**row, "fires": fires.get(draw), "scores_known": bool(fires)})
                if seed == scale.seeds[0]:
                    common = {**names, "draw": "curve", "seed": seed, "status": "ok", "key": key(search)}
                    rows += [{**common, **point} for point in curves]
        return pd.DataFrame(rows).reindex(columns=[*base.COLUMNS, *COLUMNS])

    def figure(self, scale: Scale, table: Any) -> Any:
        """A row per panel: the indicators over epochs by magnitude and by Taylor, and the gap to the oracle."""
        from ebreplicate.experiments import when_to_prune_figure

        return when_to_prune_figure.draw(scale, table)

    def cells(self, scale: Scale, table: Any) -> list[Cell]:
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
                        accuracy_margin(75.0, 50_000) if value == value else math.nan,
                        note=OTHER,
                        context=True,
                    )
                )
        return out

    def claims(self, scale: Scale, table: Any) -> list[Claim]:
        """When the indicators fire, what pruning there costs, and whether gradients choose as well as magnitude."""
        return [
            _fires_no_later(scale, table),
            _nearoracle(scale, table),
            *(_no_worse_than_distance(scale, table, schedule) for schedule in ("full", "continue")),
            _gradient(scale, table),
        ]


COLUMNS = ["importance", "fires", "scores_known", "distance", "epi"]


def _indicators(search: Search, store: Any, ratio: float, importance: str) -> tuple[list[dict], dict[str, int | None]]:
    """Both indicators after every epoch, and where they fire; empty where the search or its scores are not there."""
    record = store.read(search)
    if record is None or record["status"] != "ok" or "bn_widths" not in record["metrics"]:
        return [], {}
    from ebreplicate.pruning.earlybird import emergence_epoch
    from ebreplicate.pruning.indicator import first_firing, indicator, threshold_of
    from ebreplicate.pruning.masks import distance_matrix, epoch_masks
    from ebreplicate.stages.common import load_scores, load_taylor

    try:
        scores = (load_taylor if importance == "taylor" else load_scores)(search, store)
    except UserError:  # a search finished without Taylor scores: not run, as the table says
        return [], {}
    values = indicator(scores, ratio, record["metrics"]["bn_widths"])
    apart = distance_matrix(epoch_masks(scores, ratio)).numpy().round(4)
    curves = [
        {
            "epoch": e,
            "distance": apart[e, e - 4 : e].max() if e >= 4 else math.nan,
            "epi": math.nan if value is None else round(value, 6),
        }
        for e, value in enumerate(values)
        if e >= 1
    ]
    threshold = threshold_of(METHODS[importance])
    return curves, {"eb": emergence_epoch(scores, ratio), "epi": first_firing(values[:-1], threshold)}


def where_of(one: Series) -> dict[str, Any]:
    """Columns of the table that select a series."""
    return dict(zip(("dataset", "model", "ratio", "importance"), one, strict=True))


def oracle(scale: Scale, table: Any, one: Series) -> dict[int, float]:
    """Accuracy of the best draw of the grid, for seeds all of whose draws have been run."""
    grid = [by_seed(table, draw=d, schedule="full", **where_of(one)) for d in draws(scale, one[3])]
    seeds = set.intersection(*map(set, grid)) if grid else set()
    return {s: max(g[s] for g in grid) for s in sorted(seeds)}


def gaps(scale: Scale, table: Any, one: Series, draw: str) -> dict[int, float]:
    """Accuracy of the oracle minus that of a full retrain at `draw`, by seed."""
    best, ours = oracle(scale, table, one), by_seed(table, draw=draw, schedule="full", **where_of(one))
    return {s: best[s] - ours[s] for s in best if s in ours}


def _mean_gap(scale: Scale, table: Any, importance: str, policy: str) -> Interval:
    """Mean |gap| over series within each seed; of a random epoch, its expectation over the grid."""
    named = {"EPI": ["epi"], "mask distance": ["eb"], "random epoch": draws(scale, importance)}.get(policy, [])
    per_seed: dict[int, list[float]] = {}
    for one in series(scale):
        for draw in named if one[3] == importance else []:
            for seed, gap in gaps(scale, table, one, draw).items():
                per_seed.setdefault(seed, []).append(abs(gap))
    return t_interval([sum(v) / len(v) for v in per_seed.values()])


def _differences(scale: Scale, table: Any, a: dict[str, str], b: dict[str, str]) -> tuple[dict, float]:
    """Per series that has both, accuracy in the rows of `a` minus that in the rows of `b`, by seed; noise margin."""
    contrasts, margins = {}, []
    for one in series(scale):
        where = where_of(one)
        if "importance" in a and one[3] != "magnitude":
            continue  # the contrast is between importances: once per panel and ratio
        first, second = by_seed(table, **{**where, **a}), by_seed(table, **{**where, **b})
        both = sorted(set(first) & set(second))
        if both:
            contrasts[one] = {s: first[s] - second[s] for s in both}
            margins.append(accuracy_margin(interval(second).mean, base.test_images(scale, one[0])))
    return contrasts, sum(margins) / len(margins) if margins else math.nan


def _fires_no_later(scale: Scale, table: Any) -> Claim:
    contrasts = {}
    known = table[table.scores_known.astype("boolean").fillna(False).astype(bool) & (table.schedule == "full")]
    for one in series(scale):
        fired = {i: by_seed(known, "fires", draw=i, **where_of(one)) for i in INDICATORS}
        seeds = sorted(set().union(*fired.values()))
        if seeds:  # one that never fires is taken to fire when the search ends
            end = scale.recipe.epochs
            contrasts[one] = {s: fired["eb"].get(s, end) - fired["epi"].get(s, end) for s in seeds}
    difference, count = pooled(contrasts)
    verdict, evidence, n = at_least(difference, 0.0, "mask distance minus EPI", count, "epochs")
    return Claim(
        "epi-fires-no-later",
        "The early pruning indicator fires no later than the mask distance settles.",
        "our reading of When to Prune? (abstract: EPI quickly triggers pruning); not claimed against EB there",
        "mean over panels, ratios and importances where either fires of (epoch of the mask distance minus epoch of "
        "EPI), one that never fires counting as the end of the search; t-interval over seeds; supported if its lower "
        "end is at least zero",
        verdict,
        evidence,
        n,
    )


def _nearoracle(scale: Scale, table: Any) -> Claim:
    contrasts, margins = {}, []
    for one in series(scale):
        below = gaps(scale, table, one, "epi")
        if below:
            contrasts[one] = {s: -gap for s, gap in below.items()}
            margins.append(accuracy_margin(interval(oracle(scale, table, one)).mean, base.test_images(scale, one[0])))
    margin = sum(margins) / len(margins) if margins else math.nan
    difference, count = pooled(contrasts)
    verdict, evidence, n = at_least(difference, -margin, "at EPI minus oracle", count)
    verdict, evidence = base.confounded(scale, verdict, evidence)
    return Claim(
        "epi-as-good-as-oracle",
        "A ticket drawn where EPI fires retrains as well as that of the best draw epoch a grid search finds.",
        "When to Prune?, abstract and Table 1",
        "mean over panels, ratios and importances where EPI fired of (at EPI minus best draw of the grid), t-interval "
        f"over seeds; supported if its lower end exceeds minus the noise margin ({margin:.2f} pp). Strict: the maximum "
        "of noisy draws is biased upwards",
        verdict,
        evidence,
        n,
    )


def _no_worse_than_distance(scale: Scale, table: Any, schedule: str) -> Claim:
    rows = {"schedule": schedule}
    contrasts, margin = _differences(scale, table, {"draw": "epi", **rows}, {"draw": "eb", **rows})
    difference, count = pooled(contrasts)
    verdict, evidence, n = at_least(difference, -margin, "at EPI minus at emergence", count)
    how = "goes through the rest of the schedule to"
    if schedule == "full":
        how = "retrains to"
        verdict, evidence = base.confounded(scale, verdict, evidence)
    return Claim(
        f"epi-no-worse-than-distance-{schedule}",
        f"A ticket drawn where EPI fires {how} an accuracy no lower than one drawn where the mask distance settles "
        "(so it is no further from the oracle).",
        "our question, between When to Prune? and the EB paper",
        "mean over panels, ratios and importances where both fired, t-interval over seeds; supported if its lower end "
        f"exceeds minus the noise margin ({margin:.2f} pp)",
        verdict,
        evidence,
        n,
    )


def _gradient(scale: Scale, table: Any) -> Claim:
    rows = {"draw": "epi", "schedule": "full"}
    contrasts, margin = _differences(
        scale, table, {**rows, "importance": "taylor"}, {**rows, "importance": "magnitude"}
    )
    difference, count = pooled(contrasts)
    verdict, evidence, n = at_least(difference, -margin, "Taylor minus magnitude, each at its EPI", count)
    verdict, evidence = base.confounded(scale, verdict, evidence)
    return Claim(
        "gradient-as-good-as-magnitude",
        "Channels ranked by gradient (Taylor) give, at EPI, tickets no worse than channels ranked by magnitude.",
        "When to Prune?, Table 1 (both importances come close to their oracle)",
        "mean over panels and ratios where EPI fired on both, t-interval over seeds; supported if its lower end "
        f"exceeds minus the noise margin ({margin:.2f} pp)",
        verdict,
        evidence,
        n,
    )


EXPERIMENT = WhenToPrune(
    item="when_to_prune",
    title="When to prune: EPI beside the mask distance",
    category="Beyond the paper",
    caption=(
        "Two indicators say when a network in training may be pruned: the mask distance of early-bird tickets asks "
        "whether the same channels would be kept, the early pruning indicator (EPI) only whether each layer would keep "
        "as many. Left and middle, how unsettled each finds the network over the epochs, with channels ranked by "
        "magnitude and by gradient; right, how much accuracy pruning there loses against the best draw epoch that a "
        "grid of retrains finds."
    ),
)

"""When to prune: the Early Pruning Indicator beside the mask distance, and both beside the best draw (an oracle)."""

import math
from typing import Any

from ebreplicate import published
from ebreplicate.errors import UserError
from ebreplicate.experiments.common.experiment import Cell, Claim, Experiment
from ebreplicate.experiments.common.rows import COLUMNS, retrain_row
from ebreplicate.experiments.common.stats import Interval, accuracy_margin, t_interval
from ebreplicate.experiments.when_to_prune.claims import all_claims, gaps
from ebreplicate.experiments.when_to_prune.runs import METHODS, draws, retrains, seeds_of, series, where_of
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Search, Spec, key

POLICIES = ("EPI", "random epoch", "pre-defined (epoch 30)", "at init (FORCE/SNIP)")
OTHER = "ImageNet, ResNet-50 and another importance by magnitude: for context"


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
                    row = retrain_row(spec, store, **names, draw=draw, schedule=schedule)
                    seen = {"fires": fires.get(draw), "scores_known": bool(fires), "search_key": key(search)}
                    rows.append({**row, **seen})
                if seed == scale.seeds[0]:
                    common = {**names, "draw": "curve", "seed": seed, "status": "ok", "key": key(search)}
                    rows += [{**common, **point} for point in curves]
        return pd.DataFrame(rows).reindex(columns=[*COLUMNS, *INDICATORS])

    def figure(self, scale: Scale, table: Any) -> Any:
        """A row per panel: the indicators over epochs by magnitude and by Taylor, and the gap to the oracle."""
        from ebreplicate.experiments.when_to_prune import plot

        return plot.draw(scale, table)

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
        return all_claims(scale, table)


INDICATORS = ["importance", "fires", "scores_known", "search_key", "distance", "epi"]


def _indicators(search: Search, store: Any, ratio: float, importance: str) -> tuple[list[dict], dict[str, int | None]]:
    """Both indicators after every epoch, and where they fire; empty where the search or its scores are not there."""
    record = store.read(search)
    if record is None or record["status"] != "ok" or "bn_widths" not in record["metrics"]:
        return [], {}
    from ebreplicate.pruning.earlybird import emergence_epoch
    from ebreplicate.pruning.indicator import first_firing, indicator, threshold_of
    from ebreplicate.pruning.masks import distance_matrix, epoch_masks
    from ebreplicate.stages.inputs import load_scores, load_taylor

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


def _mean_gap(scale: Scale, table: Any, importance: str, policy: str) -> Interval:
    """Mean |gap| over series within each seed; of a random epoch, its expectation over the grid."""
    named = {"EPI": ["epi"], "mask distance": ["eb"], "random epoch": draws(scale, importance)}.get(policy, [])
    per_seed: dict[int, list[float]] = {}
    for one in series(scale):
        for draw in named if one[3] == importance else []:
            for seed, gap in gaps(scale, table, one, draw).items():
                per_seed.setdefault(seed, []).append(abs(gap))
    return t_interval([sum(v) / len(v) for v in per_seed.values()])


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

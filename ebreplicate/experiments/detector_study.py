"""Detector study (ours): when three readings of the detector fire, and what drawing there costs in accuracy."""

import math
from dataclasses import dataclass
from typing import Any

from ebreplicate import published
from ebreplicate.experiments import base
from ebreplicate.experiments.base import Cell, Claim, Experiment, by_seed, interval
from ebreplicate.experiments.fig1_existence import RATIOS
from ebreplicate.experiments.verdicts import at_least, pooled
from ebreplicate.plan.scale import Scale
from ebreplicate.plan.spec import Retrain, Spec, key
from ebreplicate.stats import accuracy_margin, t_interval

RULES = {
    "authors": "authors' code: newest of 5 masks against each older one",
    "consecutive": "README: last 5 distances between consecutive epochs",
    "no-init": "authors' rule without the untrained mask",
}


@dataclass(frozen=True)
class Grid(Spec):
    """`at_emergence`: whether tickets drawn where the detector fires are retrained in full, beside EB Train."""

    at_emergence: bool


def emergence_retrain(scale: Scale, dataset: str, model: str, ratio: float, seed: int) -> Retrain:
    """The ticket drawn where the authors' detector fires, retrained."""
    search = scale.search(model, dataset, seed)
    return Retrain(ticket=base.ticket(search, ratio, "eb"), recipe=scale.retrain_recipe)


def eb_train(scale: Scale, dataset: str, model: str, ratio: float, seed: int) -> Retrain:
    """EB Train as the paper runs it: from emergence on, the small network goes through the rest of the schedule."""
    search = scale.search(model, dataset, seed)
    return Retrain(ticket=base.ticket(search, ratio, "eb"), recipe=scale.recipe, schedule="continue")


class DetectorStudy(Experiment):
    """Emergence epoch per network, dataset, ratio, seed and rule; accuracy at emergence; EB Train beside dense."""

    def runs(self, scale: Scale) -> list[Spec]:
        """Retrains at emergence, whole and continuing; the grid of draws to compare with is Figure 1's."""
        whole = [emergence_retrain] if scale.grid("detector_study", Grid).at_emergence else []
        return [
            kind(scale, dataset, model, ratio, seed)
            for seed in scale.seeds
            for dataset, model in base.panels()
            for ratio in RATIOS[dataset, model]
            for kind in (*whole, eb_train)
        ]

    def table(self, scale: Scale, store: Any) -> Any:
        """One row a (panel, ratio, seed): the three emergence epochs, accuracy there, and Figure 1's grid beside."""
        import pandas as pd

        from ebreplicate.experiments.fig1_existence import retrains

        rows = []
        whole = scale.grid("detector_study", Grid).at_emergence
        for dataset, model in base.panels():
            for seed in scale.seeds:
                grid = retrains(scale, dataset, model, seed)
                for ratio in RATIOS[dataset, model]:
                    spec = (emergence_retrain if whole else eb_train)(scale, dataset, model, ratio, seed)
                    row = base.retrain_row(spec, store, draw="eb", model=model, dataset=dataset)
                    if not whole:  # the row stands for EB Train, whose accuracy has a column of its own
                        row |= {"last_accuracy": None, "best_accuracy": None}
                    drawn = store.read(spec.ticket)
                    emergence = drawn["metrics"]["emergence"] if drawn else {}
                    row |= {f"emergence_{rule}": emergence.get(rule) for rule in RULES}
                    row |= {"emergence_known": drawn is not None}
                    row |= _grid(grid, ratio, store)
                    row["first_decay"] = scale.recipe.milestones[0]
                    row |= _eb_train_columns(scale, eb_train(scale, dataset, model, ratio, seed), store)
                    rows.append(row)
        extra = [*(f"emergence_{r}" for r in RULES), "emergence_known", "best_draw", "best_draw_accuracy"]
        extra += ["final_draw_accuracy", "first_decay", "dense_accuracy", "eb_train_accuracy", "eb_train_flops_ratio"]
        extra += ["eb_train_key"]
        return pd.DataFrame(rows).reindex(columns=[*base.COLUMNS, *extra])

    def figure(self, scale: Scale, table: Any) -> Any:
        """Left: emergence epochs per rule. Right: accuracy at emergence minus the best draw of the grid."""
        from ebreplicate import style

        plt = style.use()
        figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.8), width_ratios=(3, 2))
        groups = [(d, m, r) for d, m in base.panels() for r in RATIOS[d, m]]
        for rule, colour, marker, shift in zip(RULES, style.COLOURS, style.MARKERS, (-0.22, 0, 0.22), strict=False):
            points = []
            for x, (dataset, model, ratio) in enumerate(groups):
                found = by_seed(table, f"emergence_{rule}", dataset=dataset, model=model, ratio=ratio)
                points += [(x + shift, epoch) for epoch in found.values()]
            left.plot([p[0] for p in points], [p[1] for p in points], marker, c=colour, label=RULES[rule], alpha=0.8)
        decay = scale.recipe.milestones[0]
        left.axhline(decay, c="0.3", ls="--", lw=1, label=f"first learning-rate decay (epoch {decay})")
        known = table[table.emergence_known.astype(bool)]
        never = known[known.emergence_authors.isna()]
        for row in never.itertuples():
            x = groups.index((row.dataset, row.model, row.ratio))
            left.text(x, scale.recipe.epochs, "none", ha="center", va="bottom", fontsize="xx-small", color="0.4")
        left.set(ylabel=f"emergence epoch, of {scale.recipe.epochs}", ylim=(0, scale.recipe.epochs * 1.08))
        left.legend(fontsize="x-small", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        for x, (dataset, model, ratio) in enumerate(groups):
            at_eb = by_seed(table, dataset=dataset, model=model, ratio=ratio)
            best = by_seed(table, "best_draw_accuracy", dataset=dataset, model=model, ratio=ratio)
            seeds = sorted(set(at_eb) & set(best))
            label = "full retrain at emergence, minus best draw of Figure 1's grid" if x == 0 else None
            right.plot(
                [x - 0.12] * len(seeds), [at_eb[s] - best[s] for s in seeds], "o", c=style.COLOURS[0], label=label
            )
            ours = by_seed(table, "eb_train_accuracy", dataset=dataset, model=model, ratio=ratio)
            dense = by_seed(table, "dense_accuracy", dataset=dataset, model=model, ratio=ratio)
            seeds = sorted(set(ours) & set(dense))
            label = "EB Train (rest of the schedule), minus dense" if x == 0 else None
            right.plot(
                [x + 0.12] * len(seeds), [ours[s] - dense[s] for s in seeds], "s", c=style.COLOURS[1], label=label
            )
        right.axhline(0, c="0.3", ls="--", lw=1)
        right.set_ylabel("accuracy difference (pp)")
        right.legend(fontsize="x-small", loc="lower center", bbox_to_anchor=(0.5, 1.0))
        short = {"preresnet101": "PRN", "vgg16": "VGG"}
        labels = [f"{short[m]} {d.removeprefix('cifar')} {r:.0%}" for d, m, r in groups]
        for axis in (left, right):
            axis.set_xticks(range(len(groups)), labels, rotation=60, fontsize="x-small", ha="right")
            axis.set_xlim(-0.6, len(groups) - 0.4)
        style.stamp(figure, f"scale {scale.name}, one point a seed; PRN: PreResNet101, 10 and 100: CIFAR-10 and -100")
        return figure

    def cells(self, scale: Scale, table: Any) -> list[Cell]:
        """The second-hand N_EB / N figure: tickets found in 12.5 % of training."""
        known = table[table.emergence_known.astype(bool) & table.emergence_authors.notna()]
        per_seed = [
            float((100 * rows.emergence_authors / rows.search_epochs).mean()) for _, rows in known.groupby("seed")
        ]
        printed = published.read("eb_headline_claims")
        value = float(printed[printed.metric == "N_EB_over_N_fig1"].value.iloc[0])
        return [
            Cell(
                "emergence epoch / search epochs, mean over panels and ratios",
                value,
                t_interval(per_seed),
                "%",
                "second-hand note on Fig. 1 (20 of 160 epochs)",
                "authors' rule",
                2.5,
                note="where the ticket emerged; tolerance: 4 of 160 epochs",
            )
        ]

    def claims(self, scale: Scale, table: Any) -> list[Claim]:
        """Masks settle before the first decay; drawing at emergence is as good as the best draw."""
        return [
            _before_decay(scale, table),
            _as_good_as_oracle(scale, table),
            _eb_train_matches_dense(scale, table),
            _eb_train_costs_less(table),
        ]


def _eb_train_columns(scale: Scale, spec: Retrain, store: Any) -> dict[str, Any]:
    """EB Train beside the dense network it was found in: accuracies, and training FLOPs as a fraction of dense."""
    record, dense = store.read(spec), store.read(spec.ticket.search)
    out: dict[str, Any] = {"eb_train_key": key(spec)}
    if dense and dense["status"] == "ok":
        out["dense_accuracy"] = dense["metrics"]["last_accuracy"]
    if record and dense and record["status"] == "ok":
        total, whole = (r["cost"]["training_flops"]["authors"] for r in (record, dense))
        out |= {"eb_train_accuracy": record["metrics"]["last_accuracy"], "eb_train_flops_ratio": total / whole}
    return out


def _grid(grid: dict[tuple[float, str], Retrain], ratio: float, store: Any) -> dict[str, Any]:
    """Best and final draw of Figure 1's grid at this ratio and seed."""
    found = {}
    for (r, draw), spec in grid.items():
        record = store.read(spec) if r == ratio and draw != "best" else None
        if record and record["status"] == "ok":
            found[draw] = record["metrics"]["last_accuracy"]
    if not found:
        return {}
    best = max(found, key=lambda d: found[d])
    return {"best_draw": best, "best_draw_accuracy": found[best], "final_draw_accuracy": found.get("160")}


def _before_decay(scale: Scale, table: Any) -> Claim:
    known = table[table.emergence_known.astype(bool)]
    early = known[known.emergence_authors <= known.first_decay]
    n, total = len(early), len(known)
    verdict = base.NOT_RUN if not total else base.SUPPORTED if n == total else base.NOT_SUPPORTED
    if total and 0 < n < total:
        verdict = base.INCONCLUSIVE
    median = known.emergence_authors.median()
    evidence = f"{n} of {total} searches x ratios; median emergence epoch {median:g} of {scale.recipe.epochs}"
    return Claim(
        "settles-before-decay",
        "The mask settles (all five masks within 0.1) before the learning rate first falls.",
        "paper, section 3 and Fig. 3",
        f"count of (search, ratio) pairs that emerge, under the authors' rule, within the {scale.recipe.milestones[0]} "
        "epochs trained at the first rate; supported if all, not supported if none",
        verdict,
        evidence if total else "",
        known.seed.nunique() if total else 0,
    )


def _as_good_as_oracle(scale: Scale, table: Any) -> Claim:
    contrasts, margins = {}, []
    for (dataset, model), ratios in RATIOS.items():
        for ratio in ratios:
            where = {"dataset": dataset, "model": model, "ratio": ratio}
            at_eb, final = by_seed(table, **where), by_seed(table, "final_draw_accuracy", **where)
            seeds = sorted(set(at_eb) & set(final))
            if seeds:
                contrasts[dataset, model, ratio] = {s: at_eb[s] - final[s] for s in seeds}
                margins.append(accuracy_margin(interval(at_eb).mean, base.test_images(scale, dataset)))
    margin = sum(margins) / len(margins) if margins else math.nan
    difference, series = pooled(contrasts)
    verdict, evidence, n = at_least(difference, -margin, "at emergence minus final draw", series)
    verdict, evidence = base.confounded(scale, verdict, evidence)
    return Claim(
        "emergence-suffices",
        "A ticket drawn where the detector fires retrains as well as one drawn from the fully trained network.",
        "paper, Algorithm 1 and Table 2",
        "mean over panels and ratios where a ticket emerged, t-interval over seeds; supported if its lower end "
        f"exceeds minus the noise margin ({margin:.2f} pp). The best draw of the grid is not the yardstick: the "
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
            ours, dense = by_seed(table, "eb_train_accuracy", **where), by_seed(table, "dense_accuracy", **where)
            seeds = sorted(set(ours) & set(dense))
            if seeds:
                contrasts[dataset, model, ratio] = {s: ours[s] - dense[s] for s in seeds}
                margins.append(accuracy_margin(interval(dense).mean, base.test_images(scale, dataset)))
    margin = sum(margins) / len(margins) if margins else math.nan
    difference, series = pooled(contrasts)
    verdict, evidence, n = at_least(difference, -margin, "EB Train minus dense", series)
    return Claim(
        "eb-train-matches-dense",
        "EB Train (search until emergence, then train the small network through the rest of the same schedule) reaches "
        "the accuracy of the dense network.",
        "paper, abstract and Table 2",
        "mean over panels and ratios where a ticket emerged, same number of epochs in total, t-interval over seeds; "
        f"supported if its lower end exceeds minus the noise margin ({margin:.2f} pp)",
        verdict,
        evidence,
        n,
    )


def _eb_train_costs_less(table: Any) -> Claim:
    found = table[table.eb_train_flops_ratio.notna()]
    ratios = [float(rows.eb_train_flops_ratio.mean()) for _, rows in found.groupby("seed")]
    i = t_interval(ratios)
    verdict = (
        base.NOT_RUN if not i.n else base.SUPPORTED if found.eb_train_flops_ratio.max() < 1 else base.NOT_SUPPORTED
    )
    evidence = f"EB Train / dense: mean {i.mean:.2f}, range {found.eb_train_flops_ratio.min():.2f} to "
    evidence += f"{found.eb_train_flops_ratio.max():.2f} ({len(found)} runs, {i.n} seeds)"
    return Claim(
        "eb-train-costs-less",
        "EB Train needs fewer training FLOPs, search and detector included, than dense training.",
        "paper, Table 2",
        "supported if every run's total is below its dense network's (FLOPs are counted, not sampled: no interval)",
        verdict,
        evidence if i.n else "",
        i.n,
    )


EXPERIMENT = DetectorStudy(
    item="detector_study",
    title="Detector study: when does the ticket emerge?",
    category="Beyond the paper",
    caption=(
        "The paper's detector compares the newest channel mask with older ones and stops the search when they agree. "
        "Text and code describe different rules; this shows the epoch at which each fires, and how the accuracy of "
        "the ticket drawn there compares with the best ticket of Figure 1's grid, and EB Train, which goes on from "
        "there with the small network, with training the dense network all the way."
    ),
)

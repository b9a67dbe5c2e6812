"""Detector study (ours): when three readings of the detector fire, and what drawing there costs in accuracy."""

from dataclasses import dataclass
from typing import Any

from ebreplicate import published
from ebreplicate.experiments.common.experiment import Cell, Claim, Experiment
from ebreplicate.experiments.common.lineage import Traced
from ebreplicate.experiments.common.panels import panels
from ebreplicate.experiments.common.rows import COLUMNS, retrain_row, ticket
from ebreplicate.experiments.common.stats import t_interval
from ebreplicate.experiments.detector.claims import all_claims
from ebreplicate.experiments.fig1.runs import ratios_of, retrains
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Retrain, Spec, key

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
    return Retrain(ticket=ticket(search, ratio, "eb"), recipe=scale.retrain_recipe)


def eb_train(scale: Scale, dataset: str, model: str, ratio: float, seed: int) -> Retrain:
    """EB Train as the paper runs it: from emergence on, the small network goes through the rest of the schedule."""
    search = scale.search(model, dataset, seed)
    return Retrain(ticket=ticket(search, ratio, "eb"), recipe=scale.recipe, schedule="continue")


class DetectorStudy(Experiment):
    """Emergence epoch per network, dataset, ratio, seed and rule; accuracy at emergence; EB Train beside dense."""

    def runs(self, scale: Scale) -> list[Spec]:
        """Retrains at emergence, whole and continuing; the grid of draws to compare with is Figure 1's."""
        whole = [emergence_retrain] if scale.grid("detector_study", Grid).at_emergence else []
        return [
            kind(scale, dataset, model, ratio, seed)
            for seed in scale.seeds
            for dataset, model in panels(scale)
            if seed in scale.seeds_for(model)
            for ratio in ratios_of(scale, dataset, model)
            for kind in (*whole, eb_train)
        ]

    def table(self, scale: Scale, store: Any) -> Any:
        """One row a (panel, ratio, seed): the three emergence epochs, accuracy there, and Figure 1's grid beside."""
        import pandas as pd

        rows = []
        whole = scale.grid("detector_study", Grid).at_emergence
        for dataset, model in panels(scale):
            for seed in scale.seeds_for(model):
                grid = retrains(scale, dataset, model, seed)
                for ratio in ratios_of(scale, dataset, model):
                    spec = (emergence_retrain if whole else eb_train)(scale, dataset, model, ratio, seed)
                    row = retrain_row(spec, store, draw="eb", model=model, dataset=dataset)
                    if not whole:  # the row stands for EB Train, whose accuracy has a column of its own
                        row |= {"last_accuracy": None, "best_accuracy": None}
                    drawn = store.read(spec.ticket)
                    emergence = drawn["metrics"]["emergence"] if drawn else {}
                    row |= {f"emergence_{rule}": emergence.get(rule) for rule in RULES}
                    row |= {"emergence_known": drawn is not None, "draw_key": key(spec.ticket)}
                    row |= _grid(grid, ratio, store)
                    row["first_decay"] = scale.recipe.milestones[0]
                    row |= _eb_train_columns(scale, eb_train(scale, dataset, model, ratio, seed), store)
                    rows.append(row)
        extra = [*(f"emergence_{r}" for r in RULES), "emergence_known", "best_draw", "best_draw_accuracy"]
        extra += ["final_draw_accuracy", "first_decay", "dense_accuracy", "eb_train_accuracy", "eb_train_flops_ratio"]
        extra += ["eb_train_key", "dense_key", "draw_key", "final_draw_key"]
        return pd.DataFrame(rows).reindex(columns=[*COLUMNS, *extra])

    def figure(self, scale: Scale, table: Any) -> Any:
        """Left: emergence epochs per rule. Right: accuracy at emergence minus the best draw of the grid."""
        from ebreplicate.experiments.detector.plot import draw

        return draw(scale, table)

    def cells(self, scale: Scale, table: Any) -> list[Cell]:
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

    def claims(self, scale: Scale, table: Any) -> list[Claim]:
        """Masks settle before the first decay; drawing at emergence is as good as the best draw."""
        return all_claims(scale, table)


def _earliest(rows: Any) -> Traced:
    """Emergence of the first ticket of one seed's rows, on the paper's scale of 160 epochs."""
    epochs = 160 * rows.emergence_authors / rows.search_epochs
    return Traced(epochs.min(), rows.draw_key)


def _eb_train_columns(scale: Scale, spec: Retrain, store: Any) -> dict[str, Any]:
    """EB Train beside the dense network it was found in: accuracies, and training FLOPs as a fraction of dense."""
    record, dense = store.read(spec), store.read(spec.ticket.search)
    out: dict[str, Any] = {"eb_train_key": key(spec), "dense_key": key(spec.ticket.search)}
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
    final = {"final_draw_accuracy": found["160"], "final_draw_key": key(grid[ratio, "160"])} if "160" in found else {}
    return {"best_draw": best, "best_draw_accuracy": found[best], **final}


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

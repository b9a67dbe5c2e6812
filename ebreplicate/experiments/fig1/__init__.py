"""Figure 1, existence of early-bird tickets: retrain accuracy against the epoch the ticket was drawn at."""

import math
from typing import Any

from ebreplicate.catalog import TITLES
from ebreplicate.experiments.common.experiment import Cell, Claim, Experiment
from ebreplicate.experiments.common.panels import PANELS, panels
from ebreplicate.experiments.common.rows import by_seed, interval, retrain_row, search_row, tidy
from ebreplicate.experiments.common.stats import accuracy_margin
from ebreplicate.experiments.fig1.claims import all_claims
from ebreplicate.experiments.fig1.runs import printed, retrains, seeds_of
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Spec

SOURCE = "Fig. 1 (ICLR version), digitised"


class Fig1(Experiment):
    """Four panels: 2 datasets x 2 networks."""

    def runs(self, scale: Scale) -> list[Spec]:
        """Dense searches and, for every ratio and draw epoch of the paper's panel, one retrain a seed."""
        out: list[Spec] = []
        for seed in scale.seeds:  # seed by seed, so that an interrupted scale has whole panels
            for dataset, model in panels(scale):
                if seed not in seeds_of(scale, model):
                    continue
                out += [scale.search(model, dataset, seed), *retrains(scale, dataset, model, seed).values()]
        return out

    def table(self, scale: Scale, store: Any) -> Any:
        """One row a run: the dense baseline (draw "dense") and every retrain."""
        rows = []
        for dataset, model in panels(scale):
            for seed in seeds_of(scale, model):
                names = {"model": model, "dataset": dataset}
                rows.append(search_row(scale.search(model, dataset, seed), store, draw="dense", **names))
                for (_, draw), spec in retrains(scale, dataset, model, seed).items():
                    rows.append(retrain_row(spec, store, draw=draw, schedule="[80,120]", **names))
        return tidy(rows)

    def figure(self, scale: Scale, table: Any) -> Any:
        """Retrain accuracy (last epoch) against the draw epoch; published points hollow beside ours."""
        from ebreplicate.experiments.fig1.plot import draw

        return draw(scale, table)

    def cells(self, scale: Scale, table: Any) -> list[Cell]:
        """Every published point of the figure: 4 dense baselines, 12 series."""
        out = []
        for row in (row for panel in PANELS for row in printed(*panel).itertuples()):
            where = {"dataset": row.dataset, "model": row.model, "draw": row.draw}
            if row.draw != "dense":
                where["ratio"] = float(row.prune_ratio)
            # The authors select the best epoch on the test set, so that is what their numbers are set beside.
            measured = interval(by_seed(table, "best_accuracy", **where))
            reading = f"reading +-{row.uncertainty}, confidence {row.confidence}"
            bar = row.half if math.isfinite(row.half) else 0.0
            tolerance = accuracy_margin(row.value, 10_000) + row.uncertainty + bar
            name = "dense" if row.draw == "dense" else f"ratio {row.prune_ratio:g}, draw {row.draw}"
            out.append(
                Cell(
                    f"{TITLES[row.model]} {TITLES[row.dataset]}: {name}",
                    float(row.value),
                    measured,
                    "%",
                    f"{SOURCE}; " + (reading if math.isfinite(row.value) else "hidden behind other points"),
                    "best epoch on test",
                    tolerance,
                    note="" if math.isnan(row.half) else f"printed error bar +-{row.half:g}",
                    **where,
                )
            )
        return out

    def claims(self, scale: Scale, table: Any) -> list[Claim]:
        """Existence, cost of drawing too early, and comparison with the dense network."""
        return all_claims(scale, table)


EXPERIMENT = Fig1(
    item="fig1_existence",
    title="Figure 1: early-bird tickets exist",
    category="Paper figures",
    caption=(
        "Early in training, a network's batch-norm scales already tell which channels matter. Each point takes the "
        "channels that a training run would keep after so many epochs (horizontal), cuts the network down to them, "
        "trains the small network, and shows its test accuracy (vertical). If tickets drawn early do as well as "
        "tickets drawn at the end, most of the dense training was not needed to find them."
    ),
)

"""Lottery tickets by iterative magnitude pruning (Frankle & Carbin, ICLR 2019): Figures 1, 4, 5, 7 and 8."""

import math
from dataclasses import dataclass, replace
from typing import Any

from ebreplicate import published
from ebreplicate.catalog import TITLES
from ebreplicate.experiments.common.experiment import Cell, Claim, Experiment
from ebreplicate.experiments.common.rows import by_seed, retrain_row, search_row
from ebreplicate.experiments.common.stats import accuracy_margin, t_interval
from ebreplicate.experiments.lottery import levels, text
from ebreplicate.experiments.lottery.runs import DATASET, DEEP, ITEM, SMALL, Planned, grid_of, planned
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Search, Spec

PAPER = "Frankle & Carbin, ICLR 2019"
COLUMNS = [
    "model",
    "dataset",
    "setting",
    "series",
    "round",
    "seed",
    "remaining",
    "status",
    "last_accuracy",
    "best_accuracy",
    "early_stop_accuracy",
    "early_stop_iteration",
    "training_flops",
    "seconds",
    "search_epochs",
    "key",
]
KEY_ROUNDS = (0, 1, 3, 7, 11, 12, 15, 18)
"""Rounds that are set beside the paper's: about 100, 80, 51, 21, 9, 7, 3.6 and 1.9 % of the weights left."""
ACCURACY, ITERATION = "Accuracy at Early-Stop (Test)", "Early-Stop Iteration (Val.)"
CURVES = {
    ("lenet300", "ticket"): ("Fig4", "Winning Ticket (Iterative)", "Winning Ticket (Iterative)"),
    ("lenet300", "reinit"): ("Fig4", "Winning Ticket (Iterative)", "Random Reinit (Iterative)"),
    ("lenet300", "random"): ("Fig1", "Lenet", "Lenet / random sparse"),
    **{(f"conv{n}", "ticket"): ("Fig5", f"Conv-{n}", f"Conv-{n}") for n in (2, 4, 6)},
    **{(f"conv{n}", "reinit"): ("Fig5", f"Conv-{n}", f"Conv-{n} reinit") for n in (2, 4, 6)},
    **{(f"conv{n}", "random"): ("Fig1", f"Conv-{n}", f"Conv-{n} / random sparse") for n in (2, 4, 6)},
}
"""Figure, the series whose levels number the rounds, and the series itself."""
DEEP_FIGURES = {"vgg19": ("Fig7", "Test Accuracy (112K)"), "preresnet20": ("Fig8", "Test Accuracy (30K)")}
RATES = {
    ("vgg19", "high"): "rate 0.1",
    ("vgg19", "low"): "rate 0.01",
    ("vgg19", "warmup"): "rate 0.1, warmup 10K",
    ("preresnet20", "high"): "rate 0.1",
    ("preresnet20", "low"): "rate 0.01",
    ("preresnet20", "warmup"): "rate 0.03, warmup 20K",
}


def curve(model: str, setting: str, series: str, metric: str = ACCURACY) -> dict[int, Any]:
    """Published rows by round; empty where the paper has no such curve.

    A round's number is the place of its level among those of the winning tickets, since a curve may lack points; rows
    that the figure's clipping made are left out.
    """
    if model in DEEP:
        figure, metric = DEEP_FIGURES[model]
        levels_of = RATES.get((model, setting), "")
        name = levels_of + (" / random re-init" if series == "reinit" else "")
    else:
        figure, levels_of, name = CURVES.get((model, series), ("", "", ""))
    rows = published.read("lth_figures_vector_exact")
    rows = rows[(rows.figure == figure) & ~rows.note.fillna("").str.startswith("line-clip")]
    remaining = sorted(set(rows[rows.series == levels_of].percent_weights_remaining), reverse=True)
    found = rows[(rows.series == name) & (rows.y_metric == metric)]
    return {
        number: row
        for row in found.itertuples()
        for number, level in enumerate(remaining)
        if abs(row.percent_weights_remaining / level - 1) < 0.01
    }


def _row(run: Planned, store: Any) -> dict[str, Any]:
    """Table row of a run: what `base` reads of it, the share of weights left, and where early stopping would be."""
    names: dict[str, Any] = {"model": run.model, "dataset": DATASET[run.model], "setting": run.setting}
    names |= {"series": run.series, "round": run.round}
    remaining: float | None = 1.0
    if isinstance(run.spec, Search):
        row, search = search_row(run.spec, store, **names), run.spec
    else:
        row, search = retrain_row(run.spec, store, **names), run.spec.ticket.search
        drawn = store.read(run.spec.ticket)
        remaining = drawn["metrics"].get("remaining_fraction") if drawn else None
    record = store.read(run.spec)
    stop = record["metrics"] if record is not None and record["status"] == "ok" else {}
    steps = -(-search.train_images // search.recipe.batch_size)
    epoch = stop.get("early_stop_epoch")
    return {
        **row,
        "remaining": remaining,
        "early_stop_accuracy": stop.get("early_stop_accuracy"),
        "early_stop_iteration": stop.get("early_stop_iteration", None if epoch is None else epoch * steps),
    }


@dataclass(frozen=True)
class LotteryTickets(Experiment):
    """Winning tickets, re-initialised tickets and random sparsity over rounds; deep networks at three rates.

    `models`: the networks of the item.
    """

    models: tuple[str, ...] = (*SMALL, *DEEP)

    def runs(self, scale: Scale) -> list[Spec]:
        """One dense search a seed and setting, and per round the ticket and its controls."""
        return [run.spec for run in planned(scale, self.models)]

    def table(self, scale: Scale, store: Any) -> Any:
        """One row a run; round 0 is the dense network."""
        import pandas as pd

        return pd.DataFrame([_row(run, store) for run in planned(scale, self.models)]).reindex(columns=COLUMNS)

    def figure(self, scale: Scale, table: Any) -> Any:
        """Accuracy against remaining weights; below it the early-stopping iteration, or the gain over re-init."""
        from ebreplicate.experiments.lottery.plot import draw

        return draw(scale, table)

    def cells(self, scale: Scale, table: Any) -> list[Cell]:
        """The paper's points at key rounds, of networks pruned at its rate; dense networks always; and its text."""
        out = []
        for model, panel in grid_of(scale).panels.items():
            if model not in self.models:
                continue
            wanted = [k for k in KEY_ROUNDS if k <= panel.rounds and (k == 0 or panel.ratio == 0.2)]
            for setting in ("high", "low", "warmup") if model in DEEP else ("plain",):
                for series in ("ticket", "reinit") if model in DEEP else ("ticket", "reinit", "random"):
                    for number in wanted:
                        if (number or series == "ticket") and (series == "ticket" or panel.controlled(number)):
                            out += _cells(table, model, setting, series, number)
        return out + text.cells(table) + levels.cells(table)

    def claims(self, scale: Scale, table: Any) -> list[Claim]:
        """What the paper says of small networks, of the learning rate, and what later work says of rewinding."""
        from ebreplicate.experiments.lottery.claims import claims

        return claims(scale, table)


def _cells(table: Any, model: str, setting: str, series: str, number: int) -> list[Cell]:
    """One point of one curve: accuracy, and on small networks the iteration of early stopping."""
    where = {"model": model, "setting": setting, "series": series if number else "dense", "round": number}
    name = TITLES[model] + ("" if setting == "plain" else f", {setting}")
    point = f"{name}: {series if number else 'dense'}, round {number}"
    metrics = {"accuracy": (ACCURACY, "last_accuracy" if model in DEEP else "early_stop_accuracy", 0.01)}
    if model not in DEEP:
        metrics["early-stop iteration"] = (ITERATION, "early_stop_iteration", 1.0)
    out = []
    for what, (metric, column, factor) in metrics.items():
        row = curve(model, setting, series, metric).get(number)
        measured = t_interval([factor * v for v in by_seed(table, column, **where).values()])
        value = math.nan if row is None else float(row.value)
        spread = 0.0 if row is None else max(row.max_of_trials - row.value, row.value - row.min_of_trials)
        spread = 0.0 if math.isnan(spread) else spread
        margin = accuracy_margin(100 * value, 10_000) / 100 if factor == 0.01 else EVALUATED
        source = f"{PAPER}, not printed"
        if row is not None:
            source = f"{PAPER}, {row.figure}, {row.percent_weights_remaining:g} % of weights left"
        out.append(
            Cell(
                f"{point}: {what}",
                value,
                measured,
                "",
                source,
                "last epoch" if model in DEEP else "epoch of minimum test loss",
                math.nan if row is None else spread + margin,
                note="" if row is None else f"trials of the paper: {row.min_of_trials:g} to {row.max_of_trials:g}",
            )
        )
    return out


EVALUATED = 1000.0
"""Iterations between two evaluations here, at most (one epoch at batch 60): early stopping is known to one epoch."""


EXPERIMENT = LotteryTickets(
    item=ITEM,
    title="Lottery tickets by iterative magnitude pruning",
    category="Methods beside the paper's",
    caption=(
        "Networks are trained, the smallest of the remaining weights are removed, the rest is rewound to its "
        "initialisation, and so on. Winning tickets are set beside the same masks with fresh weights and beside random "
        "sparsity; deep networks at a high learning rate, a low one, with warmup, and rewound to an early epoch. "
        "Hollow: Frankle & Carbin (ICLR 2019)."
    ),
)

LENET300 = replace(
    EXPERIMENT,
    item="lottery_lenet300",
    title="Lottery tickets, LeNet-300-100 on MNIST",
    models=("lenet300",),
    trains_on_cpu=True,
)
"""The network that a CPU trains at that paper's own scale."""

"""Figure 2, low precision: tickets searched for in eight bits and retrained in full precision.

Beside the paper's question (do they retrain as well?) ours: does the ticket found in eight bits differ, and how far?
The searches of one seed share initialisation and batches, so their masks differ by the rounding alone; the distance
between masks of two full-precision seeds is the yardstick.
"""

import math
from dataclasses import dataclass
from typing import Any

from ebreplicate.errors import unknown
from ebreplicate.experiments import base
from ebreplicate.experiments.base import Cell, Claim, Experiment, by_seed, interval
from ebreplicate.experiments.fig1_existence import RATIOS
from ebreplicate.experiments.verdicts import at_least, greater, pooled
from ebreplicate.plan.fields import need
from ebreplicate.plan.scale import Scale
from ebreplicate.plan.spec import LOW_PRECISIONS, Retrain, Search, Spec, Ticket
from ebreplicate.stats import accuracy_margin

FINAL = 160
NAMES = {"bfp8": "8-bit block floating point", "fp8": "FP8 (E4M3, E5M2)"}
NOT_FOUND = "Fig. 2: not found (docs/paper.md)"
EXTRA = ["precision", "emergence", "tied_channels", "mask_distance", "seed_distance", "chance"]


@dataclass(frozen=True)
class Grid(Spec):
    """What is run at a scale; `draws` are the paper's epochs."""

    datasets: tuple[str, ...]
    models: tuple[str, ...]
    ratios: tuple[float, ...]
    draws: tuple[int, ...]
    precisions: tuple[str, ...]
    seeds: int

    def _validate(self) -> None:
        for name in self.precisions:
            if name not in LOW_PRECISIONS:
                raise unknown("Grid.precisions", name, LOW_PRECISIONS)
        need(self.seeds >= 1, "Grid.seeds", f"must be at least 1, got {self.seeds}")
        need(FINAL in self.draws, "Grid.draws", f"must hold the last epoch, {FINAL}, got {list(self.draws)}")

    def panels(self) -> list[tuple[str, str, tuple[float, ...]]]:
        """(dataset, model, ratios) of every panel."""
        return [(d, m, tuple(r for r in RATIOS[d, m] if r in self.ratios)) for d in self.datasets for m in self.models]


def grid_of(scale: Scale) -> Grid:
    """The item's section of the scale."""
    return scale.grid("fig2_low_precision", Grid)


def searches(scale: Scale, dataset: str, model: str, seed: int) -> dict[str, Search]:
    """Searches by precision; the first, in the scale's own precision, is Figure 1's."""
    low = {p: scale.search(model, dataset, seed, precision=p) for p in grid_of(scale).precisions}
    return {scale.precision: scale.search(model, dataset, seed)} | low


def tickets(scale: Scale, search: Search, ratios: tuple[float, ...]) -> dict[tuple[float, int], Ticket]:
    """Tickets of one search by (ratio, the paper's draw epoch)."""
    return {(r, d): base.ticket(search, r, scale.epoch(d)) for r in ratios for d in grid_of(scale).draws}


def retrain(scale: Scale, ticket: Ticket) -> Retrain:
    """Every ticket is retrained alike, in full precision."""
    return Retrain(ticket=ticket, recipe=scale.retrain_recipe)


class Fig2(Experiment):
    """Panels x precisions x ratios x draws."""

    def runs(self, scale: Scale) -> list[Spec]:
        """Searches and retrains of every precision; of further seeds, full-precision tickets for the yardstick."""
        grid, out = grid_of(scale), list[Spec]()
        for seed in scale.seeds[: grid.seeds]:
            for dataset, model, ratios in grid.panels():
                for search in searches(scale, dataset, model, seed).values():
                    found = tickets(scale, search, ratios).values()
                    out += [search, *(retrain(scale, t) for t in found)]
        for seed in scale.seeds[grid.seeds :]:
            for dataset, model, ratios in grid.panels():
                out += tickets(scale, scale.search(model, dataset, seed), ratios).values()
        return out

    def table(self, scale: Scale, store: Any) -> Any:
        """One row a search (draw "dense") and one a retrain, with its mask's distances."""
        import pandas as pd

        grid, rows = grid_of(scale), []
        for dataset, model, ratios in grid.panels():
            reference = {s: tickets(scale, scale.search(model, dataset, s), ratios) for s in scale.seeds}
            for seed in scale.seeds[: grid.seeds]:
                for precision, search in searches(scale, dataset, model, seed).items():
                    names = {"model": model, "dataset": dataset, "precision": precision}
                    rows.append(base.search_row(search, store, draw="dense", **names))
                    for at, ticket in tickets(scale, search, ratios).items():
                        row = base.retrain_row(retrain(scale, ticket), store, draw=str(at[1]), **names)
                        rows.append(row | _drawn(ticket, store) | {"chance": 2 * at[0] * (1 - at[0])})
                        if precision == scale.precision:
                            others = [reference[s][at] for s in scale.seeds if s != seed]
                            rows[-1]["seed_distance"] = _distance(ticket, others, store)
                        else:
                            rows[-1]["mask_distance"] = _distance(ticket, [reference[seed][at]], store)
        return pd.DataFrame(rows).reindex(columns=[*base.COLUMNS, *EXTRA])

    def figure(self, scale: Scale, table: Any) -> Any:
        """Retrain accuracy against the draw epoch, a line a precision; below, how far the masks are apart."""
        from ebreplicate import style

        plt, grid = style.use(), grid_of(scale)
        panels = grid.panels()
        deep = max(len(ratios) for *_, ratios in panels)
        size = (max(7.5, 3.1 * len(panels)), 2.7 * (deep + 1) + 0.6)
        figure, axes = plt.subplots(deep + 1, len(panels), figsize=size, squeeze=False)
        for column, (dataset, model, ratios) in enumerate(panels):
            here = table[(table.dataset == dataset) & (table.model == model)]
            for row in range(deep):
                _accuracy_panel(axes[row][column], scale, here, ratios[row] if row < len(ratios) else None)
            _distance_panel(axes[deep][column], scale, here)
            top = axes[0][column]
            top.set_title(f"{base.title(scale, model, dataset)}\n{top.get_title()}", fontsize="small")
        axes[0][0].set_ylabel("retrain accuracy (%)")
        axes[deep][0].set_ylabel("mask distance")
        handles, labels = axes[0][0].get_legend_handles_labels()
        more = axes[deep][0].get_legend_handles_labels()
        fresh = [i for i, label in enumerate(more[1]) if label not in labels]
        handles, labels = handles + [more[0][i] for i in fresh], labels + [more[1][i] for i in fresh]
        figure.legend(handles, labels, loc="outside upper center", ncols=2, fontsize="small")
        style.stamp(
            figure,
            f"scale {scale.name}; seeds: {len(scale.seeds[: grid.seeds])}; mean, 95 % t-interval (cut at the frame), "
            "last retrain epoch;\ndistances: mean over seeds and ratios. The paper's Figure 2 was not found.",
        )
        return figure

    def cells(self, scale: Scale, table: Any) -> list[Cell]:
        """A cell a point; the printed figure was not found, so the paper's side is blank."""
        return [
            Cell(
                f"{base.TITLES[model]} {base.TITLES[dataset]}: {p} search, ratio {ratio:g}, draw {draw}",
                math.nan,
                interval(by_seed(table, "best_accuracy", **_where(dataset, model, p, ratio, draw))),
                "%",
                NOT_FOUND,
                "best epoch on test",
            )
            for dataset, model, ratios in grid_of(scale).panels()
            for p in grid_of(scale).precisions
            for ratio in ratios
            for draw in grid_of(scale).draws
        ]

    def claims(self, scale: Scale, table: Any) -> list[Claim]:
        """For each eight-bit format: as good as full precision, early as good as late, near the same ticket."""
        kinds = (_as_good, _early_birds, _same_ticket)
        return [kind(scale, table, p) for p in grid_of(scale).precisions for kind in kinds]


def _where(dataset: str, model: str, precision: str, ratio: float, draw: int) -> dict[str, Any]:
    return {"dataset": dataset, "model": model, "precision": precision, "ratio": ratio, "draw": str(draw)}


def _drawn(ticket: Ticket, store: Any) -> dict[str, Any]:
    record = store.read(ticket)
    if record is None:
        return {}
    metrics = record["metrics"]
    return {"emergence": metrics["emergence"]["authors"], "tied_channels": metrics.get("tied_channels")}


def _mask(ticket: Ticket, store: Any) -> Any:
    """Packed mask that a draw left; None if there is none."""
    import numpy as np

    path = store.folder(ticket) / "mask.npy"
    return np.load(path, allow_pickle=False) if path.is_file() else None


def _distance(ticket: Ticket, others: list[Ticket], store: Any) -> float | None:
    """Mean mask distance of a ticket to others: differing bits over the channels of the search."""
    import numpy as np

    searched = store.read(ticket.search)
    mask, masks = _mask(ticket, store), [m for m in (_mask(t, store) for t in others) if m is not None]
    if mask is None or not masks:
        return None
    bits = [int(np.unpackbits(mask ^ m).sum()) for m in masks]  # packing pads both masks with zeros
    return round(sum(bits) / len(bits) / searched["metrics"]["bn_channels"], 4)


def _axis(axis: Any, scale: Scale, draws: tuple[int, ...]) -> None:
    axis.set_xticks(range(len(draws)), [str(scale.epoch(d)) for d in draws], fontsize="x-small")
    axis.set_xlabel(f"draw epoch, of {scale.recipe.epochs}")


def _looks(scale: Scale) -> list[tuple[str, str, str, str]]:
    """(precision, label, colour, marker), full precision first."""
    from ebreplicate import style

    labels = {scale.precision: f"{scale.precision} search"} | {
        p: f"{NAMES[p]} search" for p in grid_of(scale).precisions
    }
    return [(p, label, style.COLOURS[i], style.MARKERS[i]) for i, (p, label) in enumerate(labels.items())]


def _accuracy_panel(axis: Any, scale: Scale, here: Any, ratio: float | None) -> None:
    from ebreplicate import style

    draws, seen = grid_of(scale).draws, []
    if ratio is None:
        axis.set_axis_off()
        return
    for i, (precision, label, colour, marker) in enumerate(_looks(scale)):
        values = [list(by_seed(here, precision=precision, ratio=ratio, draw=str(d)).values()) for d in draws]
        points = [(x + 0.08 * (i - 1), interval(dict(enumerate(v)))) for x, v in enumerate(values) if v]
        halves = [0 if math.isnan(p.half) else p.half for _, p in points]
        ys = [p.mean for _, p in points]
        axis.errorbar([x for x, _ in points], ys, halves, c=colour, marker=marker, capsize=2, lw=1.2, label=label)
        for x, v in enumerate(values):
            axis.plot([x + 0.08 * (i - 1)] * len(v), v, ".", c=colour, alpha=0.5, ms=4)
            seen += v
    style.frame(axis, seen)
    axis.set_title(f"{ratio:.0%} removed", fontsize="small")
    _axis(axis, scale, draws)


def _distance_panel(axis: Any, scale: Scale, here: Any) -> None:
    draws = grid_of(scale).draws

    top = [0.5]

    def line(column: str, precision: str, **look: Any) -> None:
        rows = here[(here.precision == precision) & here[column].notna()]
        means = [(x, rows[rows.draw == str(d)][column].mean()) for x, d in enumerate(draws)]
        means = [(x, y) for x, y in means if math.isfinite(y)]
        axis.plot([x for x, _ in means], [y for _, y in means], **look)
        top.extend(y for _, y in means)

    full, *low = _looks(scale)
    for precision, label, colour, marker in low:
        line("mask_distance", precision, c=colour, marker=marker, label=label)
    line("seed_distance", full[0], c="0.3", ls="--", label=f"between {full[0]} masks of two seeds")
    line("chance", full[0], c="0.6", ls=":", label="between random masks, 2p(1-p)")
    axis.set_ylim(0, 1.08 * max(top))
    axis.set_title(f"to the {full[0]} mask of the same seed", fontsize="small")
    _axis(axis, scale, draws)


def _contrasts(scale: Scale, precision: str, pick: Any) -> dict[Any, dict[int, float]]:
    """Per panel, ratio and draw, first minus second of the values by seed that `pick` finds there."""
    out = {}
    for dataset, model, ratios in grid_of(scale).panels():
        for ratio in ratios:
            for draw in grid_of(scale).draws:
                first, second = pick(_where(dataset, model, precision, ratio, draw))
                seeds = sorted(set(first) & set(second))
                if seeds:
                    out[dataset, model, ratio, draw] = {s: first[s] - second[s] for s in seeds}
    return out


def _margin(scale: Scale, table: Any, keys: Any) -> float:
    """Two standard errors of the test accuracy, averaged over the series in `keys`."""
    margins = []
    for dataset, model, ratio, draw in keys:
        where = _where(dataset, model, scale.precision, ratio, draw)
        margins.append(accuracy_margin(interval(by_seed(table, **where)).mean, base.test_images(scale, dataset)))
    return sum(margins) / len(margins) if margins else math.nan


def _as_good(scale: Scale, table: Any, precision: str) -> Claim:
    def pick(where: dict[str, Any]) -> tuple[dict[int, float], dict[int, float]]:
        return by_seed(table, **where), by_seed(table, **{**where, "precision": scale.precision})

    contrasts = _contrasts(scale, precision, pick)
    margin = _margin(scale, table, contrasts)
    difference, series = pooled(contrasts)
    verdict, evidence, n = at_least(difference, -margin, f"{precision} minus {scale.precision} search", series)
    return Claim(
        f"{precision}-tickets-as-good",
        f"Tickets found by a search in {NAMES[precision]} retrain in full precision as well as those found in "
        f"{scale.precision}.",
        "paper, Fig. 2 (subject known, numbers not found)",
        f"mean over panels, ratios and draws of ({precision} minus {scale.precision} search of the same seed), "
        f"t-interval over seeds; supported if its lower end exceeds minus the noise margin ({margin:.2f} pp: two "
        "standard errors of the test accuracy)",
        verdict,
        evidence,
        n,
    )


def _early_birds(scale: Scale, table: Any, precision: str) -> Claim:
    def pick(where: dict[str, Any]) -> tuple[dict[int, float], dict[int, float]]:
        if not 10 <= int(where["draw"]) <= 40:
            return {}, {}
        return by_seed(table, **where), by_seed(table, **{**where, "draw": str(FINAL)})

    contrasts = _contrasts(scale, precision, pick)
    margin = _margin(scale, table, contrasts)
    difference, series = pooled(contrasts)
    verdict, evidence, n = at_least(difference, -margin, "early minus final draw", series)
    verdict, evidence = base.confounded(scale, verdict, evidence)
    return Claim(
        f"{precision}-early-birds-exist",
        f"Early-bird tickets exist in a search in {NAMES[precision]}: draws of the paper's epochs 10 to 40 retrain to "
        "an accuracy no lower than the last epoch's.",
        "paper, Fig. 2 (subject known, numbers not found)",
        "mean over panels, ratios and early draws of (early minus final draw), t-interval over seeds; supported if its "
        f"lower end exceeds minus the noise margin ({margin:.2f} pp)",
        verdict,
        evidence,
        n,
    )


def _same_ticket(scale: Scale, table: Any, precision: str) -> Claim:
    def pick(where: dict[str, Any]) -> tuple[dict[int, float], dict[int, float]]:
        full = by_seed(table, "seed_distance", **{**where, "precision": scale.precision})
        return full, by_seed(table, "mask_distance", **where)

    difference, series = pooled(_contrasts(scale, precision, pick))
    verdict, evidence, n = greater(difference, "distance between seeds minus distance to the same seed", series, "")
    return Claim(
        f"{precision}-finds-the-same-ticket",
        f"Rounding to {NAMES[precision]} moves the ticket less than another seed does.",
        "a question of this replication beside the paper's Fig. 2",
        f"mean over panels, ratios and draws of (mask distance between {scale.precision} searches of two seeds minus "
        f"that between the {precision} and the {scale.precision} search of one seed), t-interval over seeds; supported "
        "if above zero",
        verdict,
        evidence,
        n,
    )


EXPERIMENT = Fig2(
    item="fig2_low_precision",
    title="Figure 2: searching for tickets in eight bits",
    category="Paper figures",
    caption=(
        "The search for a ticket is run in eight bits: weights, gradients, activations and errors are rounded to 8-bit "
        "block floating point (the authors' code) or to FP8 (the paper's words), while the small network is trained in "
        "full precision. Upper rows: its test accuracy against the epoch the ticket was drawn at. Last row: how many "
        "of the network's channels the eight-bit ticket decides otherwise than the full-precision ticket of the same "
        "seed, beside the distance between two seeds and between random masks."
    ),
)

"""Training FLOPs of Tables 2 and 3, from arithmetic alone: which printed cells follow from a draw epoch and a width."""

import math
from typing import Any

from ebreplicate.experiments.common.experiment import INCONCLUSIVE, NOT_SUPPORTED, SUPPORTED, Cell, Claim, Experiment
from ebreplicate.experiments.common.stats import Interval
from ebreplicate.experiments.structural_costs.arithmetic import (
    PRINTED_UNIT,
    TABLE2_LATEST_DRAW,
    reproduces,
    table2_rows,
    table3_rows,
)
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Spec


class StructuralCosts(Experiment):
    """No runs: our networks' FLOPs and the papers' cells."""

    def runs(self, scale: Scale) -> list[Spec]:
        """None."""
        return []

    def table(self, scale: Scale, store: Any) -> Any:
        """One row a printed training-FLOPs cell, with how it was derived and what was fitted."""
        import pandas as pd

        columns = ["table", "method", "ratio", "published", "derived", "unit", "draw_epoch", "pruned_gflops"]
        columns += ["formula", "fitted", "note"]
        rows = [*table2_rows("cifar10"), *table2_rows("cifar100"), *table3_rows()]
        return pd.DataFrame(rows).reindex(columns=columns)

    def figure(self, scale: Scale, table: Any) -> Any:
        """Derived over printed, one dot a cell; what could not be derived is named."""
        from ebreplicate.experiments.common import style

        plt = style.use()
        groups = list(dict.fromkeys(table.table))
        sizes = [int((table.table == g).sum()) for g in groups]
        figure, axes = plt.subplots(len(groups), 1, figsize=(8.5, 10.5), sharex=True, height_ratios=sizes)
        for axis, group in zip(axes, groups, strict=True):
            rows = table[table.table == group].reset_index(drop=True)
            for y, row in rows.iterrows():
                if math.isfinite(row.derived):
                    free = row.fitted.startswith("nothing")
                    fill = style.COLOURS[0] if free else "white"
                    axis.plot(100 * (row.derived / row.published - 1), y, "o", c=style.COLOURS[0], mfc=fill)
                else:
                    box = {"fc": "white", "ec": "none", "pad": 1}  # the grid line must not strike the words out
                    look = {"va": "center", "fontsize": "x-small", "color": style.COLOURS[1], "bbox": box}
                    axis.text(0.1, y, "cannot be derived", **look)
            ratio = [f"{r:.0%}" if r else "" for r in rows.ratio]
            axis.set_yticks(range(len(rows)), [f"{m} {r}" for m, r in zip(rows.method, ratio, strict=True)])
            axis.tick_params(axis="y", labelsize="x-small")
            axis.set_ylim(len(rows) - 0.5, -0.5)
            axis.set_title(group, fontsize="small")
            axis.axvline(0, c="0.4", lw=1)
        axes[-1].set_xlabel("derived training FLOPs against the printed cell (%)")
        style.stamp(
            figure,
            "arithmetic, the same at every scale; filled: nothing fitted to the cell; hollow: draw epoch and pruned "
            "FLOPs solved from the cells",
        )
        return figure

    def cells(self, scale: Scale, table: Any) -> list[Cell]:
        """Every printed training-FLOPs cell; exact arithmetic, so comparable at every scale."""
        out = []
        for row in table.itertuples():
            predicted = row.method in ("NS",)
            tolerance = 0.03 * row.published if predicted else PRINTED_UNIT[row.unit]
            derivable = math.isfinite(row.derived)
            out.append(
                Cell(
                    f"{row.table}: {row.method}" + (f", ratio {row.ratio:g}" if row.ratio else ""),
                    float(row.published),
                    Interval(float(row.derived), math.nan, 1 if derivable else 0),
                    row.unit,
                    "printed table",
                    "arithmetic",
                    tolerance,
                    exact=True,
                    note="; ".join(x for x in (f"fitted: {row.fitted}", row.note) if isinstance(x, str) and x),
                )
            )
        return out

    def claims(self, scale: Scale, table: Any) -> list[Claim]:
        """The arithmetic of both tables."""
        methods = ("SNIP", "LT (one-shot)", "ThiNet", "EB Train", "EB Train (re-init)")
        return [_claim(table, "Table 2", methods), _claim3(table)]


def _count(rows: Any) -> tuple[int, int, Any]:
    """How many cells are reproduced to the printed digit, of how many, and the rows that are not."""
    triples = zip(rows.derived, rows.published, rows.unit.map(PRINTED_UNIT), strict=True)
    good = [math.isfinite(d) and reproduces(d, p, u) for d, p, u in triples]
    return sum(good), len(rows), rows[[not g for g in good]]


def _claim(table: Any, name: str, methods: tuple[str, ...]) -> Claim:
    good, total, bad = _count(table[table.table.str.startswith(name) & table.method.isin(methods)])
    names = [f"{r.table.rsplit(' ', 1)[1]} {r.method} {r.ratio:.0%}" for r in bad.itertuples()]
    return Claim(
        "table2-flops",
        "Table 2's training FLOPs (dense, LT, ThiNet, EB Train, re-init; VGG16) follow from 3 x forward x images x "
        "epochs, a draw epoch and the pruned network's FLOPs; ThiNet's from uniform widths, with nothing fitted.",
        "paper, Table 2",
        "every cell reproduced to the printed digit: supported; at least one impossible for any draw epoch up to "
        f"{TABLE2_LATEST_DRAW} and width: inconclusive, with the cells named",
        SUPPORTED if good == total else INCONCLUSIVE,
        f"{good} of {total} cells; not reproducible: {', '.join(names)}" if names else f"{good} of {total} cells",
        total,
    )


def _claim3(table: Any) -> Claim:
    rows = table[table.table.str.startswith("Table 3") & (table.method != "SFP")]
    good, total, _ = _count(rows)
    return Claim(
        "table3-flops",
        "Five of Table 3's six training-FLOPs totals follow from the network, draw epoch 11 and one pruned count a "
        "ratio (SFP's cannot be derived).",
        "paper, Table 3",
        "all five reproduced to 0.01 PFLOP",
        SUPPORTED if good == total == 5 else NOT_SUPPORTED,
        f"{good} of {total} totals to 0.01 PFLOP; the two network-slimming totals with nothing fitted to them",
        total,
    )


EXPERIMENT = StructuralCosts(
    item="structural_costs",
    title="Training FLOPs of Tables 2 and 3, re-derived",
    category="Beyond the paper",
    caption=(
        "The paper's cost tables, recomputed from the networks and a training-epoch count alone. A dot at zero says "
        "the printed number follows; cells for which no draw epoch and no pruned network fit are named as misprints."
    ),
)

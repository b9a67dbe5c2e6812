"""Accuracy against total training FLOPs (ours): every method and ratio one point, and which are worth their cost."""

from typing import Any

from ebreplicate import published
from ebreplicate.catalog import TITLES
from ebreplicate.experiments.accuracy_vs_flops.pareto import dominates, dominates_lottery
from ebreplicate.experiments.accuracy_vs_flops.runs import Planned, lottery_tickets, sparse_trainings
from ebreplicate.experiments.common.experiment import NOT_RUN, Cell, Claim, Experiment
from ebreplicate.experiments.common.rows import accuracies, by_seed, interval
from ebreplicate.experiments.table2 import EXPERIMENT as TABLE2
from ebreplicate.experiments.table2.methods import IMPROVEMENT
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Sparse, Spec, key

COLUMNS = ["model", "dataset", "method", "group", "ratio", "seed", "status", "last_accuracy", "best_accuracy"]
COLUMNS += ["training_flops", "flops_ratio", "key"]


class AccuracyVsFlops(Experiment):
    """Four panels: the runs of Table 2, RigL and its family, and iterative lottery tickets of the same networks."""

    def runs(self, scale: Scale) -> list[Spec]:
        """Those of Table 2 first: they are shared."""
        return TABLE2.runs(scale) + [run.spec for run in (*sparse_trainings(scale), *lottery_tickets(scale))]

    def table(self, scale: Scale, store: Any) -> Any:
        """Table 2's rows, accuracy and cost only, and those of the other methods."""
        import pandas as pd

        table = TABLE2.table(scale, store)
        rows = [_row(run, store, "sparse") for run in sparse_trainings(scale)]
        rows += [_row(run, store, "lottery") for run in lottery_tickets(scale)]
        parts = [table[table.method != IMPROVEMENT], pd.DataFrame(rows)]
        return pd.concat([p.reindex(columns=COLUMNS) for p in parts if len(p)], ignore_index=True)

    def figure(self, scale: Scale, table: Any) -> Any:
        """Accuracy (mean, t-interval) against training FLOPs on a log axis; the Pareto front is drawn."""
        from ebreplicate.experiments.accuracy_vs_flops.plot import draw

        return draw(scale, table)

    def cells(self, scale: Scale, table: Any) -> list[Cell]:
        """The abstract's range of FLOPs savings, beside the cheapest EB Train against SNIP of every block."""
        out = []
        for dataset in ("cifar10", "cifar100"):
            printed = published.read(f"eb_table2_vgg16_{dataset}")
            printed = printed[printed.metric == "flops_improvement"]
            for value, ratio in zip(printed.value, printed.prune_ratio, strict=True):
                where = {"dataset": dataset, "model": "vgg16", "ratio": float(ratio)}
                ours = by_seed(table, "training_flops", method="EB Train", **where)
                dense = by_seed(table, "training_flops", method="SNIP", **where)
                gain = {s: dense[s] / ours[s] for s in set(ours) & set(dense)}
                name = f"VGG16 {TITLES[dataset]}: SNIP over EB Train, ratio {ratio:g}, training FLOPs"
                note = "the paper divides by the cheapest of its EB Train variants"
                source = "Table 2, Improv. row"
                out.append(
                    Cell(name, float(value), interval(gain), "x", source, "EB Train", 0.1 * float(value), note=note)
                )
        return out

    def claims(self, scale: Scale, table: Any) -> list[Claim]:
        """EB Train against the points that cost more."""
        return [dominates(scale, table), dominates_lottery(scale, table)]


def _row(run: Planned, store: Any, group: str) -> dict[str, Any]:
    """Accuracy and cost of a run. A sparse training's FLOPs are those of its non-zero weights, relative to the dense
    network trained once by its recipe; a lottery ticket pays for the dense search and every round before it."""
    row = {**run._asdict(), "group": group, "key": key(run.spec)}
    spec, record = row.pop("spec"), store.read(run.spec)
    if record is None:
        return {**row, "status": NOT_RUN}
    cost = record["cost"]
    row |= {"status": record["status"], **accuracies(record)}
    row |= {"training_flops": cost.get("training_flops", {}).get("authors")}
    if isinstance(spec, Sparse):
        return row | {"flops_ratio": cost.get("relative_training", {}).get("authors")}
    search = store.read(spec.ticket.search)
    dense = search["cost"]["training_flops"]["authors"] if search else None
    return row | ({"flops_ratio": row["training_flops"] / dense} if dense and row["training_flops"] else {})


EXPERIMENT = AccuracyVsFlops(
    item="accuracy_vs_flops",
    title="Accuracy against total training FLOPs",
    category="Beyond the paper",
    caption=(
        "What a trained small network costs in all, search included (horizontal, logarithmic), and how accurate it is "
        "(vertical). The line joins the points that nothing else beats at their cost. Hollow points are controls that "
        "the paper does not have; grey ones are sparse from the first step, and their FLOPs count non-zero weights "
        "only, which dense hardware does not. Iterative lottery tickets pay for the dense network once a round."
    ),
)

"""Graph tickets: GEBT (You et al., AAAI 2022), Figures 1, 2b, 4 and 6 and the GCN rows of Table 2."""

from typing import Any

from ebreplicate.experiments.common.experiment import Cell, Claim, Experiment
from ebreplicate.experiments.gebt.runs import planned
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Spec

CATEGORY = "Methods beside the paper's"


class GraphTicketItem(Experiment):
    """One view of the same runs; all four items plan them, and each is trained once."""

    def runs(self, scale: Scale) -> list[Spec]:
        """One run a graph, seed and pair of ratios."""
        return [*planned(scale)]


class Gebt(GraphTicketItem):
    """Figure 1: graph tickets against the epoch they are drawn at; and every judged claim."""

    def table(self, scale: Scale, store: Any) -> Any:
        """One row a retraining."""
        from ebreplicate.experiments.gebt.table import retrainings

        return retrainings(scale, store)

    def figure(self, scale: Scale, table: Any) -> Any:
        """Accuracy against draw epoch, a panel a graph."""
        from ebreplicate.experiments.gebt.plot import existence

        return existence(scale, table)

    def cells(self, scale: Scale, table: Any) -> list[Cell]:
        """Points of Figure 1, the unpruned GCN, and exploratory contrasts."""
        from ebreplicate.experiments.gebt import cells

        return [*cells.unpruned(table), *cells.figure1(table), *cells.contrasts(scale, table)]

    def claims(self, scale: Scale, table: Any) -> list[Claim]:
        """The six claims of the protocol."""
        from ebreplicate.experiments.gebt.claims import claims

        return claims(scale, table)


class GebtJoint(GraphTicketItem):
    """Figure 4a: joint tickets in three arms of retraining."""

    def table(self, scale: Scale, store: Any) -> Any:
        """One row a retraining of a joint ticket, and the unpruned graph."""
        from ebreplicate.experiments.gebt.table import retrainings

        table = retrainings(scale, store)
        return table[(table.p_weight > 0) | (table.p_graph == 0)].reset_index(drop=True)

    def figure(self, scale: Scale, table: Any) -> Any:
        """Accuracy against draw epoch: a row a graph, a column an arm."""
        from ebreplicate.experiments.gebt.plot import joint

        return joint(scale, table)

    def cells(self, scale: Scale, table: Any) -> list[Cell]:
        """Points of Figure 4a beside two arms: as shipped, and as the paper says."""
        from ebreplicate.experiments.gebt import cells

        return cells.figure4a(table)


class GebtDetector(GraphTicketItem):
    """Figures 2b and 4b: distances, and where each rule of the detector fires."""

    def table(self, scale: Scale, store: Any) -> Any:
        """One row a search, epoch and rule, averaged over seeds; and one a search and rule where it fired."""
        from ebreplicate.experiments.gebt.table import detection

        return detection(scale, store)

    def figure(self, scale: Scale, table: Any) -> Any:
        """Distances against epochs; emergence against the fraction of edges removed."""
        from ebreplicate.experiments.gebt.plot import detector

        return detector(scale, table)

    def cells(self, scale: Scale, table: Any) -> list[Cell]:
        """The emergence epochs that Figure 6's training costs contain."""
        from ebreplicate.experiments.gebt import cells

        return cells.emergence(table)


class GebtCosts(GraphTicketItem):
    """Figure 6 and the cost columns of Table 2."""

    def table(self, scale: Scale, store: Any) -> Any:
        """One row a method, pair of ratios and seed: the ticket that its figure shows, and what it costs."""
        from ebreplicate.experiments.gebt.table import costs

        return costs(scale, store)

    def figure(self, scale: Scale, table: Any) -> Any:
        """Accuracy against training cost and against inference cost."""
        from ebreplicate.experiments.gebt.plot import tradeoff

        return tradeoff(scale, table)

    def cells(self, scale: Scale, table: Any) -> list[Cell]:
        """Accuracies of Figure 6 at three ratios, and the FLOPs of Table 2."""
        from ebreplicate.experiments.gebt import cells

        return [*cells.figure6(table), *cells.table2_flops()]

    def claims(self, scale: Scale, table: Any) -> list[Claim]:
        """What is arithmetic: the costs and the printed savings."""
        from ebreplicate.experiments.gebt.arithmetic import claims

        return claims()


GEBT = Gebt(
    item="gebt",
    title="GEBT: graph early-bird tickets",
    category=CATEGORY,
    trains_on_cpu=True,
    caption=(
        "Edges of a citation graph are trained and pruned; a two-layer GCN is then trained on what is left. Accuracy "
        "against the epoch of the search at which the graph was drawn, beside graphs of as many random edges and the "
        "unpruned graph. Hollow: the paper's Figure 1."
    ),
)
JOINT = GebtJoint(
    item="gebt_joint",
    title="GEBT, Figure 4a: joint tickets of graph and weights, three ways to retrain them",
    category=CATEGORY,
    trains_on_cpu=True,
    caption=(
        "Edges and weights are pruned together. The same tickets are retrained densely with fresh weights (what the "
        "released driver does), with inherited weights under their mask (what the paper says), and with fresh weights "
        "under that mask. Hollow: the paper's Figure 4a."
    ),
)
DETECTOR = GebtDetector(
    item="gebt_detector",
    title="GEBT, Figures 2b and 4b: when graph and weight masks settle",
    category=CATEGORY,
    trains_on_cpu=True,
    caption=(
        "The largest distance of a mask to the three before it, over its own first value, and the epoch at which each "
        "of four rules fires: edges, weights, their mean (the authors' code) and their sum (the paper's text). Hollow: "
        "the paper's Figure 2b, and the epochs that its Figure 6 contains."
    ),
)
COSTS = GebtCosts(
    item="gebt_costs",
    title="GEBT, Figure 6: accuracy against the cost of training and inference",
    category=CATEGORY,
    trains_on_cpu=True,
    caption=(
        "Tickets drawn where the detector fires, beside random edges and the full graph search (SGCN), against "
        "multiply-accumulates by the paper's own arithmetic. The inference cost of a joint ticket counts its masked "
        "weights as free, which is true of the masked arm only. Hollow: the paper's Figure 6."
    ),
)

"""The graphs' names and sizes, without torch."""

from dataclasses import dataclass

HIDDEN = 16
"""Hidden units of the GCN."""
SEARCH_ROUNDS = 4
"""ADMM rounds of a search over edges alone."""
ARMS = ("dense-fresh", "inherit-masked", "masked-fresh")
"""How a ticket is retrained. As shipped: fresh weights, no mask; as the paper has it: the ticket's weights, masked; and
fresh weights, masked."""
RULES = ("graph", "weights", "mean", "sum")
"""What the detector compares with its threshold: distances of edges, of weights, their mean, their sum."""


@dataclass(frozen=True)
class GraphInfo:
    """What planning and cost need to know of a graph.

    `printed_nodes` and `printed_edges` are those of Table 1 of the GEBT paper, with which it counts FLOPs; CiteSeer has
    15 more nodes, and the raw pairs hold repeats and self-loops.
    """

    title: str
    nodes: int
    edges: int
    features: int
    classes: int
    printed_nodes: int
    printed_edges: int
    files: bool = True
    """True if it lies as files under the data root."""

    def macs(self, p_graph: float = 0.0, p_weight: float = 0.0) -> float:
        """Multiply-accumulates of one forward pass, as the paper counts them.

        (1 - p_w)(N F 16 + N 16 C) + (1 - p_g) 2 E F: the first layer aggregates the features, the second layer's
        aggregation is not counted.
        """
        n, f, c = self.printed_nodes, self.features, self.classes
        return (1 - p_weight) * (n * f * HIDDEN + n * HIDDEN * c) + (1 - p_graph) * 2 * self.printed_edges * f


GRAPHS = {
    "cora": GraphInfo("Cora", 2708, 5278, 1433, 7, 2708, 5429),
    "citeseer": GraphInfo("CiteSeer", 3327, 4552, 3703, 6, 3312, 4732),
    "pubmed": GraphInfo("PubMed", 19717, 44324, 500, 3, 19717, 44338),
    "blocks": GraphInfo("stochastic block model", 240, 720, 60, 3, 240, 720, files=False),
}
"""`blocks` is made on the fly: a stand-in that needs no download."""
FOLDER = "planetoid"
"""Of the npz files, under the data root."""

"""What GEBT counts as FLOPs: multiply-accumulates of the network, by the paper's arithmetic. No torch.

The paper prints the totals and no formula; these reproduce every point of its Figure 6 (docs/graph-tickets.md). Masks
and detector are free, and an epoch of the graph search costs as much as an update of the weights.
"""

from ebreplicate.catalog import GRAPHS, GraphInfo
from ebreplicate.specs.spec import GraphTickets

EPOCHS = 100


def training_macs(
    info: GraphInfo, method: str, p_graph: float, p_weight: float = 0.0, epoch: float = EPOCHS, epochs: int = EPOCHS
) -> float:
    """Training cost as Figure 6 counts it: 3 x forward x epochs of every phase.

    "random": retraining alone. "sgcn": pretraining, graph search of all epochs, retraining. "geb": the search ends at
    the emergence `epoch`. "joint": no pretraining, two passes in each of `epoch` search epochs, retraining.
    """
    whole, pruned = 3 * info.macs(), 3 * info.macs(p_graph, p_weight)
    if method == "random":
        return epochs * pruned
    if method == "sgcn":
        return epochs * (2 * whole + pruned)
    if method == "geb":
        return epochs * whole + epoch * whole + epochs * pruned
    return 2 * epoch * whole + epochs * pruned


def of_run(spec: GraphTickets, epoch: int | None) -> dict[str, dict[str, float]]:
    """Cost of the ticket drawn at the emergence `epoch` (None: never, all epochs): inference and training."""
    info, at = GRAPHS[spec.dataset], spec.epochs if epoch is None else epoch
    method = "joint" if spec.p_weight else "geb" if spec.p_graph else "random"
    training = training_macs(info, method, spec.p_graph, spec.p_weight, at, spec.epochs)
    return {
        "forward_flops": {"authors": info.macs(spec.p_graph, spec.p_weight)},
        "training_flops": {"authors": training},
    }

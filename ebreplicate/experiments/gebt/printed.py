"""The accuracies that GEBT's Figures 1 and 4a show, as a table of ours, so that a claim is computed from both alike."""

import pandas as pd

from ebreplicate import published
from ebreplicate.catalog import GRAPH_ARMS

GRAPHS = {"Cora": "cora", "CiteSeer": "citeseer", "Pubmed": "pubmed"}


def printed(arm: str) -> pd.DataFrame:
    """Graph tickets and joint tickets of every draw, as those of one seed; the joint ones as if retrained in `arm`."""
    rows = published.read("gebt_figures_vector_exact")
    rows = rows[rows.figure.isin(["Fig1", "Fig4a"]) & (rows.metric == "retrain_acc_%")]
    joint = rows.figure == "Fig4a"
    return pd.DataFrame(
        {
            "graph": rows.dataset.map(GRAPHS),
            "p_graph": rows.p_graph,
            "p_weight": rows.p_weight.fillna(0.0),
            "draw": rows.epoch.astype(int).astype(str),
            "arm": joint.map({True: arm, False: GRAPH_ARMS[0]}),
            "seed": 0,
            "accuracy": rows.value,
        }
    )

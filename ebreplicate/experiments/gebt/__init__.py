"""Graph tickets: GEBT (You et al., AAAI 2022), Figures 1, 2b, 4 and 6 and the GCN rows of Table 2."""

from ebreplicate.experiments.common.experiment import Experiment

CATEGORY = "Methods beside the paper's"
GEBT = Experiment(
    item="gebt",
    title="GEBT: graph early-bird tickets",
    package=__name__,
    functions={"table": "table:retrainings", "figure": "plot:existence", "cells": "cells:of_tickets"},
    category=CATEGORY,
    trains_on_cpu=True,
    caption=(
        "Edges of a citation graph are trained and pruned; a two-layer GCN is then trained on what is left. Accuracy "
        "against the epoch of the search at which the graph was drawn, beside graphs of as many random edges and the "
        "unpruned graph. Hollow: the paper's Figure 1."
    ),
)
JOINT = Experiment(
    item="gebt_joint",
    title="GEBT, Figure 4a: joint tickets of graph and weights, three ways to retrain them",
    package=__name__,
    functions={"table": "table:joint", "figure": "plot:joint", "cells": "cells:of_joint", "claims": None},
    category=CATEGORY,
    trains_on_cpu=True,
    caption=(
        "Edges and weights are pruned together. The same tickets are retrained densely with fresh weights (what the "
        "released driver does), with inherited weights under their mask (what the paper says), and with fresh weights "
        "under that mask. Hollow: the paper's Figure 4a."
    ),
)
DETECTOR = Experiment(
    item="gebt_detector",
    title="GEBT, Figures 2b and 4b: when graph and weight masks settle",
    package=__name__,
    functions={"table": "table:detection", "figure": "plot:detector", "cells": "cells:of_detector", "claims": None},
    category=CATEGORY,
    trains_on_cpu=True,
    caption=(
        "The largest distance of a mask to the three before it, over its own first value, and the epoch at which each "
        "of four rules fires: edges, weights, their mean (the authors' code) and their sum (the paper's text). Hollow: "
        "the paper's Figure 2b, and the epochs that its Figure 6 contains."
    ),
)
COSTS = Experiment(
    item="gebt_costs",
    title="GEBT, Figure 6: accuracy against the cost of training and inference",
    package=__name__,
    functions={
        "table": "table:costs",
        "figure": "plot:tradeoff",
        "cells": "cells:of_costs",
        "claims": "arithmetic:claims",
    },
    category=CATEGORY,
    trains_on_cpu=True,
    caption=(
        "Tickets drawn where the detector fires, beside random edges and the full graph search (SGCN), against "
        "multiply-accumulates by the paper's own arithmetic. The inference cost of a joint ticket counts its masked "
        "weights as free, which is true of the masked arm only. Hollow: the paper's Figure 6."
    ),
)

"""The stages of the method, composed from the pieces: search, draw, retrain, sparse. Each leaves one record."""

from ebreplicate.stages.common import load_mask, load_scores, network
from ebreplicate.stages.dense import search
from ebreplicate.stages.graph_tickets import graph_tickets
from ebreplicate.stages.retraining import retrain
from ebreplicate.stages.sparsity import sparse
from ebreplicate.stages.tickets import draw, have_drawn

__all__ = ["draw", "graph_tickets", "have_drawn", "load_mask", "load_scores", "network", "retrain", "search", "sparse"]

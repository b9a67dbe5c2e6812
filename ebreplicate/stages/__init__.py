"""The stages of the method: search, draw, retrain, sparse, graph tickets. Each loads, computes and saves one record."""

from ebreplicate.stages.draw import draw, have_drawn
from ebreplicate.stages.graph_tickets import graph_tickets
from ebreplicate.stages.retrain import retrain
from ebreplicate.stages.search import search
from ebreplicate.stages.sparse import sparse

__all__ = ["draw", "graph_tickets", "have_drawn", "retrain", "search", "sparse"]

"""Accuracies of a table of graph tickets, to be looked up by cell, arm and draw. A claim asks for thousands of them."""

from collections import defaultdict
from collections.abc import Iterable

import pandas as pd

from ebreplicate.experiments.common.contrasts import BySeed, mean_by_seed
from ebreplicate.experiments.common.lineage import Traced

RANDOM = "random-edges"
GraphCell = tuple[str, float, float]
"""(graph, p_graph, p_weight)."""


class Accuracies:
    """The accuracies of `table` by seed, with the keys of their records; rows without one are left out."""

    def __init__(self, table: pd.DataFrame):
        self.found: dict[tuple[GraphCell, str, str], BySeed] = defaultdict(dict)
        here = table[table.accuracy.notna()]
        keys = here.key if "key" in here else [""] * len(here)
        columns = (here[name] for name in ("graph", "p_graph", "p_weight", "arm", "draw", "seed", "accuracy"))
        for graph, p, q, arm, draw, seed, accuracy, key in zip(*columns, keys, strict=True):
            cell = (graph, round(p, 9), round(q, 9))
            self.found[cell, arm, str(draw)][int(seed)] = Traced(accuracy, str(key).split())

    def at(self, cell: GraphCell, arm: str, draws: Iterable[int]) -> BySeed:
        """Accuracy of one cell's tickets in one arm, averaged over draws."""
        graph, p, q = cell
        where = (graph, round(p, 9), round(q, 9))
        return mean_by_seed(self.found.get((where, arm, str(draw)), {}) for draw in draws)

    def random(self, cell: GraphCell, graphs: int) -> BySeed:
        """Accuracy on random edges, averaged over the `graphs` of a seed."""
        return self.at(cell, RANDOM, range(graphs))

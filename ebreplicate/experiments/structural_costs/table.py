"""Table of the re-derived training FLOPs, from the records of its runs."""

import pandas as pd

from ebreplicate.experiments.structural_costs.arithmetic import table2_rows, table3_rows
from ebreplicate.specs.scale import Scale
from ebreplicate.store.store import Store


def table(scale: Scale, store: Store) -> pd.DataFrame:
    """One row a printed training-FLOPs cell, with how it was derived and what was fitted."""
    columns = ["table", "method", "ratio", "published", "derived", "unit", "draw_epoch", "pruned_gflops"]
    columns += ["formula", "fitted", "note"]
    rows = [*table2_rows("cifar10"), *table2_rows("cifar100"), *table3_rows()]
    return pd.DataFrame(rows).reindex(columns=columns)

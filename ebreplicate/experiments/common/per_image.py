"""Differences that are paired image by image: from stored bits to a contrast (docs/statistics.md). No torch."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ebreplicate.experiments.common.stats import ENOUGH, Contrast, image_variance

if TYPE_CHECKING:
    from ebreplicate.store.store import Store


def correct(row: Mapping[str, Any], store: "Store") -> Any:
    """100 or 0 for each unseen image, uint8 (n,), of a training that was evaluated on them; None of any other.

    `row`: with the training's `spec`, `unseen_accuracy` and `unseen_images`.
    """
    if row.get("unseen_accuracy") is None:
        return None
    packed = store.part(row["spec"], "correct.npy", axes=1)
    return 100 * np.unpackbits(packed, count=row["unseen_images"])


def columns(differences: Mapping[int, Any]) -> dict[int, dict[str, Any]]:
    """What the row of each seed holds of its difference, in points, a number or an array over images (n,).

    `difference`: its mean; of arrays also `image_count` and `products`: the means over images of its difference times
    that of each seed, in their order, from which the interval follows.
    """
    found: dict[int, dict[str, Any]] = {}
    for seed, d in differences.items():
        found[seed] = {"difference": float(np.mean(d))}
        if np.ndim(d):
            products = (float(d @ other) / d.size for other in differences.values())
            found[seed] |= {"image_count": d.size, "products": " ".join(f"{product:.10g}" for product in products)}
    return found


def contrast(rows: pd.DataFrame, without: Collection[int] = ()) -> Contrast:
    """The contrast whose `rows` (`columns`), one a seed, these are; over the seeds that are not in `without`."""
    rows = rows.sort_values("seed")
    seeds = [int(seed) for seed in rows.seed]
    used = [i for i, seed in enumerate(seeds) if seed not in without]
    differences = {seeds[i]: float(rows.difference.iloc[i]) for i in used}
    if len(used) < ENOUGH or rows.products.isna().any():
        return Contrast(differences)
    products = [[float(v) for v in str(row).split()] for row in rows.products]
    chosen = [[products[i][j] for j in used] for i in used]
    return Contrast(differences, image_variance(chosen, [*differences.values()], int(rows.image_count.iloc[0])))

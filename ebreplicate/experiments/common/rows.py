"""Records as rows of a tidy table, and values of such tables by seed. No torch."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ebreplicate.experiments.common.experiment import NOT_RUN
from ebreplicate.experiments.common.lineage import Traced
from ebreplicate.experiments.common.stats import Interval, t_interval
from ebreplicate.specs.spec import Retrain, Search, key

if TYPE_CHECKING:
    import pandas as pd

    from ebreplicate.store.store import Store


def accuracies(record: dict[str, Any]) -> dict[str, Any]:
    """Accuracies of a finished run. One that diverged or had no ticket has none, so that no mean counts it."""
    if record["status"] != "ok":
        return dict.fromkeys(("last_accuracy", "best_accuracy", "unseen_accuracy"))
    metrics = record["metrics"]
    return {n: metrics[n] for n in ("last_accuracy", "best_accuracy")} | {
        "unseen_accuracy": metrics.get("unseen_accuracy")  # not every scale evaluates them
    }


def accuracy_column(table: "pd.DataFrame") -> str:
    """The column that figures show: accuracy of the last epoch, on all unseen images where the scale evaluates them,
    else on the test images of the learning curve."""
    return "unseen_accuracy" if table.unseen_accuracy.notna().any() else "last_accuracy"


def images_of(table: "pd.DataFrame") -> str:
    """On which images `accuracy_column` is, in words."""
    return "unseen images" if accuracy_column(table) == "unseen_accuracy" else "test images"


def search_row(spec: Search, store: "Store", **names: Any) -> dict[str, Any]:
    """Table row of a dense search."""
    record = store.read(spec)
    base = {**names, "seed": spec.seed, "search_epochs": spec.recipe.epochs, "key": key(spec)}
    if record is None:
        return {**base, "status": NOT_RUN}
    return {
        **base,
        "status": record["status"],
        **accuracies(record),
        "training_flops": record["cost"]["training_flops"]["authors"],
        "seconds": record["cost"]["seconds"],
    }


def retrain_row(spec: Retrain, store: "Store", **names: Any) -> dict[str, Any]:
    """Table row of a retrained ticket; `epoch` is the draw epoch it resolved to."""
    ticket = spec.ticket
    base = {
        **names,
        "ratio": ticket.ratio,
        "seed": ticket.search.seed,
        "search_epochs": ticket.search.recipe.epochs,
        "init": spec.init,
        "key": key(spec),
    }
    drawn, record = store.read(ticket), store.read(spec)
    if drawn is not None:
        m = drawn["metrics"]
        base |= {"epoch": m["epoch"], "empty_layers": m.get("empty_layers")}
    if record is None:
        return {**base, "status": NOT_RUN}
    return {
        **base,
        "status": record["status"],
        **accuracies(record),
        "training_flops": record["cost"].get("training_flops", {}).get("authors"),
        "seconds": record["cost"].get("seconds"),
    }


COLUMNS = [
    "model",
    "dataset",
    "ratio",
    "draw",
    "epoch",
    "seed",
    "init",
    "schedule",
    "status",
    "last_accuracy",
    "best_accuracy",
    "unseen_accuracy",
    "training_flops",
    "seconds",
    "empty_layers",
    "search_epochs",
    "key",
]


def tidy(rows: list[dict[str, Any]]) -> "pd.DataFrame":
    """Rows to a frame with the standard columns, whatever the records held."""
    import pandas as pd

    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def by_seed(
    table: "pd.DataFrame", column: str = "last_accuracy", keys: str = "key", /, **where: Any
) -> dict[int, float]:
    """Values of `column` per seed in the rows that match `where`; rows without a value are left out.

    Each value carries the keys of its records, from the column `keys` (several are parted by spaces), so that what is
    computed from it can be traced to them.
    """
    keep = table[column].notna().to_numpy()
    if not keep.any():  # most tables are of items that have not been run
        return {}
    for name, value in where.items():
        found = table[name].to_numpy()
        keep = keep & (abs(found - value) < 1e-9 if isinstance(value, float) else found == value)
    seeds, values = (table[name].to_numpy()[keep] for name in ("seed", column))
    records = table[keys].to_numpy()[keep] if keys in table else [""] * len(seeds)
    return {int(s): Traced(v, str(k).split()) for s, v, k in zip(seeds, values, records, strict=True)}


def has_run(table: "pd.DataFrame", **where: Any) -> bool:
    """Whether one of the rows that match `where` is of a finished run."""
    keep = table.status != NOT_RUN
    for name, value in where.items():
        keep &= table[name] == value
    return bool(keep.any())


def interval(values: Mapping[int, float]) -> Interval:
    """t-interval over seeds, in their order."""
    seeds = tuple(sorted(values))
    return replace(t_interval([values[s] for s in seeds]), seeds=seeds)


def count(number: int, noun: str) -> str:
    """The number and its noun: "1 seed", "2 seeds"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"

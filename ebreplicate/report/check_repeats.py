"""No outcome told twice: a good run in the place of another one.

Two trainings that differ in seed, network, data or recipe share neither losses nor, for long, their accuracies; two
searches of different seeds share no scores after the first step.
"""

from collections import Counter
from collections.abc import Hashable, Iterator
from typing import NamedTuple

from torch import Tensor

from ebreplicate.plan.plan import search_of
from ebreplicate.plan.spec import Retrain, Search, Spec, key
from ebreplicate.records import Store, digest
from ebreplicate.report.check_history import Row

ENOUGH = 8
"""Accuracies in a row, not all the same, that two trainings do not share by chance."""


class Told(NamedTuple):
    """One run: its name, what runs of one history share, and its history."""

    name: str
    own: str
    rows: list[Row]


def identity(spec: Spec, store: Store) -> str:
    """What two trainings must share to have one history: the same network, start, data and recipe."""
    if not isinstance(spec, Retrain):
        return key(spec)
    drawn = (store.read(spec.ticket) or {"metrics": {}})["metrics"]
    mask = store.folder(spec.ticket) / "mask.npy"
    network = drawn.get("channels") if spec.init == "reinit" else (drawn.get("epoch"), mask.is_file() and digest(mask))
    how = (spec.recipe, spec.init, spec.rewind, spec.schedule, spec.seed, spec.precision)
    return repr((key(search_of(spec)), network, how))


def _later(rows: list[Row]) -> list[Row]:
    """The second half of a history: recipes that begin alike may share the first."""
    return rows[len(rows) // 2 :]


def _losses(rows: list[Row]) -> set[Hashable]:
    """Later losses, each with its place; without those that stand still: any two dead networks have them."""
    often = Counter((row["train_loss"], row["test_loss"]) for row in rows)
    moving = [loss for loss, times in often.items() if times == 1]
    where = {(row["train_loss"], row["test_loss"]): row["epoch"] for row in _later(rows)}
    return {(rows[-1]["epoch"], where[loss], *loss) for loss in moving if loss in where}


def _accuracies(rows: list[Row]) -> tuple[float, ...]:
    found = tuple(row["test_accuracy"] for row in _later(rows))
    return found if len(found) >= ENOUGH and len(set(found)) > ENOUGH // 2 else ()


def repeated_histories(runs: list[Told]) -> Iterator[str]:
    """Runs that have most of the later losses of another run, or all of its later accuracies."""
    first: dict[Hashable, str] = {}
    own = {run.name: run.own for run in runs}
    for run in (r for r in runs if len(r.rows) > 1):
        losses, accuracies = _losses(run.rows), _accuracies(run.rows)
        shared = Counter(first.setdefault(loss, run.name) for loss in losses)
        twin = first.setdefault((run.rows[-1]["epoch"], accuracies), run.name)
        for other, count in shared.items():
            if own[other] != run.own and 2 * count > len(losses):
                yield f"{run.name}: its history is that of {other}"
        if accuracies and own[twin] != run.own and 2 * shared[twin] <= len(losses):
            yield f"{run.name}: its later accuracies are all those of {twin}"


def _telling(row: Tensor) -> bool:
    """Whether scores (N,) could not be another network's too: not those of none, of one that diverged or died."""
    return row.numel() > 0 and bool(row.isfinite().all()) and len(row.unique()) > 1


def repeated_scores(searches: list[tuple[str, Search, Tensor]]) -> Iterator[str]:
    """Searches that have scores, (epochs + 1, N), of a search of another seed; the first row is of no training."""
    first: dict[Hashable, tuple[str, int]] = {}
    for name, spec, scores in searches:
        for row in filter(_telling, scores[1:]):
            other, seed = first.setdefault(row.numpy().tobytes(), (name, spec.seed))
            if seed != spec.seed:
                yield f"{name}: its scores are those of {other}"
                break

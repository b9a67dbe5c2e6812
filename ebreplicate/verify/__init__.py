"""Do the records, and what was made of them, agree? Everything that can be computed again is computed again.

A record holds more than its own numbers: its history has them epoch by epoch, an accuracy is a count of images, FLOPs
follow from the network, a mask and its emergence follow from the scores of the search, the code from its commit. A
number edited in one place disagrees with the others. What this cannot see is in docs/faults.md.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ebreplicate.catalog import OWN_STAGES
from ebreplicate.errors import UserError
from ebreplicate.files import digest
from ebreplicate.report.progress import steps
from ebreplicate.specs.spec import GraphTickets, Retrain, Ticket, Training
from ebreplicate.store.merging import checked_run, runs_under
from ebreplicate.store.store import Store
from ebreplicate.verify.draws import draw_problems
from ebreplicate.verify.graphs import graph_problems
from ebreplicate.verify.origin import fact_problems, provenance_problems
from ebreplicate.verify.pages import page_problems
from ebreplicate.verify.trainings import training_problems


def file_problems(folder: Path, record: dict[str, Any]) -> Iterator[str]:
    """Files that the record vouches for and that are not what they were."""
    for name, recorded in record.get("files", {}).items():
        path = folder / Path(name).name
        if not path.is_file():
            yield f"{name} is not here"
        elif digest(path) != recorded:
            yield f"{name} is not what it was (its SHA-256 is not the record's)"


def run_problems(folder: Path, store: Store) -> Iterator[str]:
    """Everything that does not agree in one run folder."""
    try:
        spec, found = checked_run(folder)
        record = found or {}
        yield from file_problems(folder, record)
        yield from fact_problems(record["provenance"])
        yield from provenance_problems(spec, record)
        if isinstance(spec, Ticket):
            yield from draw_problems(spec, record, store)
        elif isinstance(spec, (Training, Retrain)):
            yield from training_problems(spec, record, folder, store)
        elif isinstance(spec, GraphTickets):
            yield from graph_problems(spec, record, store)
        elif spec.stage in OWN_STAGES:
            yield from OWN_STAGES[spec.stage].load("checks:problems")(spec, record, folder)
    except UserError as e:
        yield str(e)
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError, IndexError, RuntimeError, OSError) as e:
        yield f"lacks what a record of its stage has ({type(e).__name__}: {e})"


def verify(results: Path) -> tuple[int, list[str]]:
    """Check a results folder: how many runs were looked at, and every disagreement, one line each."""
    store, folders = Store(results), runs_under(results)
    found = [
        f"{f.parent.name}/{f.name}: {problem}"
        for f in steps(folders, "runs checked")
        for problem in run_problems(f, store)
    ]
    return len(folders), [*found, *page_problems(results)]

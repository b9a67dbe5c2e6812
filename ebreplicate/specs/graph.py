"""The runs that are asked for, closed over what they depend on, each once."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from ebreplicate.catalog import DISPLACEMENT_DRAWS, NEEDS_WEIGHTS
from ebreplicate.specs.fields import Spec
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.spec import Adapt, Alone, Retrain, Search, Sparse, Ticket, Training, key

Run = TypeVar("Run", bound=Spec)


def parents(spec: Spec) -> list[Spec]:
    """The runs that `spec` needs finished: at most one, which leads to the rest."""
    if isinstance(spec, Retrain):
        return [spec.ticket]
    if isinstance(spec, Sparse):
        return [spec.compact_of] if spec.compact_of else []
    if isinstance(spec, Adapt):
        return [spec.backbone]
    return [spec.after or spec.search] if isinstance(spec, Ticket) else []


def lineage(spec: Spec) -> list[Spec]:
    """`spec`, what it builds on, and so on, down to a training from scratch."""
    line = [spec]
    while parents(line[-1]):
        line += parents(line[-1])
    return line


def root_of(spec: Spec) -> Training | Alone:
    """What a run has its network and data from: itself, or of a ticket and its retrain, the search at their root."""
    return next(root for root in lineage(spec) if isinstance(root, (Training, Alone)))


def search_of(spec: Spec) -> Training:
    """`root_of` a run that does not stand alone."""
    root = root_of(spec)
    assert isinstance(root, Training)
    return root


def trainings_before(spec: Spec) -> list[Spec]:
    """The trainings that `spec` needs finished; tickets in between are drawn by who needs them."""
    return [t for p in parents(spec) for t in (parents(p) if isinstance(p, Ticket) else [p])]


def other_names(spec: Retrain, epoch: int) -> list[Retrain]:
    """The same training by every name that a draw at `epoch` can have: its number, "best", and where detectors fire.

    A later round of iterative pruning has one name.
    """
    if spec.ticket.after is not None:
        return []
    detected = DISPLACEMENT_DRAWS if spec.ticket.over_weights else ("eb", "epi", *DISPLACEMENT_DRAWS)
    named = (replace(spec.ticket, at=at) for at in (epoch, *detected, "best"))
    return [replace(spec, ticket=ticket) for ticket in named if ticket.at != spec.ticket.at]


class Plan:
    """Runs by key, with what each search must keep."""

    def __init__(self, requests: Iterable[Spec]):
        self.runs: dict[str, Spec] = {}
        self.keep: dict[str, Keep] = {}
        for spec in requests:
            self._add(spec)

    def _add(self, spec: Spec) -> None:
        name = key(spec)
        if name not in self.runs:
            for parent in parents(spec):
                self._add(parent)
            self.runs[name] = spec
        if isinstance(spec, (Search, Retrain)):
            self.keep.setdefault(name, Keep())
        if isinstance(spec, Adapt):
            self.keep[key(spec.backbone)].epochs.add(spec.backbone.recipe.epochs)
        if isinstance(spec, Ticket) and spec.method in NEEDS_WEIGHTS:
            self._keep_draw(spec)
        if isinstance(spec, Ticket) and spec.method == "taylor":
            self.keep[key(spec.search)].taylor = True
        if isinstance(spec, Ticket) and spec.at in DISPLACEMENT_DRAWS:  # recorded, and its weights kept, in any case
            self.keep[key(spec.search)].crop.add(f"{spec.at}:{spec.method}:{spec.ratio}")
        if isinstance(spec, Retrain) and spec.init == "inherit":
            self._keep_draw(spec.ticket)
        if isinstance(spec, Retrain) and spec.rewind:
            self.keep[key(spec.ticket.search)].epochs.add(spec.rewind)

    def _keep_draw(self, ticket: Ticket) -> None:
        """Have the weights of the draw epoch kept, wherever it will be. Those of "best" always are."""
        keep = self.keep[key(ticket.after or ticket.search)]
        if isinstance(ticket.at, int):
            keep.epochs.add(ticket.at)
        elif ticket.at == "eb":
            keep.ratios.add(ticket.ratio)
        elif ticket.at == "epi":
            keep.epi.add(f"{ticket.method}:{ticket.ratio}")

    def stage(self, kind: type[Run]) -> list[Run]:
        """Runs of one stage, in the order they were first asked for."""
        return [s for s in self.runs.values() if isinstance(s, kind)]


def epochs_of(spec: Spec) -> int:
    """Training epochs of a run, as far as planning can know them ("continue" from "eb", and "budget", as in full).

    Those of a run that stands alone (over a graph, say) are not counted.
    """
    if isinstance(spec, Training):
        return spec.recipe.scaled(getattr(spec, "multiplier", 1.0)).epochs
    if isinstance(spec, Retrain):
        known = spec.schedule == "continue" and isinstance(spec.ticket.at, int)
        return spec.recipe.epochs - (int(spec.ticket.at) if known else 0)
    return 0

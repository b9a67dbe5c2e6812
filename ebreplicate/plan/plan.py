"""Which runs a scale needs: the experiments' requests, closed over what they depend on, each run once."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.plan.scale import Scale
from ebreplicate.plan.spec import Retrain, Search, Spec, Ticket, key


@dataclass
class Keep:
    """Which weights a search must leave for the draws that follow it."""

    epochs: set[int] = field(default_factory=set)
    ratios: set[float] = field(default_factory=set)

    @property
    def flags(self) -> str:
        """Command-line flags of the search."""
        epochs, ratios = sorted(self.epochs), sorted(self.ratios)
        out = f"--keep-epochs {' '.join(map(str, epochs))} " if epochs else ""
        return (out + (f"--keep-ratios {' '.join(map(str, ratios))}" if ratios else "")).strip()


def parents(spec: Spec) -> list[Spec]:
    """The runs that `spec` needs finished."""
    if isinstance(spec, Retrain):
        return [spec.ticket]
    return [spec.search] if isinstance(spec, Ticket) else []


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
        if isinstance(spec, Search):
            self.keep.setdefault(name, Keep())
        if isinstance(spec, Retrain) and spec.init == "inherit":
            keep = self.keep[key(spec.ticket.search)]
            if isinstance(spec.ticket.at, int):
                keep.epochs.add(spec.ticket.at)
            elif spec.ticket.at == "eb":
                keep.ratios.add(spec.ticket.ratio)

    def stage(self, kind: type[Spec]) -> list[Spec]:
        """Runs of one stage, in the order they were first asked for."""
        return [s for s in self.runs.values() if isinstance(s, kind)]


def requests(scale: Scale, items: Iterable[str] | None = None) -> list[Spec]:
    """Every run that the named experiments (default: all) ask for at `scale`."""
    return [spec for item in (items or EXPERIMENTS) for spec in EXPERIMENTS.load(item).runs(scale)]


def make_plan(*scales: Scale) -> Plan:
    """The plan of one or more scales; runs they share appear once."""
    return Plan(spec for scale in scales for spec in requests(scale))


def epochs_of(spec: Spec) -> int:
    """Training epochs of a run, as far as planning can know them (a "continue" from "eb" counts in full)."""
    if isinstance(spec, Search):
        return spec.recipe.epochs
    if isinstance(spec, Retrain):
        known = spec.schedule == "continue" and isinstance(spec.ticket.at, int)
        return spec.recipe.epochs - (int(spec.ticket.at) if known else 0)
    return 0

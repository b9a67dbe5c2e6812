"""What an experiment is: runs, table, figure, cells beside the paper's, claims. No torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ebreplicate.experiments.common.finding import Finding
from ebreplicate.experiments.common.margins import Tolerance, tolerance
from ebreplicate.experiments.common.stats import Interval
from ebreplicate.specs.fields import Spec
from ebreplicate.specs.scale import Scale

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ebreplicate.store.store import Store

ACCURACY, COST, ARITHMETIC, REMARK = "accuracy", "cost", "arithmetic", "remark"
"""Kinds of claims: only those about accuracy count as replication."""
SUPPORTED, NOT_SUPPORTED, INCONCLUSIVE, NOT_RUN = "supported", "not supported", "inconclusive", "not run"
AGREES, DIFFERS, IMPRECISE, TOO_FEW = "agrees", "differs", "too imprecise to say", "too few seeds"
"""Words beside a printed value; the last is a claim's as well."""


@dataclass(frozen=True)
class Cell:
    """One number of the paper beside ours, in `unit`.

    `margin`: the difference that does not matter, from a rule. `runs`, `reading` and `spread`: of the published number,
    as `margins.tolerance` takes them. `cells`, `error`: of a whole figure or table (`verdicts.whole`), how many it
    is the mean of and the standard error of the difference. `exact` marks arithmetic, the same at every scale: it
    agrees within the margin alone. `context` marks a number of another network or dataset, given for orientation and
    never judged. `everywhere` marks a measurement of the very thing that was published, comparable at every scale.
    `model` to `method`: where it stands, by the paper's names, as far as the item has them.
    """

    cell: str
    published: float
    measured: Interval
    unit: str
    source: str
    selection: str = ""
    margin: float = math.nan
    exact: bool = False
    note: str = ""
    context: bool = False
    runs: int = 1
    reading: float = 0.0
    spread: float = math.nan
    cells: int = 1
    error: float = math.nan
    everywhere: bool = False
    model: str = ""
    dataset: str = ""
    ratio: float = math.nan
    draw: str = ""
    method: str = ""

    @property
    def tolerance(self) -> Tolerance:
        """The difference up to which both agree; nan where nothing is printed."""
        if math.isnan(self.published):
            return Tolerance(math.nan, imprecise=False)
        if self.exact or not math.isnan(self.error):
            return Tolerance(self.margin, imprecise=False)
        return tolerance(self.measured, self.margin, self.runs, self.reading, self.spread)


@dataclass(frozen=True)
class Claim:
    """One claim of the paper, judged. `rule` says how, before the numbers are seen; `found`: verdict and numbers.

    `kind`: accuracy, cost, arithmetic or remark. `p_holm`: p after correction over the claim's `family`; nan without a
    family or an interval. `points_to`: the side of the bound that all seeds lie on. `printed`: the same difference
    between the paper's own printed numbers; nan where it prints none.
    """

    name: str
    statement: str
    source: str
    rule: str
    found: Finding
    kind: str = ACCURACY
    p_holm: float = math.nan
    family: str = ""
    points_to: str = ""
    printed: float = math.nan

    @property
    def verdict(self) -> str:
        """Word of the verdict."""
        return self.found.verdict

    @property
    def n(self) -> int:
        """Seeds."""
        return self.found.n

    @property
    def evidence(self) -> str:
        """The numbers in words; empty where nothing has run."""
        return self.found.sentence


def has_content(table: "pd.DataFrame") -> bool:
    """Whether a table has a row of a finished run, or of arithmetic, which needs none."""
    return bool(len(table)) and ("status" not in table or bool((table.status != NOT_RUN).any()))


FUNCTIONS = {
    "runs": "runs:runs",
    "table": "table:table",
    "figure": "plot:draw",
    "cells": "claims:cells",
    "claims": "claims:claims",
}
"""Where an item's package has what it does, as module:function."""


@dataclass(frozen=True)
class Experiment:
    """One item: its names, and the package whose functions plan it, tabulate it, draw it and judge it.

    `item` names its table and figure files. `functions`: those that stand elsewhere than `FUNCTIONS` says, or under
    another name; None: the item has none (cells, claims). `options`: keyword arguments by function, for an item that is
    a part of another. The modules are imported at first use, so that planning imports `runs` alone.
    """

    item: str
    title: str
    category: str
    caption: str
    package: str = ""
    functions: Mapping[str, str | None] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    trains_on_cpu: bool = False
    """Whether a CPU trains the item at the papers' own scale, in hours."""

    @property
    def short_title(self) -> str:
        """The title up to its colon: "Figure 1"."""
        return self.title.partition(":")[0]

    def has(self, name: str) -> bool:
        """Whether the item has a function `name` of `FUNCTIONS`, in its package or as a method of its own."""
        own = getattr(type(self), name) is not getattr(Experiment, name)
        return own or bool(self.package and self.functions.get(name, FUNCTIONS[name]))

    def _call(self, name: str, *arguments: Any) -> Any:
        target = self.functions.get(name, FUNCTIONS[name])
        if not self.package or target is None:
            raise NotImplementedError(f"{self.item}: no {name}")
        module, function = target.split(":")
        return getattr(import_module(f"{self.package}.{module}"), function)(*arguments, **self.options.get(name, {}))

    def runs(self, scale: Scale) -> list[Spec]:
        """Every run this item needs at `scale`; what they depend on is added by the plan."""
        return list(self._call("runs", scale))

    def table(self, scale: Scale, store: "Store") -> "pd.DataFrame":
        """Records to a tidy table; a run that is missing is a row with status "not run"."""
        return self._call("table", scale, store)

    def figure(self, scale: Scale, table: "pd.DataFrame") -> "Figure":
        """Table to figure; of a table without a finished run, one that says so."""
        if not has_content(table):
            from ebreplicate.experiments.common import style

            empty: Figure = style.nothing(scale.name)
            return empty
        drawn: Figure = self._call("figure", scale, table)
        return drawn

    def cells(self, scale: Scale, table: "pd.DataFrame") -> list[Cell]:
        """The paper's numbers beside ours."""
        return list(self._call("cells", scale, table)) if self.has("cells") else []

    def claims(self, scale: Scale, table: "pd.DataFrame") -> list[Claim]:
        """The paper's claims that this item can judge."""
        return list(self._call("claims", scale, table)) if self.has("claims") else []

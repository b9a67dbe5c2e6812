"""What an experiment is: runs, table, figure, cells beside the paper's, claims. No torch."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ebreplicate.experiments.common.stats import Interval
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Spec

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ebreplicate.store.store import Store

ACCURACY, COST, ARITHMETIC, REMARK = "accuracy", "cost", "arithmetic", "remark"
"""Kinds of claims: only those about accuracy count as replication."""
SUPPORTED, NOT_SUPPORTED, INCONCLUSIVE, NOT_RUN = "supported", "not supported", "inconclusive", "not run"


@dataclass(frozen=True)
class Cell:
    """One number of the paper beside ours. `tolerance`: allowed difference, from a rule; nan where nothing is printed.

    `exact` marks arithmetic that is the same at every scale, so that it is comparable at every scale. `context`
    marks a number of another network or dataset, given for orientation and never judged. `imprecise` marks a
    measurement that scatters too much to agree with anything: it can only differ. `model` to `method`: where
    it stands, by the paper's names, as far as the item has them.
    """

    cell: str
    published: float
    measured: Interval
    unit: str
    source: str
    selection: str = ""
    tolerance: float = math.nan
    exact: bool = False
    note: str = ""
    context: bool = False
    imprecise: bool = False
    model: str = ""
    dataset: str = ""
    ratio: float = math.nan
    draw: str = ""
    method: str = ""


@dataclass(frozen=True)
class Claim:
    """One claim of the paper, judged. `rule` says how, before the numbers are seen; `evidence` is the numbers in words.

    `difference`: what is judged, with its interval; None for counts and arithmetic. `bound`: what it is held against.
    `p`, `p_holm`: against the bound, alone and after correction over the claim's `family` (nan: no family, or no
    interval). `points_to`: the side of the bound that all seeds lie on. `kind`: accuracy, cost, arithmetic or remark.
    """

    name: str
    statement: str
    source: str
    rule: str
    verdict: str
    evidence: str
    n: int
    kind: str = ACCURACY
    difference: Interval | None = None
    bound: float = math.nan
    unit: str = "pp"
    p: float = math.nan
    p_holm: float = math.nan
    family: str = ""
    points_to: str = ""


@dataclass(frozen=True)
class Experiment:
    """Base of all experiments. `item` names its table and figure files."""

    item: str
    title: str
    category: str
    caption: str
    labels: dict[str, str] = field(default_factory=dict)
    trains_on_cpu: bool = False
    """Whether a CPU trains the item at the papers' own scale, in hours."""

    @property
    def short_title(self) -> str:
        """The title up to its colon: "Figure 1"."""
        return self.title.partition(":")[0]

    def runs(self, scale: Scale) -> list[Spec]:
        """Every run this item needs at `scale`; what they depend on is added by the plan."""
        raise NotImplementedError

    def table(self, scale: Scale, store: "Store") -> "pd.DataFrame":
        """Records to a tidy table; a run that is missing is a row with status "not run"."""
        raise NotImplementedError

    def figure(self, scale: Scale, table: "pd.DataFrame") -> "Figure":
        """Table to figure."""
        raise NotImplementedError

    def cells(self, scale: Scale, table: "pd.DataFrame") -> list[Cell]:
        """The paper's numbers beside ours."""
        return []

    def claims(self, scale: Scale, table: "pd.DataFrame") -> list[Claim]:
        """The paper's claims that this item can judge."""
        return []

"""Claims that are judged together: each by its seeds' differences, all by Holm's correction. No torch."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ebreplicate.experiments.common import judgement as rules
from ebreplicate.experiments.common.contrasts import BySeed
from ebreplicate.experiments.common.experiment import INCONCLUSIVE, Claim
from ebreplicate.experiments.common.finding import Finding
from ebreplicate.experiments.common.rows import interval
from ebreplicate.experiments.common.stats import ENOUGH, holm, p_value

if TYPE_CHECKING:
    import pandas as pd


class Judged(NamedTuple):
    """One claim, its difference by seed (`what`, in `unit`), and what it is held against.

    `printed`: the same difference between printed numbers. `withheld`: why it cannot be decided whatever the numbers
    are; empty where nothing speaks against it. `over`: what its difference is taken at and averaged over, if not one
    number of each training.
    """

    name: str
    statement: str
    source: str
    what: str
    differences: BySeed
    rule: rules.Rule
    unit: str
    printed: float = math.nan
    withheld: str = ""
    over: str = ""


def diverged(table: "pd.DataFrame", *arms: str, column: str = "arm") -> str:
    """Why a claim about `arms` is withheld where trainings of them diverged: those left are chosen by their outcome."""
    number = int((table[column].isin(arms) & (table.status == "diverged")).sum())
    return f"{number} of its trainings diverged" if number else ""


def judge(found: Sequence[Judged], family: str) -> list[Claim]:
    """The claims of one family, each with its verdict after correction."""
    intervals = [interval(claim.differences) for claim in found]
    p = [p_value(i, c.rule.bound) if i.n >= ENOUGH else math.nan for c, i in zip(found, intervals, strict=True)]
    out = []
    for claim, i, alone, adjusted in zip(found, intervals, p, holm(p), strict=True):
        word, bound = rules.verdict(claim.rule, i, adjusted), claim.rule.bound
        shown, decided = i if i.n else None, INCONCLUSIVE if i.n >= ENOUGH else word
        finding = Finding(word, i.n, shown, bound, claim.unit, alone, claim.what, records=i.records)
        out.append(
            Claim(
                claim.name,
                claim.statement,
                claim.source,
                f"{claim.rule.kind} {bound:g} {claim.unit}{claim.over}, t over seeds; Holm's correction in its family",
                finding.but(claim.withheld, decided) if claim.withheld and i.n else finding,
                p_holm=adjusted,
                family=family,
                points_to=rules.points_to(i.values, bound),
                printed=claim.printed,
            )
        )
    return out

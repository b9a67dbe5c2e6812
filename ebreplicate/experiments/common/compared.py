"""Claims about differences of arms: from trainings to differences by seed, and from those to verdicts."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ebreplicate.experiments.common import judgement as rules
from ebreplicate.experiments.common import per_image
from ebreplicate.experiments.common.experiment import ACCURACY, INCONCLUSIVE, NOT_RUN, Claim
from ebreplicate.experiments.common.finding import Finding
from ebreplicate.experiments.common.rows import count
from ebreplicate.experiments.common.stats import ENOUGH, Contrast, holm

if TYPE_CHECKING:
    from ebreplicate.store.store import Store

UNSEEN, CURVE = "unseen", "curve"
"""Images: all that training did not see; the test images of the learning curve."""
CONTRAST = "contrast"
"""Status of a row that holds a difference."""
BROKEN, MOST_BROKEN = 2, 0.2
"""Channels below which a layer breaks its network; share of an arm's networks beyond which a claim is about those."""


@dataclass(frozen=True)
class Compared:
    """One claim of the protocol: a weighted sum of arms, judged against a bound.

    `terms`: arm and its weight; `test`: NO_WORSE or BETTER of `judgement`; `unseen`: whether on all unseen images,
    where the scale evaluates them; else on the test images of the learning curve; `column`: the number of a training
    that is compared in place of its accuracy; `kind`: of the claim. Without terms, its differences are rows that
    something else makes.
    """

    name: str
    statement: str
    source: str
    test: str
    terms: tuple[tuple[str, float], ...] = ()
    unseen: bool = True
    unit: str = "pp"
    column: str = ""
    kind: str = ACCURACY

    @property
    def what(self) -> str:
        """The difference in words."""
        signed = ((" + " if w > 0 else " - ") + (f"{abs(w):g} " if abs(w) != 1 else "") + arm for arm, w in self.terms)
        return "".join(signed).removeprefix(" + ")


def rows(claims: Sequence[Compared], trained: Sequence[dict[str, Any]], store: "Store") -> Iterator[dict[str, Any]]:
    """A row a claim and seed that has all arms of the claim.

    Its difference as `per_image.columns` has it, image by image where the scale evaluates unseen images. Of an arm with
    several trainings a seed (tasks), in the same order as those of the others, all are pooled; or none, if one failed.
    """
    of_arm = defaultdict[tuple[str, int], list[dict[str, Any]]](list)
    for row in trained:
        of_arm[row["arm"], row["seed"]].append(row)
    found = {arm: rows for arm, rows in of_arm.items() if all(row["status"] == "ok" for row in rows)}
    evaluated = any(row.get("unseen_accuracy") is not None for rows in found.values() for row in rows)
    images = UNSEEN if evaluated else CURVE
    for claim in claims:
        on = "" if claim.column else images if claim.unseen else CURVE
        differences: dict[int, Any] = {}
        for seed in sorted({seed for _, seed in found}):
            here = [found.get((arm, seed)) for arm, _ in claim.terms]
            values = [None if rows is None else _pooled(rows, claim, on, store) for rows in here]
            parts = [w * v for (_, w), v in zip(claim.terms, values, strict=True) if v is not None]
            if parts and len(parts) == len(claim.terms):
                differences[seed] = sum(parts)
        for seed, columns in per_image.columns(differences).items():
            keys = " ".join(row["key"] for arm, _ in claim.terms for row in found[arm, seed])
            yield {"claim": claim.name, "images": on, "seed": seed, "status": CONTRAST, "key": keys, **columns}


def _pooled(rows: list[dict[str, Any]], claim: Compared, images: str, store: "Store") -> Any:
    """`_values` of all rows: images one after another, or the mean of numbers; None where one is not there."""
    values = [_values(row, claim, images, store) for row in rows]
    if any(value is None for value in values):
        return None
    return np.concatenate(values) if np.ndim(values[0]) else math.fsum(values) / len(values)


def _values(row: dict[str, Any], claim: Compared, images: str, store: "Store") -> Any:
    """100 or 0 for each unseen image, the accuracy on the learning curve's, or the claim's column; None: not there."""
    if claim.column:
        return row[claim.column]
    return row["last_accuracy"] if images == CURVE else per_image.correct(row, store)


def contrast(table: pd.DataFrame, claim: str) -> Contrast:
    """The contrast of a claim, over the seeds that are there."""
    return per_image.contrast(table[(table.claim == claim) & (table.status == CONTRAST)])


def judged(
    claims: Sequence[Compared], table: pd.DataFrame, margin: float, family: str, page: str = "docs/early-crop.md"
) -> list[Claim]:
    """Every claim, judged as one family by the rules of docs/statistics.md; `margin` in points, `page`: the protocol.

    A difference that is no accuracy is held against 0, and has no margin.
    """
    found = [contrast(table, claim.name) for claim in claims]
    held = [rules.Rule(claim.test, margin if claim.unit == "pp" else float("nan")) for claim in claims]
    p = [c.p(rule.bound) for c, rule in zip(found, held, strict=True)]
    every = zip(claims, found, held, p, holm(p), strict=True)
    return [_claim(claim, c, rule, alone, adjusted, table, family, page) for claim, c, rule, alone, adjusted in every]


def _claim(
    claim: Compared,
    c: Contrast,
    rule: rules.Rule,
    p: float,
    adjusted: float,
    table: pd.DataFrame,
    family: str,
    page: str,
) -> Claim:
    word = rules.verdict(rule, c.interval(), adjusted)
    used = table[table.arm.isin([arm for arm, _ in claim.terms])]
    notes = []
    for status, said in (("diverged", "diverged"), ("no-ticket", "never pruned, and left out")):
        number = int((used.status == status).sum())
        notes += [f"{count(number, 'run')} {said}"] * bool(number)
    broken = used.get("narrowest", pd.Series(index=used.index, dtype=float)) < BROKEN
    notes += [f"{count(int(broken.sum()), 'network')} broken"] * bool(broken.sum())
    if (used.status == "diverged").any() and c.n >= ENOUGH:
        word = INCONCLUSIVE
    if c.n >= ENOUGH and len(used) and broken.groupby(used.arm).mean().max() > MOST_BROKEN:
        word, notes = rules.EXPLORATORY, ["tests broken networks", *notes]
    mine = table[(table.claim == claim.name) & (table.status == CONTRAST)]
    images = {UNSEEN: "interval over seeds and images", CURVE: "t over seeds"}
    how = next((images[i] for i in mine.images if i in images), "interval over seeds")
    found = Finding(
        word if c.n else NOT_RUN,
        c.n,
        c.interval(),
        rule.bound,
        claim.unit,
        p,
        claim.what or "difference",
        remarks=tuple(notes),
        records=frozenset(" ".join(mine.key).split()),
    )
    return Claim(
        claim.name,
        claim.statement,
        claim.source,
        f"{claim.test} {rule.bound:g} {claim.unit}, {how}; Holm's correction in its family ({page})",
        found,
        kind=claim.kind,
        p_holm=adjusted,
        family=family,
        points_to=rules.points_to(list(c.differences.values()), rule.bound),
    )

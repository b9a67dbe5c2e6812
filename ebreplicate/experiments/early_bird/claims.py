"""The claims of the analysis plan, judged by the rules of docs/statistics.md from the contrasts of the table."""

import math
from collections.abc import Collection, Mapping

import pandas as pd

from ebreplicate.experiments.common import judgement as rules
from ebreplicate.experiments.common import per_image
from ebreplicate.experiments.common.experiment import INCONCLUSIVE, NOT_RUN, Claim
from ebreplicate.experiments.common.finding import Finding, effect
from ebreplicate.experiments.common.margins import margin_of
from ebreplicate.experiments.common.rows import count
from ebreplicate.experiments.common.stats import ENOUGH, Contrast, holm
from ebreplicate.experiments.early_bird import printed, runs
from ebreplicate.experiments.early_bird.contrasts import (
    CLAIMS,
    CURVE,
    EMERGENCE,
    OFFICIAL,
    PRIMARY,
    UNSEEN,
    WHOLE,
    Compared,
    cells_of,
)
from ebreplicate.experiments.early_bird.runs import EB_TRAIN, MAIN
from ebreplicate.specs.scale import Scale

BROKEN = 2
"""Channels below which a layer of a network without shortcuts breaks it."""
MOST_BROKEN = 0.2
"""Share of an arm's runs beyond which a claim is about broken networks."""


def rule_of(claim: Compared, scale: Scale) -> rules.Rule:
    """What a claim is held against; emergence has no margin."""
    return rules.Rule(claim.test, math.nan if claim.name == EMERGENCE else margin_of(scale, "cifar10"))


def contrast(
    table: pd.DataFrame, claim: str, images: str, part: str = WHOLE, without: Collection[int] = ()
) -> Contrast:
    """A contrast of the table, over the seeds that are there and not in `without`."""
    mine = (table.claim == claim) & (table.images == images) & (table.part == part)
    return per_image.contrast(table[mine], without)


def _verdicts(table: pd.DataFrame, scale: Scale, images: str) -> dict[str, tuple[Contrast, float, str]]:
    """Contrast, p after correction and word of every claim, judged on one set of images."""
    found = {c.name: contrast(table, c.name, CURVE if c.name == EMERGENCE else images) for c in CLAIMS}
    held = {c.name: rule_of(c, scale) for c in CLAIMS}
    p = {name: found[name].p(rule.bound) for name, rule in held.items()}
    gate, *rest = (c.name for c in CLAIMS if c.family == PRIMARY)
    others = [c.name for c in CLAIMS if c.family != PRIMARY]
    passed, adjusted = rules.gated(held[gate], found[gate], [p[name] for name in rest])
    after = {gate: p[gate]} | dict(zip(rest, adjusted, strict=True))
    after |= dict(zip(others, holm([p[name] for name in others]), strict=True))
    words = {name: rules.verdict(held[name], found[name].interval(), after[name]) for name in found}
    if not passed:
        words |= {name: rules.EXPLORATORY for name in rest if found[name].n >= ENOUGH}
    return {name: (found[name], after[name], words[name]) for name in found}


def _runs(table: pd.DataFrame, claim: Compared, scale: Scale, seeds: Mapping[int, float]) -> pd.DataFrame:
    """Rows of the runs that a claim compares: those of its seeds, and those that left it none."""
    wanted = set(cells_of(claim, scale))
    here = table[(table.model == claim.model) & table.arm.notna()]
    cells = pd.Series([(round(r, 6), a) in wanted for r, a in zip(here.ratio, here.arm, strict=True)], here.index)
    return here[cells & (here.seed.isin(list(seeds)) | (here.status == "diverged"))]


def _broken(used: pd.DataFrame) -> pd.DataFrame:
    """Runs of networks with a layer of fewer than two channels; a layer beside a shortcut breaks nothing."""
    return used[(used.model == MAIN) & (used.narrowest < BROKEN)]


def _effect(c: Contrast, unit: str) -> str:
    return effect(c.interval(), unit)


def _short(claim: Compared, scale: Scale, n: int) -> list[str]:
    """Why a claim has fewer seeds than planned, where it has."""
    planned, at_first = claim.seeds(scale), runs.grid_of(scale).first_planned
    notes = [f"{n} of {len(planned)} planned seeds have all of its runs"] * (n < len(planned))
    if planned == runs.seeds_of(scale) and at_first > len(planned):
        notes.append(f"{len(planned)} seeds planned in place of {at_first}, by the plan's rule on hours")
    return notes


def _notes(table: pd.DataFrame, claim: Compared, scale: Scale, images: str, c: Contrast) -> list[str]:
    """What a reader has to know beside the effect: n below the plan's, emergence in both units, failures, other images,
    sizes, parts."""
    used, notes = _runs(table, claim, scale, c.differences), _short(claim, scale, c.n)
    unit = "% of training" if claim.name == EMERGENCE else "pp"
    if claim.name == EMERGENCE and used.emergence_steps.notna().any():
        shares, steps = (used.groupby("seed")[name].mean().mean() for name in ("emergence", "emergence_steps"))
        notes.append(f"at {shares:.0f} % of training, {steps:,.0f} steps (paper: 6 to 19 %, 1,800 to 6,100 steps)")
    diverged = int((used.status == "diverged").sum())
    notes += [f"{count(diverged, 'run')} diverged"] * bool(diverged)
    for what, rows in (
        ("broken", _broken(used)),
        ("without a ticket, counted as the final one", used[(used.status == "no-ticket") & (used.arm == EB_TRAIN)]),
    ):
        if len(rows):
            rest = contrast(table, claim.name, images, without=set(rows.seed))
            told = _effect(rest, unit) if rest.n else "no seed"
            notes.append(f"{count(len(rows), 'network')} {what}; without their seeds {told}")
    shares = used.groupby("arm").forward_share.mean()
    if claim.second and shares.reindex([*claim.first, *claim.second]).notna().all():
        first, second = (shares.reindex(arms).mean() for arms in (claim.first, claim.second))
        notes.append(f"forward FLOPs {first:.0%} against {second:.0%} of dense")
    parts = [(name, contrast(table, claim.name, images, name)) for name, *_ in claim.parts(scale) if name != WHOLE]
    notes += [f"{name}: {_effect(part, unit)}" for name, part in parts if part.n >= ENOUGH]
    return notes


def claims(scale: Scale, table: pd.DataFrame) -> list[Claim]:
    """Every claim, in the order of the plan."""
    images = UNSEEN if (table.images == UNSEEN).any() else CURVE
    judged, official = _verdicts(table, scale, images), _verdicts(table, scale, OFFICIAL)
    return [_claim(scale, table, c, images, *judged[c.name], official[c.name]) for c in CLAIMS]


def _claim(
    scale: Scale,
    table: pd.DataFrame,
    claim: Compared,
    images: str,
    c: Contrast,
    adjusted: float,
    word: str,
    official: tuple[Contrast, float, str],
) -> Claim:
    rule, emerged = rule_of(claim, scale), claim.name == EMERGENCE
    images = CURVE if emerged else images
    used = _runs(table, claim, scale, c.differences)
    arms = used.groupby("arm").size()
    share = (_broken(used).groupby("arm").size() / arms).max() if len(used) else 0.0
    notes = _notes(table, claim, scale, images, c) if c.n else []
    if (used.status == "diverged").any() and c.n >= ENOUGH:
        word = INCONCLUSIVE
    if share > MOST_BROKEN and c.n >= ENOUGH:
        word, notes = rules.EXPLORATORY, ["tests broken networks", *notes]
    if images == UNSEEN and official[0].n and official[2] != word:
        notes.insert(0, f"on the 10,000 test images: {official[2]}, {_effect(official[0], 'pp')}")
    rows = table[(table.claim == claim.name) & (table.images == images) & (table.part == WHOLE)]
    first, second = " and ".join(claim.first), " and ".join(claim.second)
    what = "50 % minus emergence" if emerged else f"{first} minus {second}"
    unit = "% of training" if emerged else "pp"
    found = Finding(
        word if c.n else NOT_RUN,
        c.n,
        c.interval(),
        rule.bound,
        unit,
        c.p(rule.bound),
        what,
        remarks=tuple(notes),
        records=frozenset(" ".join(rows.key).split()) if c.n else frozenset(),
    )
    return Claim(
        claim.name,
        claim.statement,
        claim.source,
        f"{claim.test} {rule.bound:g} {unit}, "
        + ("t over seeds" if emerged or images == CURVE else "interval over seeds and images")
        + f", mean over the ratios {', '.join(f'{r:g}' for r in claim.ratios(scale))}; Holm's correction in its family "
        "(docs/statistics.md, the analysis plan)",
        found,
        p_holm=adjusted,
        family=claim.family,
        points_to=rules.points_to(list(c.differences.values()), rule.bound),
        printed=printed.difference(claim, scale),
    )

"""The claims of the analysis plan from invented records: intervals from the bits, families, failures."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t
from synthetic import COMPARABLE, Outcome, tabulated, write

from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.common.judgement import settled
from ebreplicate.experiments.common.stats import holm
from ebreplicate.experiments.early_bird import runs
from ebreplicate.experiments.early_bird.contrasts import CLAIMS, cells_of
from ebreplicate.experiments.early_bird.runs import SECOND
from ebreplicate.report import compare
from ebreplicate.specs.scale import load_scale
from ebreplicate.store.store import Store

QUICK = load_scale("quick")
DIGITS = {"name": "digits", "train_size": 60, "test_size": 200, "evaluation": "unseen"}
SCALE = replace(
    COMPARABLE,
    name="quick",
    items={},
    comparable=False,
    seeds=(2, 3, 4, 5, 6),
    draw_epochs=(1, 20, 40, 160),
    datasets={**COMPARABLE.datasets, "cifar10": DIGITS},
)
"""The tiny networks on the plan's grid, both ratios, with five seeds; 1,737 unseen images."""
IMAGES, OFFICIAL = 360 + 1437 - 60, 360
LEVEL = {"draw 1": 0.55, "dense": 0.75, "Random channels": 0.6}
"""Share of images that the runs of an arm get right; 0.7 in any other."""


def bits_of(run, rng):
    """Whether each unseen image is classified correctly: some images are hard for all."""
    hard = np.random.default_rng(0).random(IMAGES)
    return rng.random(IMAGES) < np.clip(LEVEL.get(run.arm, 0.7) + 0.5 * (hard - 0.5), 0, 1)


def finish(store, run, bits, status="ok"):
    """Leave the record of a run with its bits."""
    folder = store.folder(run.spec)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "correct.npy", np.packbits(bits))
    record = {k: v for k, v in store.read(run.spec).items() if k not in ("key", "stage", "files")}
    record["status"] = status
    record["metrics"] |= {"unseen_accuracy": 100 * float(bits.mean()), "unseen_images": IMAGES}
    record["metrics"] |= {"official_accuracy": 100 * float(bits[:OFFICIAL].mean()), "official_images": OFFICIAL}
    store.write(run.spec, record)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The table, and the bits of every run by (model, ratio, arm, seed)."""
    root, planned, rng = tmp_path_factory.mktemp("results"), runs.planned(SCALE), np.random.default_rng(1)
    write(Store(root), [run.spec for run in planned], lambda _: Outcome(50.0), lambda _: 3)
    found = {}
    for run in planned:
        found[run.model, run.ratio, run.arm, run.seed] = bits_of(run, rng)
        finish(Store(root), run, found[run.model, run.ratio, run.arm, run.seed])
    return root, tabulated("early_bird", SCALE, root), found


def judged(table):
    return {c.name[:2]: c for c in EXPERIMENTS.load("early_bird").claims(SCALE, table)}


def by_hand(bits, first, second, ratios, count=IMAGES, model="vgg16"):
    """Mean, half-width and the p-value against a bound, as docs/statistics.md writes them, of differences in points."""
    d = []
    for seed in SCALE.seeds:
        cells = []
        for ratio in ratios:
            sides = [
                [bits[model, 0.0 if arm == "dense" else ratio, arm, seed][:count].astype(float) for arm in arms]
                for arms in (first, second)
            ]
            cells.append(np.mean(sides[0], axis=0) - np.mean(sides[1], axis=0))
        d.append(100 * np.mean(cells, axis=0))
    d, n = np.array(d), len(SCALE.seeds)
    a = d.mean(1).var(ddof=1) / n
    b = max(0.0, d.mean(0).var(ddof=1) - d.var(0, ddof=1).mean() / n) / d.shape[1]
    f = (n - 1) * (1 + b / a) ** 2
    half = max(t.ppf(0.975, n - 1) * math.sqrt(a), t.ppf(0.975, f) * math.sqrt(a + b))

    def p(bound):
        return max(2 * t.sf(abs(d.mean() - bound) / math.sqrt(v), k) for v, k in ((a, n - 1), (a + b, f)))

    return d.mean(), half, p


EARLY, FINAL, EB = ("draw 20", "draw 40"), ("draw 160",), ("EB Train",)
BOTH, ONE = (0.3, 0.5), (0.5,)
ARMS = {
    "p1": (EARLY, ("draw 1",), BOTH, 0.0),
    "p2": (EARLY, FINAL, BOTH, -1.0),
    "p3": (EARLY[:1], ("final mask on early weights",), BOTH, -1.0),
    "p4": (EB, ("dense",), BOTH, -1.0),
    "p5": (EB, FINAL, BOTH, -1.0),
    "s1": (EARLY, ("dense",), BOTH, -1.0),
    "s2": (EB, ("Random channels",), ONE, 0.0),
    "s3": (EB, ("EB Train (re-init)",), ONE, -1.0),
    "s4": (EB, ("SNIP", "LT (one-shot)"), ONE, -1.0),
    "s5": (EARLY, ("draw 20, low rate", "draw 40, low rate"), ONE, 0.0),
}
"""First and second arms, ratios and bound of the plan's table."""


@pytest.mark.parametrize("name", ARMS)
def test_differences_intervals_and_p_are_those_of_the_bits(made, name):
    _, table, bits = made
    first, second, ratios, bound = ARMS[name]
    mean, half, p = by_hand(bits, first, second, ratios)
    claim = judged(table)[name]
    i = claim.found.difference
    assert (i.mean, i.half, i.n, claim.found.bound) == (pytest.approx(mean), pytest.approx(half, rel=1e-5), 5, bound)
    assert claim.found.p == pytest.approx(p(bound), rel=1e-4)


def test_the_claim_on_a_second_network_shows_whether_that_network_can_see_a_bad_draw(made):
    _, table, bits = made
    mean, half, _ = by_hand(bits, EARLY[:1], FINAL, ONE, model=SECOND)
    i = judged(table)["s6"].found.difference
    assert (i.mean, i.half) == (pytest.approx(mean), pytest.approx(half, rel=1e-5))
    mean, half, _ = by_hand(bits, EARLY[:1], ("draw 1",), ONE, model=SECOND)
    assert f"draw 20 minus draw 1: {mean:+.2f} +- {half:.2f} pp (5 seeds)" in judged(table)["s6"].evidence


def test_a_draw_alone_is_held_against_the_low_rates_of_the_same_epoch(made):
    _, table, bits = made
    told = judged(table)["s5"].evidence
    for draw in ("draw 20", "draw 40"):
        mean, half, _ = by_hand(bits, (draw,), (f"{draw}, low rate",), ONE)
        assert f"{draw}: {mean:+.2f} +- {half:.2f} pp (5 seeds)" in told
    mean, half, _ = by_hand(bits, ("draw 40",), FINAL, BOTH)
    assert f"draw 40: {mean:+.2f} +- {half:.2f} pp (5 seeds)" in judged(table)["p2"].evidence


def test_families_are_corrected_apart_behind_the_gate(made):
    found = judged(made[1])
    assert found["p1"].verdict == "supported"
    primary = [found[f"p{i}"] for i in range(2, 7)]
    assert [c.p_holm for c in primary] == holm([c.found.p for c in primary])
    secondary = [found[f"s{i}"] for i in range(1, 7)]
    assert [c.p_holm for c in secondary] == holm([c.found.p for c in secondary])
    assert found["s1"].verdict == "not supported"  # 70 against 75 %
    assert found["s2"].verdict == "supported"  # 70 against 60 %
    assert (found["s1"].points_to, found["s2"].points_to) == ("against", "for")


def test_without_the_gate_the_primary_claims_are_exploratory(made):
    table = made[1].copy()
    gate = (table.claim == "p1-draw-epoch-matters") & (table.part == "all")
    table.loc[gate, "difference"] *= [-1, 1, -1, 1, -1] * 3
    found = judged(table)
    assert {found[f"p{i}"].verdict for i in range(2, 6)} == {"exploratory"}
    assert all(math.isnan(found[f"p{i}"].p_holm) for i in range(2, 7))
    assert found["s2"].verdict == "supported"


def test_emergence_is_a_share_of_training_and_is_judged_over_seeds(made):
    claim = judged(made[1])["p6"]  # every ticket emerges after 3 of 8 epochs
    difference = claim.found.difference
    assert (difference.mean, difference.half, claim.found.unit) == (12.5, 0.0, "% of training")
    assert claim.verdict == "supported"
    assert "at 38 % of training, 9 steps" in claim.evidence  # three epochs of three batches
    table = made[1].copy()
    table.loc[table.claim == "p6-masks-settle-before-decay", "difference"] = 0.5
    assert judged(table)["p6"].verdict == "supported"  # shares of training have no margin to be below


def test_a_verdict_that_differs_on_the_official_test_images_is_told(made):
    table = made[1].copy()
    assert "10,000" not in judged(table)["s2"].evidence  # it is supported there as well
    table.loc[(table.claim == "s2-channels-matter") & (table.images == "official"), "difference"] *= -1
    for arm, share in (("EB Train", 0.48), ("Random channels", 0.47)):
        table.loc[table.arm == arm, "forward_share"] = share
    claim = judged(table)["s2"]
    assert claim.verdict == "supported"
    assert "on the 10,000 test images: not supported, -" in claim.evidence
    assert "forward FLOPs 48% against 47% of dense" in claim.evidence


def test_a_diverged_run_leaves_its_claims_at_most_inconclusive(made):
    _, table, _ = made
    lost = (table.arm == "Random channels") & (table.seed == 2)
    table = table.copy()
    table.loc[lost, "status"] = "diverged"
    table = table[~((table.claim == "s2-channels-matter") & (table.seed == 2))]  # no accuracy, no difference
    # The products of the other seeds are those of a table that never had the fifth.
    mine = table.claim == "s2-channels-matter"
    table.loc[mine, "products"] = [" ".join(str(p).split()[1:]) for p in table[mine].products]
    claim = judged(table)["s2"]
    assert (claim.verdict, claim.n) == ("inconclusive", 4)
    assert "1 run diverged" in claim.evidence


def test_broken_networks_are_counted_and_the_claim_is_shown_without_them(made):
    table = made[1].copy()
    table.loc[table.arm == "EB Train", "narrowest"] = 2  # channels enough
    table.loc[table.model == SECOND, "narrowest"] = 1  # its blocks have shortcuts
    found = judged(table)
    assert not any("broken" in found[name].evidence for name in ("s2", "s6"))
    table.loc[(table.arm == "EB Train") & (table.ratio == 0.5) & (table.seed == 3), "narrowest"] = 1
    claim = judged(table)["s2"]
    assert claim.verdict == "supported"
    rest = np.mean([v for s, v in zip(SCALE.seeds, claim.found.difference.values, strict=True) if s != 3])
    assert f"1 network broken; without their seeds {rest:+.2f} +-" in claim.evidence
    table.loc[(table.arm == "EB Train") & (table.ratio == 0.5) & (table.seed < 4), "narrowest"] = 1  # two of five
    claim = judged(table)["s2"]
    assert claim.verdict == "exploratory"
    assert "tests broken networks" in claim.evidence


def test_two_seeds_are_too_few_and_are_listed(made):
    table = made[1]
    claim = judged(table[~(table.seed > 3)])["p4"]
    assert claim.verdict == "too few seeds"
    first, second = (f"{value:+.2f}" for value in claim.found.difference.values)
    assert f": {first}, {second} pp (2 seeds, no interval)" in claim.evidence


def test_a_row_says_why_it_has_fewer_seeds_than_the_plan(made):
    """Seed 6 lacks EB Train; the core has been cut from eight seeds to five."""
    table, cut = made[1], "5 seeds planned in place of 8, by the plan's rule on hours"
    grid = {"seeds": 5, "few": 4, "ratios": [0.3, 0.5], "ratio": 0.5}
    here = table[~((table.seed == 6) & ((table.arm == "EB Train") | (table.claim == "p4-eb-train-matches-dense")))]

    def notes(first_planned, rows):
        scale = replace(SCALE, items={"early_bird": grid | {"first_planned": first_planned}})
        return {c.name[:2]: c.evidence for c in EXPERIMENTS.load("early_bird").claims(scale, rows) if c.n}

    assert not any("planned" in told for told in notes(0, table).values())
    short = notes(8, here)
    assert f"4 of 5 planned seeds have all of its runs; {cut}" in short["p4"]
    assert cut in short["p2"]
    assert "of its runs" not in short["p2"]
    assert not any("planned" in short[name] for name in ("p1", "s2", "s5", "s6"))  # of the few


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_the_seeds_of_a_claim_are_those_with_all_of_its_arms_in_the_queue(claim):
    queue = {(r.model, r.ratio, r.arm, r.seed) for r in runs.planned(QUICK)}
    cells = cells_of(claim, QUICK)
    whole = [seed for seed in range(20) if all((claim.model, *cell, seed) in queue for cell in cells)]
    assert list(claim.seeds(QUICK)) == whole


def test_rows_of_a_reduced_scale_outside_the_families_are_exploratory(made):
    claims = [replace(c, family="") for c in judged(made[1]).values()]
    assert {c.verdict for c in settled(claims, comparable=False)} == {"exploratory"}


def test_the_comparison_has_the_numbers_of_the_claims(made):
    row = compare.claim_row("early_bird", judged(made[1])["p2"])
    assert (row["kind"], row["bound"], row["n"], row["family"]) == ("accuracy", -1.0, 5, "primary")
    assert len(row["by_seed"].split()) == 5
    assert len(row["records"].split()) == 5 * 2 * 3  # seeds, ratios, draws


def test_smokes_page_says_that_its_numbers_mean_nothing(made):
    scale = replace(SCALE, name="smoke")
    page = compare.smoke_page(scale, {"early_bird": made[1]})
    assert "No number of this scale means anything about the paper" in page
    assert "supported" not in page

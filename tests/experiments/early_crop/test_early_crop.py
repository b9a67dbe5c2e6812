"""Runs, table, contrasts and claims of early_crop and early_crop_mnist, on records whose outcomes are chosen here."""

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp
from synthetic import COMPARABLE, TINY, Outcome, claims, tabulated, trained, turning, write, write_scores

from ebreplicate.errors import UserError
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.common import compared
from ebreplicate.experiments.early_crop.claims import COMPARED
from ebreplicate.experiments.early_crop.runs import ARMS, DENSE, EARLY_CROP, EB_TRAIN, Grid, planned
from ebreplicate.experiments.early_crop_mnist import runs as mnist
from ebreplicate.files import atomic_write
from ebreplicate.pruning.displacement import displacement_epoch
from ebreplicate.pruning.earlybird import emergence_epoch
from ebreplicate.specs.graph import Plan
from ebreplicate.specs.scale import load_scale
from ebreplicate.specs.spec import Search, Ticket, key
from ebreplicate.store.store import Store

ITEM, MNIST = "early_crop", "early_crop_mnist"
SETTINGS = {"seeds": 5, "ratio": 0.5, "ratios": [0.3, 0.5], "arms": list(ARMS)}
FIVE = replace(TINY, seeds=(0, 1, 2, 3, 4), items={**TINY.items, ITEM: SETTINGS})
WORTH = {"crop": 2.0, "crop-leak": 2.5, "slimming": 0.0}
"""Points by criterion; pruning at initialisation costs 5, the other epochs are alike."""


def accuracy(spec):
    """60 for dense networks, with a scatter of seeds that the arms share, and a little of their own."""
    search = spec if isinstance(spec, Search) else spec.ticket.search
    base = 60.0 + search.seed
    if isinstance(spec, Search):
        return base
    own = 0.1 * ((3 * search.seed + len(spec.ticket.slug)) % 5)
    return base + WORTH[spec.ticket.method] - 5.0 * (spec.ticket.at == 0) + own


def everything(root, outcomes=accuracy, scale=FIVE, emergence=lambda _: 3):
    write(Store(root), EXPERIMENTS.load(ITEM).runs(scale), outcomes, emergence)
    return tabulated(ITEM, scale, root)


def test_quick_trains_every_arm_on_searches_that_are_there_anyway():
    scale = load_scale("quick")
    runs = planned(scale)
    assert [run.arm for run in runs if run.seed == 2] == [DENSE, *ARMS]
    assert sorted({run.seed for run in runs}) == [2, 3, 4, 5, 6]
    shared = {key(spec) for spec in EXPERIMENTS.load("early_bird").runs(scale)}
    assert all(key(run.spec) in shared for run in runs if run.arm in (DENSE, EB_TRAIN))
    assert {run.spec.schedule for run in runs if run.arm != DENSE} == {"continue"}


def test_smoke_adds_six_trainings():
    scale = load_scale("smoke")
    others = [item for item in EXPERIMENTS if item not in (ITEM, MNIST, "accuracy_vs_flops")]  # which shows its runs
    known = Plan(s for i in others for s in EXPERIMENTS.load(i).runs(scale)).runs
    mine = Plan(s for i in (ITEM, MNIST) for s in EXPERIMENTS.load(i).runs(scale)).runs
    assert len([n for n, s in mine.items() if n not in known and not isinstance(s, Ticket)]) == 6


def test_mnist_is_real_at_the_papers_scale_and_left_out_at_quick():
    assert mnist.runs(load_scale("quick")) == []
    paper = mnist.planned(load_scale("paper"))
    assert {run.arm for run in paper} == {DENSE, *mnist.DRAWN, *mnist.SPARSE}
    assert len(paper) == 5 * 7
    dense = next(run.spec for run in paper if run.arm == DENSE)
    assert (dense.dataset, dense.train_images, dense.width, dense.recipe.optimizer) == ("mnist", 60_000, 1.0, "adam")


def test_a_grid_with_an_unknown_arm_is_refused():
    with pytest.raises(UserError, match=r"Grid\.arms: unknown name 'EarlyCrop'; did you mean 'EarlyCroP'"):
        Grid(5, 0.5, (0.5,), ("EarlyCrop",))


def test_differences_and_words_follow_from_the_arms(tmp_path):
    table = everything(tmp_path)
    found = claims(ITEM, FIVE, table)
    by_arm = {arm: table[table.arm == arm].set_index("seed").last_accuracy for arm in (*ARMS, DENSE)}
    criterion = (by_arm[EARLY_CROP] - by_arm["gamma at EarlyCroP's epoch"]) / 2
    criterion += (by_arm["CroP score at EB's epoch"] - by_arm[EB_TRAIN]) / 2
    claim = found["early-crop-criterion"]
    assert claim.found.difference.mean == pytest.approx(criterion.mean())
    assert claim.found.difference.half == pytest.approx(2.7764 * criterion.std() / 5**0.5, rel=1e-3)
    assert (claim.n, claim.found.bound, claim.family) == (5, 0.0, "EarlyCroP")
    time = (by_arm[EARLY_CROP] - by_arm["CroP score at EB's epoch"]) / 2
    time += (by_arm["gamma at EarlyCroP's epoch"] - by_arm[EB_TRAIN]) / 2
    assert found["early-crop-time"].found.difference.mean == pytest.approx(time.mean())
    assert time.mean() != pytest.approx(criterion.mean())
    assert [c.name for c in COMPARED if not c.unseen] == ["early-crop-leak"]  # it is about the test images
    for arm, flops in ((EB_TRAIN, 6.0), (EARLY_CROP, 5.0), (DENSE, 8.0)):
        table.loc[table.arm == arm, "training_flops"] = flops
    cheaper = claims(ITEM, FIVE, table)["early-crop-costs-less"]
    assert (cheaper.found.difference.mean, cheaper.kind) == (12.5, "cost")
    words = {name: c.verdict.partition(",")[0] for name, c in found.items()}
    assert words["early-crop-criterion"] == words["early-crop-not-before"] == "supported"
    assert words["early-crop-time"] == words["early-crop-matches-dense"] == "supported"
    assert words["early-crop-fires-earlier"] == "not run"  # nothing was recorded
    assert found["early-crop-time"].found.bound == -1.0
    compared = (EARLY_CROP, "gamma at EarlyCroP's epoch", "CroP score at EB's epoch", EB_TRAIN)
    assert claim.found.records == set(table[table.arm.isin(compared)].key)


def test_two_seeds_are_too_few_and_a_diverged_run_decides_nothing(tmp_path):
    two = replace(FIVE, seeds=(0, 1))
    few = claims(ITEM, two, everything(tmp_path / "two", scale=two))
    assert few["early-crop-not-before"].verdict == "too few seeds"

    def one_diverges(spec):
        lost = not isinstance(spec, Search) and spec.ticket.at == 0 and spec.ticket.search.seed == 4
        return Outcome(None, "diverged") if lost else accuracy(spec)

    found = claims(ITEM, FIVE, everything(tmp_path / "one", one_diverges))["early-crop-not-before"]
    assert (found.verdict, found.n) == ("inconclusive", 4)
    assert "1 run diverged" in found.evidence


def test_a_rule_that_never_fires_leaves_its_seed_out(tmp_path):
    def fires(ticket):
        return None if ticket.at == "crop-code" and ticket.search.seed == 2 else 3

    found = claims(ITEM, FIVE, everything(tmp_path, emergence=fires))["early-crop-matches-dense"]
    assert found.n == 4
    assert "1 run never pruned, and left out" in found.evidence


def displaced(settles):
    """Rows of a network that moves by 1 an epoch, and by a tenth of that from epoch `settles` on; norms 10."""
    steps = np.cumsum([0.0] + [1.0 if e < settles else 0.1 for e in range(1, 9)])
    return np.stack([steps, np.abs(steps - steps[1]), np.full(9, 10.0)], axis=1).astype(np.float32)


def test_firing_epochs_are_those_of_the_recorded_rows(tmp_path):
    store = Store(tmp_path)
    write(store, EXPERIMENTS.load(ITEM).runs(FIVE), accuracy)
    for run in planned(FIVE):
        if run.arm == DENSE:
            record = trained(Outcome(60.0))
            record["metrics"]["bn_widths"] = [10]
            store.write(run.spec, record)
            write_scores(store, run.spec, turning(2))
            buffer = io.BytesIO()
            np.save(buffer, displaced(4 + run.seed % 2))
            atomic_write(store.folder(run.spec) / "displacement.npy", buffer.getvalue())
    table = tabulated(ITEM, FIVE, tmp_path)
    fires = table[(table.arm == "fires") & (table.ratio == 0.5)].set_index(["rule", "seed"]).fires
    assert emergence_epoch(turning(2), 0.5) == 6
    assert [fires["eb", seed] for seed in FIVE.seeds] == [6] * 5
    assert [fires["crop-code", seed] for seed in FIVE.seeds] == [4, 5, 4, 5, 4]
    assert displacement_epoch(displaced(4), 0.5, "crop-code") == 4
    claim = claims(ITEM, FIVE, table)["early-crop-fires-earlier"]
    assert claim.found.difference.mean == pytest.approx(100 * (6 - 4.4) / 8)
    assert claim.verdict == "supported"
    curve = table[table.arm == "curve"]
    assert len(curve) == 9
    assert curve.set_index("epoch").growth_code[[3, 4]].tolist() == pytest.approx([1.0, 0.1])
    assert set(curve.seed) == {0}
    figure = EXPERIMENTS.load(ITEM).figure(FIVE, table)
    assert len(figure.axes) == 3
    assert figure.axes[0].get_lines()
    table.loc[table.arm.isin([DENSE, EB_TRAIN]), "unseen_accuracy"] = 50.0  # shared with other items, so there first
    right = EXPERIMENTS.load(ITEM).figure(FIVE, table).axes[2]
    assert [label.get_text() for label in right.get_yticklabels()] == [EB_TRAIN]


def test_images_are_compared_one_by_one(tmp_path):
    """Differences and their products from the bits of every image, against a second computation."""
    rng, store = np.random.default_rng(0), Store(tmp_path)
    runs = [r for r in planned(FIVE) if r.arm in (EARLY_CROP, DENSE) and r.seed < 3]
    bits, rows = {}, []
    for run in runs:
        correct = rng.random(40) < 0.7
        bits[run.arm, run.seed] = correct
        buffer = io.BytesIO()
        np.save(buffer, np.packbits(correct))
        atomic_write(store.folder(run.spec) / "correct.npy", buffer.getvalue())
        rows.append({**run._asdict(), "key": key(run.spec), "status": "ok", "unseen_accuracy": 70.0})
        rows[-1] |= {"unseen_images": 40, "last_accuracy": 70.0}
    claim = compared.Compared("a", "s", "s", "better than", ((EARLY_CROP, 1.0), (DENSE, -1.0)))
    found = list(compared.rows([claim], rows, store))
    apart = [100.0 * (bits[EARLY_CROP, s].astype(float) - bits[DENSE, s]) for s in range(3)]
    assert [row["difference"] for row in found] == pytest.approx([d.mean() for d in apart])
    products = [[float(v) for v in row["products"].split()] for row in found]
    assert np.array(products) == pytest.approx(np.array([[(a * b).mean() for b in apart] for a in apart]))
    assert {row["images"] for row in found} == {"unseen"}
    on_curve = list(compared.rows([replace(claim, unseen=False)], rows, store))
    assert [(row["images"], row["difference"]) for row in on_curve] == [("curve", 0.0)] * 3  # last accuracies are equal


@pytest.mark.parametrize(
    ("narrowest", "verdict", "said"),
    [
        ((2, 2, 2, 2, 2), "supported", ""),  # channels enough
        ((1, 2, 3, 4, 5), "supported", "1 network broken"),  # a fifth of the arm is not more than a fifth
        ((0, 1, 3, 4, 5), "exploratory", "tests broken networks; 2 networks broken"),
    ],
)
def test_a_claim_on_an_arm_of_broken_networks_is_exploratory(narrowest, verdict, said):
    trained = [{"arm": "a", "seed": s, "status": "ok", "narrowest": n} for s, n in enumerate(narrowest)]
    trained += [{"arm": "b", "seed": s, "status": "ok", "narrowest": 9} for s in range(5)]
    names = {"claim": "c", "status": compared.CONTRAST, "images": "curve", "key": "k", "products": None}
    table = pd.DataFrame([*trained, *({**names, "seed": s, "difference": 5.0 + s / 9} for s in range(5))])
    claim = compared.Compared("c", "s", "s", "better than", (("a", 1.0), ("b", -1.0)))
    (found,) = compared.judged([claim], table, 1.0, "f")
    assert found.verdict == verdict
    assert said in found.evidence
    assert ("broken" in found.evidence) == bool(said)


def test_compared_claims_are_held_against_their_own_bounds_and_corrected_together():
    """p by scipy; Holm of three by hand, two of which have the same p. What is no accuracy has no margin."""
    first, second = [-0.5, -0.4, -0.6, -0.5, -0.45], [0.1, 0.4, 0.2, 0.35, 0.3]
    made = [
        ("a", "no worse than", "pp", first),
        ("b", "better than", "pp", second),
        ("c", "better than", "bits", second),
    ]
    names = {"status": compared.CONTRAST, "images": "", "key": "k", "products": None}
    rows = [
        {**names, "claim": name, "seed": s, "difference": d}
        for name, _, _, differences in made
        for s, d in enumerate(differences)
    ]
    asked = [compared.Compared(name, "s", "s", test, unit=unit) for name, test, unit, _ in made]
    a, b, c = compared.judged(asked, pd.DataFrame(rows).assign(arm=None), 1.0, "f")
    p, q = ttest_1samp(first, -1.0).pvalue, ttest_1samp(second, 0.0).pvalue
    assert p < q
    assert [claim.found.p for claim in (a, b, c)] == pytest.approx([p, q, q])
    assert [claim.p_holm for claim in (a, b, c)] == pytest.approx([3 * p, 2 * q, 2 * q])
    assert [claim.points_to for claim in (a, b, c)] == ["for"] * 3
    words = ["supported, equivalent", "supported, below the margin", "supported"]
    assert [claim.verdict for claim in (a, b, c)] == words


def test_mnist_is_judged_and_drawn(tmp_path):
    scale = replace(load_scale("paper"), comparable=True)
    worth = {"crop-weights": 97.0, "grasp-weights": 90.0, "snip": 96.0, "static": 93.0}

    def outcome(spec):
        seed = spec.seed if hasattr(spec, "seed") and spec.seed is not None else spec.ticket.search.seed
        if isinstance(spec, Search):
            return 97.05 + 0.01 * seed
        method = spec.ticket.method if hasattr(spec, "ticket") else spec.method
        early = hasattr(spec, "ticket") and spec.ticket.at != 0
        return worth[method] + 0.5 * early + 0.02 * seed

    write(Store(tmp_path), mnist.runs(scale), outcome)
    table = tabulated(MNIST, scale, tmp_path)
    found = claims(MNIST, scale, table)
    assert {c.verdict.partition(",")[0] for c in found.values()} == {"supported"}
    assert found["early-crop-mnist-absolute"].found.difference.mean == pytest.approx(7.0)
    assert found["early-crop-mnist-matches-dense"].found.bound == -0.1
    assert len(EXPERIMENTS.load(MNIST).figure(scale, table).axes) == 2


@pytest.mark.parametrize("item", [ITEM, MNIST])
def test_a_figure_before_anything_is_run(item):
    experiment = EXPERIMENTS.load(item)
    assert experiment.figure(COMPARABLE, experiment.table(COMPARABLE, Store("/nonexistent"))).axes

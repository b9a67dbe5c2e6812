"""Table 3: which runs it asks for, rows and claims from invented outcomes, the printed cells."""

import math
from dataclasses import replace

import pytest
from synthetic import COMPARABLE, TINY, Outcome, claims, tabulated, with_settings, write

from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.common.experiment import INCONCLUSIVE, NOT_RUN, NOT_SUPPORTED, SUPPORTED
from ebreplicate.experiments.table3.runs import Grid, runs_of
from ebreplicate.specs.graph import Plan, parents
from ebreplicate.specs.scale import load_scale
from ebreplicate.specs.spec import Recipe, Retrain, Search, Ticket
from ebreplicate.store.store import Store

ITEM = "table3_imagenet"
DENSE, EB_GAIN, SLIMMING_GAIN = 70.0, 0.5, -0.5


GRID = Grid(Recipe(epochs=8, batch_size=20, milestones=(5,), augment="imagenet"), 2)
TWO_SEEDS = with_settings(TINY, ITEM, GRID)
"""Intervals need two seeds; the smoke section has one."""


def outcome(spec, gain=EB_GAIN):
    """Dense 70 %, soft 68 %; early tickets gain, late ones lose; costs in units of the dense training."""
    if isinstance(spec, Search):
        return Outcome(DENSE + 0.1 * spec.seed if spec.soft_ratio is None else 68.0, flops=100.0)
    seed = 0.1 * spec.ticket.search.seed
    if spec.ticket.at == "eb":
        fresh = spec.init == "reinit"
        return Outcome(DENSE + seed + (-3 if fresh else gain), flops=150.0 if fresh else 80.0)
    return Outcome(DENSE + seed + SLIMMING_GAIN, flops=180.0)


def made(root, scale=TINY, outcomes=outcome, **more):
    write(Store(root), EXPERIMENTS.load(ITEM).runs(scale), outcomes, **more)
    return tabulated(ITEM, scale, root)


def test_the_paper_scale_is_the_papers_protocol():
    runs = runs_of(load_scale("paper"), "resnet18", 0)
    recipe = Recipe(epochs=90, milestones=(30, 60), augment="imagenet")
    search = Search("resnet18", "imagenet", recipe, precision="bf16")
    early, late = Ticket(search, 0.3, "eb"), Ticket(search, 0.3, "final")
    how = {"recipe": recipe, "precision": "bf16"}
    soft = replace(search, recipe=replace(recipe, l1=0.0), soft_ratio=0.3)
    assert {k: v for k, v in runs.items() if k[1] != 0.1} == {
        ("Unpruned", 0.0): search,
        ("Network Slimming", 0.3): Retrain(late, **how),
        ("EB Train", 0.3): Retrain(early, schedule="continue", **how),
        ("EB Train (re-init)", 0.3): Retrain(early, init="reinit", **how),
        ("SFP", 0.3): Ticket(soft, 0.3, "final", "soft"),
    }
    fifty = [s for s in runs_of(load_scale("paper"), "resnet50", 0).values() if isinstance(s, Retrain)]
    assert {(s.recipe.l1, s.ticket.search.recipe.l1) for s in fifty} == {(0.0, 1e-4)}


@pytest.mark.parametrize("name", ["smoke", "quick"])
def test_reduced_scales_need_no_imagenet(name):
    runs = Plan(EXPERIMENTS.load(ITEM).runs(load_scale(name))).runs.values()
    assert {s.dataset for s in runs if isinstance(s, Search)} == {"folders"}


def test_rows_are_against_the_unpruned_network_of_their_seed(tmp_path):
    table = made(tmp_path, TWO_SEEDS)
    assert len(table) == 2 * 2 * 8
    rows = table[(table.model == "resnet18") & (table.seed == 1)].set_index(["method", "ratio"])
    assert rows.last_accuracy["Unpruned", 0.0] == pytest.approx(70.1)
    assert rows.last_delta["EB Train", 0.3] == pytest.approx(EB_GAIN)
    assert rows.last_delta["Network Slimming", 0.1] == pytest.approx(SLIMMING_GAIN)
    assert rows.flops_ratio.to_dict() == pytest.approx(
        {
            ("Unpruned", 0.0): 1.0,
            ("Network Slimming", 0.1): 1.8,
            ("Network Slimming", 0.3): 1.8,
            ("SFP", 0.3): 1.0,  # soft pruning trains the dense network
            ("EB Train", 0.1): 0.8,
            ("EB Train", 0.3): 0.8,
            ("EB Train (re-init)", 0.1): 1.5,
            ("EB Train (re-init)", 0.3): 1.5,
        }
    )
    assert rows.last_accuracy["SFP", 0.3] == 68.0  # of its own search
    assert rows.epoch["SFP", 0.3] == rows.epoch["Network Slimming", 0.3] == 8


def test_a_ticket_that_never_emerges_is_a_row_without_numbers(tmp_path):
    table = made(tmp_path, TWO_SEEDS, emergence=lambda _: None)
    rows = table[table.method == "EB Train"]
    assert set(rows.status) == {"no-ticket"}
    assert rows[["last_accuracy", "training_flops", "last_delta"]].isna().all(axis=None)
    verdicts = {name: claim.verdict for name, claim in claims(ITEM, TWO_SEEDS, table).items()}
    assert set(verdicts.values()) == {NOT_RUN}


@pytest.mark.parametrize(
    ("gain", "matches", "beats"),
    # The margin is 1 point.
    [(0.5, SUPPORTED, SUPPORTED), (-0.9, SUPPORTED, NOT_SUPPORTED), (-1.1, NOT_SUPPORTED, NOT_SUPPORTED)],
)
def test_accuracy_claims_follow_the_outcomes(tmp_path, gain, matches, beats):
    scale = replace(TWO_SEEDS, datasets=TINY.datasets | {"imagenet": {"name": "folders", "test_size": 200}})
    table = made(tmp_path, scale, lambda spec: outcome(spec, gain))
    found = claims(ITEM, scale, table)
    assert found["imagenet-eb-train-matches-dense"].verdict == matches
    assert found["imagenet-eb-train-beats-slimming"].verdict == beats
    assert found["imagenet-eb-train-costs-less"].verdict == SUPPORTED
    assert "55.6 to 55.6 %" in found["imagenet-eb-train-costs-less"].evidence  # 1 - 80 / 180


def test_one_seed_judges_no_accuracy(tmp_path):
    found = claims(ITEM, TINY, made(tmp_path))
    assert found["imagenet-eb-train-matches-dense"].verdict == INCONCLUSIVE
    assert found["imagenet-eb-train-beats-slimming"].verdict == INCONCLUSIVE


def test_one_dearer_run_refutes_the_cost_claim(tmp_path):
    def dear(spec):
        found = outcome(spec)
        early = isinstance(spec, Retrain) and spec.schedule == "continue"
        return replace(found, flops=181.0) if early and spec.ticket.ratio == 0.7 else found

    assert (
        claims(ITEM, TWO_SEEDS, made(tmp_path, TWO_SEEDS, outcomes=dear))["imagenet-eb-train-costs-less"].verdict
        == NOT_SUPPORTED
    )


def test_cells_print_the_table_and_leave_what_was_not_found_blank(tmp_path):
    scale = with_settings(COMPARABLE, ITEM, GRID)
    cells = {c.cell: c for c in EXPERIMENTS.load(ITEM).cells(scale, made(tmp_path, scale))}
    eb = cells["ResNet18 ImageNet: EB Train, ratio 0.3, top-1"]
    assert (eb.published, eb.measured.n) == (68.28, 2)
    assert eb.measured.mean == pytest.approx(DENSE + 0.05 + EB_GAIN + 1)  # best is one above last
    assert cells["ResNet18 ImageNet: EB Train, ratio 0.1, top-1 minus unpruned"].published == 0.27
    assert cells["ResNet18 ImageNet: EB Train, ratio 0.1, top-1 minus unpruned"].measured.mean == pytest.approx(EB_GAIN)
    assert cells["ResNet18 ImageNet: SFP, ratio 0.3, training FLOPs"].published == 1991.94
    blank = [c for name, c in cells.items() if name.startswith("ResNet50") or "re-init" in name]
    assert len(blank) > 30
    assert all(math.isnan(c.published) and c.source == "not found" for c in blank)
    saved = cells["ResNet18 and ResNet50 ImageNet: training FLOPs saved against network slimming, least"]
    assert (saved.published, saved.measured.mean) == (51.5, pytest.approx(100 * (1 - 80 / 180)))


def test_energy_is_measured_or_blank_and_compared_where_it_is(tmp_path):
    table = made(tmp_path, COMPARABLE)
    names = [
        f"ResNet18 and ResNet50 ImageNet: training energy saved against network slimming, {n}, measured"
        for n in ("least", "most")
    ]
    blank = {c.cell: c for c in EXPERIMENTS.load(ITEM).cells(COMPARABLE, table)}
    assert [(blank[n].published, blank[n].measured.n) for n in names] == [(46.5, 0), (70.9, 0)]
    table["energy_measured_kj"] = 10.0
    table.loc[table.method == "Network Slimming", "energy_measured_kj"] = 20.0
    table.loc[(table.method == "Network Slimming") & (table.model == "resnet50"), "energy_measured_kj"] = 40.0
    cells = {c.cell: c for c in EXPERIMENTS.load(ITEM).cells(COMPARABLE, table)}
    assert [cells[n].measured.mean for n in names] == [50.0, 75.0]


def test_every_row_says_which_run_it_is_of():
    runs = runs_of(TINY, "resnet50", 0)
    assert parents(runs["SFP", 0.3])[0].soft_ratio == 0.3
    assert len(set(map(id, runs.values()))) == len(runs) == 8

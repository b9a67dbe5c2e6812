"""Tables, cells and claims of when_to_prune, on records whose outcomes are chosen here."""

import math
import os

import numpy as np
import pytest
from synthetic import FULL, TINY, claims, drawn, tabulated, trained, turning, write, write_scores
from synthetic import Outcome as Ended

from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.common.experiment import INCONCLUSIVE, NOT_RUN, NOT_SUPPORTED, SUPPORTED
from ebreplicate.experiments.common.verdicts import cell_verdict
from ebreplicate.experiments.when_to_prune.claims import gaps, oracle
from ebreplicate.experiments.when_to_prune.runs import Grid, retrains, series
from ebreplicate.specs.graph import Plan
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import Retrain, Search, Ticket, key
from ebreplicate.store.store import Store

ITEM = "when_to_prune"
WIDTHS = [4, 6]


@pytest.fixture(autouse=True)
def _wider_grid(monkeypatch):
    """Two seeds, one panel row, one ratio of Figure 1, Taylor's own oracle; and fast writes."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    wider, of_file = Grid(2, ("cifar10",), (0.5,), (1, 160), True), Scale.grid
    monkeypatch.setattr(Scale, "grid", lambda self, item, kind: wider if item == ITEM else of_file(self, item, kind))


def measured(spec: Retrain) -> float:
    """Accuracy by draw: 60 at emergence, 62 at EPI, the grid rising from 50 at epoch 1 to 61 at the end."""
    at = spec.ticket.at
    named = {"eb": 60.0, "epi": 62.0}
    return named[at] if at in named else {1: 50.0, 3: 58.0, 8: 61.0}[at]


def everything(root, scale=FULL, accuracy=measured):
    write(Store(root), EXPERIMENTS.load(ITEM).runs(scale), lambda s: 65.0 if isinstance(s, Search) else accuracy(s))
    return tabulated(ITEM, scale, root)


def recorded_search(store, search, scores, taylor=None):
    """A finished search whose scores are real."""
    record = trained(Ended(50.0))
    record["metrics"]["bn_widths"] = WIDTHS
    store.write(search, record)
    write_scores(store, search, scores)
    if taylor is not None:
        np.save(store.folder(search) / "taylor.npy", taylor.astype(np.float32))


def test_by_magnitude_only_the_tickets_at_epi_are_not_shared():
    shared = {key(s) for i in ("fig1_existence", "detector_study") for s in EXPERIMENTS.load(i).runs(FULL)}
    own = {
        s.ticket.at for s in EXPERIMENTS.load(ITEM).runs(FULL) if key(s) not in shared and s.ticket.method != "taylor"
    }
    assert own == {"epi"}
    searches = {key(s) for s in Plan(EXPERIMENTS.load("fig1_existence").runs(FULL)).stage(Search)}
    plan = Plan(EXPERIMENTS.load(ITEM).runs(FULL))
    assert {key(s) for s in plan.stage(Search)} <= searches  # recording Taylor scores is not in the key
    assert all(plan.keep[key(s)].taylor for s in plan.stage(Search))
    assert {s.ticket.method for s in plan.stage(Retrain)} == {"slimming", "taylor"}


def test_gaps_and_oracle_by_hand(tmp_path):
    table = everything(tmp_path)
    for one in series(FULL):
        assert oracle(FULL, table, one) == {0: 61.0, 1: 61.0}
        assert gaps(FULL, table, one, "eb") == {0: 1.0, 1: 1.0}
        assert gaps(FULL, table, one, "epi") == {0: -1.0, 1: -1.0}
    cells = {c.cell.removeprefix("absolute gap to oracle, "): c for c in EXPERIMENTS.load(ITEM).cells(FULL, table)}
    assert cells["magnitude: mask distance"].measured.mean == 1.0
    assert cells["magnitude: EPI"].measured.mean == 1.0  # the absolute gap, as printed
    assert cells["magnitude: random epoch"].measured.mean == pytest.approx((11 + 3 + 0) / 3)
    assert cells["taylor: random epoch"].measured.mean == pytest.approx((11 + 0) / 2)
    assert cells["taylor: at init (FORCE/SNIP)"].measured.n == 0
    assert cells["magnitude: EPI"].published == 0.091
    assert math.isnan(cells["magnitude: mask distance"].published)
    assert cell_verdict(cells["magnitude: EPI"], comparable=True) == "context, not comparable"


def test_an_oracle_needs_every_draw_of_its_grid(tmp_path):
    write(
        Store(tmp_path),
        EXPERIMENTS.load(ITEM).runs(FULL),
        lambda s: None if isinstance(s, Retrain) and s.ticket.at == 8 and s.ticket.search.seed else 50.0,
    )
    table = tabulated(ITEM, FULL, tmp_path)
    assert {tuple(oracle(FULL, table, one)) for one in series(FULL)} == {(0,)}


@pytest.mark.parametrize(("at_epi", "verdict"), [(62.0, SUPPORTED), (60.5, SUPPORTED), (58.5, NOT_SUPPORTED)])
def test_claims_about_accuracy(tmp_path, at_epi, verdict):
    """The best draw has 61 %, the mask distance 60 %, and the margin is 1 point."""
    table = everything(tmp_path, accuracy=lambda s: at_epi if s.ticket.at == "epi" else measured(s))
    found = claims(ITEM, FULL, table)
    for name in ("epi-as-good-as-oracle", "epi-no-worse-than-distance-full", "epi-no-worse-than-distance-continue"):
        assert found[name].verdict == verdict, name
    assert found["gradient-as-good-as-magnitude"].verdict == SUPPORTED  # equal
    short = claims(ITEM, TINY, table)  # retrains shorter than searches: full retrains are not judged
    assert short["epi-no-worse-than-distance-full"].verdict == INCONCLUSIVE
    assert short["epi-no-worse-than-distance-continue"].verdict == verdict


def test_the_gradient_claim_sets_importances_against_each_other(tmp_path):
    worse = everything(tmp_path, accuracy=lambda s: measured(s) - 20 * (s.ticket.method == "taylor"))
    found = claims(ITEM, FULL, worse)
    assert found["gradient-as-good-as-magnitude"].verdict == NOT_SUPPORTED
    assert found["epi-as-good-as-oracle"].verdict == SUPPORTED


def test_a_table_needs_only_scores_to_say_where_the_indicators_fire(tmp_path):
    """Searches finished without Taylor scores: those rows are "not run", the others have their epochs."""
    store, search = Store(tmp_path), FULL.search("vgg16", "cifar10", 0)
    recorded_search(store, search, turning(99))
    table = tabulated(ITEM, FULL, tmp_path)
    here = table[(table.model == "vgg16") & (table.seed == 0)]
    tickets = here[here.draw != "curve"]
    assert set(tickets.status) == {NOT_RUN}
    known = tickets[tickets.importance == "magnitude"]
    assert known.scores_known.all()
    assert not tickets[tickets.importance == "taylor"].scores_known.any()
    # The mask of rising scores never changes: the untrained mask leaves the detector's queue after epoch 4.
    assert set(known[known.draw == "eb"].fires) == {5}
    assert set(known[known.draw == "epi"].fires) == {6}
    curve = here[here.draw == "curve"].set_index("epoch")
    assert set(curve.importance) == {"magnitude"}
    assert curve.epi.dropna().to_dict() == {6: 1.0, 7: 1.0, 8: 1.0}
    assert curve.distance.dropna().to_dict() == {4: 0.4, 5: 0.0, 6: 0.0, 7: 0.0, 8: 0.0}
    claim = claims(ITEM, FULL, table)["epi-fires-no-later"]
    assert (claim.verdict, claim.n) == (INCONCLUSIVE, 1)
    assert "-1.00 epochs" in claim.evidence


def test_an_indicator_that_never_fires_counts_as_the_end_of_the_search(tmp_path):
    """Another architecture in the last epochs, other channels throughout: by hand 8 against 6, and 5 against 8."""
    store = Store(tmp_path)
    up = np.array([9.0, 8, 1, 1, 7, 6, 5, 1, 1, 1])
    moving = np.stack([np.full(10, 0.5), *(np.concatenate([np.roll(up[:4], e), np.roll(up[4:], e)]) for e in range(8))])
    for seed in (0, 1):
        for model in ("vgg16", "preresnet101"):
            recorded_search(store, FULL.search(model, "cifar10", seed), moving, moving)
    table = tabulated(ITEM, FULL, tmp_path)
    assert table[table.draw == "eb"].fires.isna().all()
    assert set(table[table.draw == "epi"].fires) == {6}
    claim = claims(ITEM, FULL, table)["epi-fires-no-later"]
    assert claim.verdict == SUPPORTED
    assert claim.evidence.startswith("mask distance minus EPI: +2.00")


def test_what_an_indicator_did_not_find_is_no_ticket(tmp_path):
    store, one = Store(tmp_path), ("cifar10", "vgg16", 0.5, "taylor")
    spec = retrains(FULL, one, 0)["epi", "full"]
    assert spec.ticket == Ticket(FULL.search("vgg16", "cifar10", 0), 0.5, "epi", "taylor")
    store.write(spec.ticket, drawn(spec.ticket, None))
    store.write(spec, trained(Ended(None, "no-ticket")))
    table = tabulated(ITEM, FULL, tmp_path)
    row = table[(table.key == key(spec))].iloc[0]
    assert (row.status, math.isnan(row.last_accuracy)) == ("no-ticket", True)


@pytest.mark.parametrize("scores", [False, True])
def test_the_figure_is_drawn_with_and_without_runs(tmp_path, scores):
    if scores:
        for seed in (0, 1):
            recorded_search(Store(tmp_path), FULL.search("vgg16", "cifar10", seed), turning(4), turning(99))
    figure = EXPERIMENTS.load(ITEM).figure(FULL, tabulated(ITEM, FULL, tmp_path))
    titles = [axis.get_title().rpartition("\n")[2] for axis in figure.axes]
    # Only what has run has a plate: indicators of VGG16 on CIFAR-10, and no ticket.
    assert titles == (["channels by size of gamma", "channels by Taylor importance"] if scores else [""])

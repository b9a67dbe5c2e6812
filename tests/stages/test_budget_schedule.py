"""Scratch-E and Scratch-B, and ThiNet through the stages, on 60 digits."""

import pytest
import torch
from helpers import CPU, NOWHERE, TINY, tiny_search

from ebreplicate import cost, stages
from ebreplicate.data import arrays
from ebreplicate.models import build
from ebreplicate.pruning.channels import bn_widths, prunable_scores
from ebreplicate.pruning.methods.base import DrawContext
from ebreplicate.pruning.methods.thinet import thinet
from ebreplicate.runner.inputs import load_mask
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.spec import Recipe, Retrain, Ticket
from ebreplicate.stages.retrain import budget_recipe
from ebreplicate.store.store import Store

SEARCH = tiny_search()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("results"))
    stages.search(SEARCH, store, NOWHERE, CPU, Keep({3}))
    return store


@pytest.mark.parametrize(
    ("small", "epochs", "milestones"),
    [(1.0, 160, (80, 120)), (0.8, 200, (100, 150)), (0.5, 320, (160, 240)), (0.1, 320, (160, 240))],
)
def test_a_budget_buys_epochs_in_proportion_and_at_most_twice(small, epochs, milestones):
    recipe = budget_recipe(Recipe(), dense=1.0, small=small)
    assert (recipe.epochs, recipe.milestones) == (epochs, milestones)


def test_scratch_b_trains_longer_than_scratch_e_and_is_charged_for_it(store):
    ticket = Ticket(SEARCH, 0.5, "final")
    drawn = stages.draw(ticket, store)
    e, b = (
        stages.retrain(Retrain(ticket, TINY, init="reinit", schedule=s), store, NOWHERE, CPU)
        for s in ("full", "budget")
    )
    dense, small = (r["cost"]["forward_flops"]["authors"] for r in (store.read(SEARCH), drawn))
    longer = round(3 * min(2.0, dense / small))
    assert (e["metrics"]["epochs"], b["metrics"]["epochs"]) == (3, longer)
    assert longer > 3
    assert b["status"] == "ok"
    assert b["cost"]["retrain_flops"]["authors"] == pytest.approx(cost.training_flops(small, 60, longer))


def test_a_thinet_draw_sees_the_weights_of_its_epoch_and_training_images(store):
    ticket = Ticket(SEARCH, 0.5, "final", "thinet")
    record = stages.draw(ticket, store, NOWHERE)
    dense = build("vgg16", 10, 0.0625)
    dense.load_state_dict(torch.load(store.folder(SEARCH) / "weights" / "epoch_0003.pt", weights_only=True))
    seen = arrays.load("digits", NOWHERE, 60)
    x = torch.cat([x for x, _ in arrays.normalised(seen.train, seen)])
    context = DrawContext(prunable_scores(dense), bn_widths(dense), 0.5, SEARCH.seed, dense, images=lambda n: x[:n])
    mask = load_mask(ticket, store, sum(bn_widths(dense)))
    assert mask.equal(thinet(context))
    assert record["metrics"]["channels"] == [w // 2 for w in bn_widths(dense)]


def test_a_draw_has_the_weights_grown_again_that_it_needs(store):
    gone = min({1, 2} - {store.read(SEARCH)["metrics"]["best_epoch"]})  # the best epoch's weights are always kept
    path = store.folder(SEARCH) / "weights" / f"epoch_{gone:04d}.pt"
    assert not path.exists()
    assert stages.draw(Ticket(SEARCH, 0.5, gone, "thinet"), store, NOWHERE)["status"] == "ok"
    assert path.exists()

"""Runs, table, cells and claims of learned_precision, on records whose outcomes are chosen here."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import COMPARABLE, TINY, claims, empty_table, tabulated, write

from ebreplicate.errors import UserError
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.common.verdicts import cell_verdict
from ebreplicate.experiments.learned_precision.claims import LAYERS_DIFFER, RAISES_BITS
from ebreplicate.experiments.learned_precision.runs import (
    ARMS,
    CPT,
    LDP,
    LDP_COST,
    PFQ,
    PLAIN,
    STATIC_8,
    grid_of,
    planned,
)
from ebreplicate.experiments.learned_precision.table import BITS, TRAINING
from ebreplicate.specs.scale import load_scale
from ebreplicate.store.store import Store

ITEM = "learned_precision"
FIVE = replace(TINY, items={**TINY.items, ITEM: {**TINY.items[ITEM], "seeds": [0, 1, 2, 3, 4]}})
WORTH = {STATIC_8: 0.0, CPT: 0.5, PFQ: -3.0, LDP_COST: 0.4}


def accuracy(spec):
    """60 and the seed's own, by arm."""
    (arm,) = (run.arm for run in planned(FIVE) if run.spec == spec)
    return 60.0 + spec.seed + WORTH.get(arm, 0.0) + 0.05 * ((3 * spec.seed + len(arm)) % 4)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Every run finished; LDP ends at 4, 5, 6 and 7 bits."""
    root = tmp_path_factory.mktemp("results")
    store = Store(root)
    runs = planned(FIVE)
    write(store, [run.spec for run in runs], accuracy)
    for run in runs:
        if run.arm == LDP:
            bits = np.full((8, 3, 4), 3.0)
            bits[-1, 0] = [4, 5, 6, 7]
            path = store.folder(run.spec) / "bits.npy"
            path.unlink()  # written anew with a record that has its digest
            np.save(path, bits)
            record = store.read(run.spec)
            store.write(run.spec, {n: record[n] for n in ("status", "metrics", "cost", "provenance")})
    return tabulated(ITEM, FIVE, root)


def test_every_seed_has_every_arm_and_quick_has_those_of_its_claims():
    assert [run.arm for run in planned(load_scale("paper")) if run.seed == 0] == list(ARMS)
    quick = planned(load_scale("quick"))
    assert {(run.spec.seed, run.spec.evaluation) for run in quick} == {(s, "unseen") for s in range(5)}
    assert {run.arm for run in quick} == {STATIC_8, CPT, PFQ, LDP, LDP_COST}


def test_the_paper_scale_has_the_authors_steps():
    recipe = grid_of(load_scale("paper")).recipe
    steps = -(-50_000 // recipe.batch_size)
    assert [round(epochs * steps / 1000) for epochs in (recipe.epochs, *recipe.milestones)] == [64, 32, 48]


def test_an_unknown_arm_is_refused():
    with pytest.raises(UserError, match=r"Grid\.arms: unknown name 'CPD'"):
        replace(grid_of(FIVE), arms=("CPD",))


def test_the_table_has_trainings_with_their_cost_and_bits_of_the_first_seed(table):
    trained = table[table.kind == TRAINING]
    assert len(trained) == 5 * len(ARMS)
    assert set(trained[trained.arm == CPT].share) == {16 * 0.05}
    assert set(trained[trained.arm == PLAIN].share) == {16.0}
    bits = table[table.kind == BITS]
    assert set(bits.seed) == {0}
    assert set(bits.arm) == set(ARMS) - {PLAIN}
    assert bits[(bits.arm == LDP) & (bits.epoch == 8)].bits.tolist() == [4, 5, 6, 7]


def test_claims_follow_from_the_differences(table):
    found = claims(ITEM, FIVE, table)
    d = [accuracy_of(CPT, s) - accuracy_of(STATIC_8, s) for s in range(5)]
    assert found["cpt-matches-static"].found.difference.mean == pytest.approx(np.mean(d))
    assert found["cpt-matches-static"].verdict.startswith("supported")
    assert found["pfq-matches-static"].verdict == "not supported"
    assert found["ldp-matches-cpt"].verdict.startswith("supported")
    assert found[RAISES_BITS].found.difference.mean == 5.5 - 3
    assert found[LAYERS_DIFFER].found.difference.mean == 7 - 4 - 1
    assert found["ldp-costs-less"].kind == "cost"
    assert all("docs/learned-precision.md" in c.rule for c in found.values() if c.family)


def accuracy_of(arm, seed):
    return accuracy(next(run.spec for run in planned(FIVE) if (run.arm, run.seed) == (arm, seed)))


def test_printed_savings_agree_exactly_and_nothing_is_run_for_ldps_numbers():
    cells = EXPERIMENTS.load(ITEM).cells(COMPARABLE, empty_table(ITEM, COMPARABLE))
    words = {c.cell: cell_verdict(c, comparable=False) for c in cells}
    assert [c.published for c in cells if c.exact][:2] == [36.67, 30.04]
    assert [words[c.cell] for c in cells if c.exact] == ["agrees", "agrees", "no published value"]
    assert {words[name] for name in words if name.startswith("LDP")} == {"not run"}


def test_the_figure_draws_bits_by_layer_and_accuracy_by_cost(table):
    figure = EXPERIMENTS.load(ITEM).figure(FIVE, table)
    left = figure.axes[0]
    assert left.images[0].get_array().shape == (4, 8)
    assert {t.get_text() for t in figure.legends[0].get_texts()} == set(ARMS)


def test_the_figure_names_the_width_that_is_trained_here(table):
    """Quick's own width is not that of the scale's other items."""
    scale = load_scale("quick")
    figure = EXPERIMENTS.load(ITEM).figure(scale, table)
    assert figure.axes[2].get_title() == "VGG16 (1/8 width), 5,000 CIFAR-10 images"

"""The item of factorised layers: equal parameters, its table, and claims of records whose outcomes are chosen here."""

from dataclasses import replace

import pytest
import torch
from scipy.stats import ttest_1samp
from synthetic import TINY, Outcome, claims, empty_table, tabulated, trained

from ebreplicate.catalog import INFO
from ebreplicate.errors import UserError
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.common.verdicts import cell_verdict
from ebreplicate.experiments.factorised_layers.runs import (
    ARMS,
    BOTH,
    DENSE,
    FACTORISED,
    FD,
    LOW_RANK,
    NARROW,
    RIGL,
    SI,
    Grid,
    others,
    planned,
    weights,
)
from ebreplicate.models import build
from ebreplicate.models.factorised import factorise
from ebreplicate.specs.scale import load_scale
from ebreplicate.specs.spec import Search, Sparse
from ebreplicate.store.store import Store
from ebreplicate.training.sparse import SmallDense, target_counts

ITEM = "factorised_layers"
FIVE = replace(TINY, items={**TINY.items, ITEM: {**TINY.items[ITEM], "seeds": [0, 1, 2, 3, 4]}})
WORTH = {DENSE: 70, LOW_RANK: 60, SI: 59, FD: 58.5, BOTH: 62, "SI-ones & FD": 62, NARROW: 61, RIGL: 63}
NUCLEAR = {LOW_RANK: 2.0, SI: 3.0, FD: 5.0, BOTH: 4.0, "SI-ones & FD": 4.0}


def accuracy(run):
    """The arm's, a scatter of seeds that the arms share, and a little of its own."""
    return WORTH[run.arm] + run.seed + 0.1 * ((3 * run.seed + len(run.arm)) % 5)


def filled(root, scale=FIVE, outcome=accuracy):
    store = Store(root)
    for run in planned(scale):
        found = outcome(run)
        record = trained(found if isinstance(found, Outcome) else Outcome(found))
        if run.arm in FACTORISED:
            last = NUCLEAR[run.arm] + 0.1 * run.seed
            norms = {"nuclear_norm": [6.0, 5.5, last], "nuclear_bound": [7.0, 7.0, 7.0], "frobenius_norm": [1.0] * 3}
            record["metrics"] |= norms
        elif isinstance(run.spec, Sparse):
            record["metrics"] |= {"nnz": 1000, "width": 0.1 if run.arm == NARROW else run.spec.width}
        store.write(run.spec, record)
    return tabulated(ITEM, scale, root)


def size(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", ["tiny", "quick", "paper"])
def test_factorised_and_sparse_networks_have_equal_parameters_and_the_narrow_one_no_more(name):
    runs = {run.arm: run.spec for run in planned(TINY if name == "tiny" else load_scale(name))}
    dense, low, sparse = runs[DENSE], runs[LOW_RANK], runs[RIGL]
    classes = INFO[dense.dataset].classes
    with torch.device("meta"):
        full, narrow = (
            build("resnet20", classes, dense.width),
            build("resnet20", classes, SmallDense(runs[NARROW]).width()),
        )
        assert size(full) == weights(dense) + others(dense)
        kept = sum(target_counts(full, sparse).values())
    made = factorise(build("resnet20", classes, dense.width), low.factorised.rank)
    assert size(made) == weights(low) + others(low) == kept + others(dense)
    assert 0.85 * size(made) < size(narrow) <= size(made)
    if name == "paper":
        assert (size(full), size(made)) == (269_722, 63_850)


def test_quick_trains_eight_arms_of_five_seeds_by_one_recipe():
    runs = planned(load_scale("quick"))
    assert [run.arm for run in runs if run.seed == 3] == list(ARMS)
    assert {run.seed for run in runs} == {0, 1, 2, 3, 4}
    assert len({run.spec.recipe for run in runs}) == 1
    assert {(run.spec.evaluation, run.spec.train_images, run.spec.width) for run in runs} == {("unseen", 5000, 0.5)}
    arms = {(s.init, s.decay) for s in (r.spec.factorised for r in runs if isinstance(r.spec, Search)) if s}
    assert arms == set(FACTORISED.values())


def test_the_paper_scale_has_the_recipe_of_the_authors_code():
    recipe = planned(load_scale("paper"))[0].spec.recipe
    assert (recipe.epochs, recipe.batch_size, recipe.lr, recipe.milestones) == (200, 128, 0.1, (100, 150))
    assert (recipe.weight_decay, recipe.momentum, recipe.l1, recipe.nesterov) == (1e-4, 0.9, 0.0, False)


def test_a_grid_with_an_unknown_arm_is_refused():
    with pytest.raises(UserError, match=r"Grid\.arms: unknown name 'SI & FB'; did you mean 'SI & FD'"):
        Grid((0,), 0.1, ("SI & FB",), 1, FIVE.recipe)


def test_the_claims_are_what_another_test_of_the_same_numbers_says(tmp_path):
    table = filled(tmp_path)
    found = claims(ITEM, FIVE, table)
    by_arm = {arm: [accuracy(r) for r in planned(FIVE) if r.arm == arm] for arm in ARMS}
    d = [b - s - f + p for b, s, f, p in zip(*(by_arm[arm] for arm in (BOTH, SI, FD, LOW_RANK)), strict=True)]
    main = found["fnl-interaction"]
    assert main.found.difference.mean == pytest.approx(sum(d) / 5)
    assert main.found.p == main.p_holm == pytest.approx(ttest_1samp(d, 0).pvalue)  # a family of one
    assert (main.verdict, main.points_to, main.n) == ("supported", "for", 5)
    assert main.found.records == set(table[table.arm.isin([BOTH, SI, FD, LOW_RANK])].key)
    assert "docs/factorised-layers.md" in main.rule
    words = {name: claim.verdict.partition(",")[0] for name, claim in found.items()}
    assert words["fnl-both-beats-plain"] == words["fnl-alone-worse"] == words["fnl-ones"] == "supported"
    assert words["fnl-beats-sparse"] == "not supported"
    nuclear = found["fnl-nuclear-norm"]
    assert nuclear.found.difference.mean == pytest.approx(2.0)  # 4.5 - 2.5, whatever the accuracies are
    assert len({claim.family for claim in found.values()}) == 2


def test_a_diverged_run_decides_nothing_and_two_seeds_are_too_few(tmp_path):
    def one_diverges(run):
        return Outcome(None, "diverged") if (run.arm, run.seed) == (SI, 4) else accuracy(run)

    found = claims(ITEM, FIVE, filled(tmp_path / "one", outcome=one_diverges))
    assert {found[n].verdict for n in ("fnl-interaction", "fnl-alone-worse", "fnl-nuclear-norm")} == {"inconclusive"}
    assert found["fnl-interaction"].n == 4
    assert found["fnl-both-beats-plain"].n == 5
    assert {c.verdict for c in claims(ITEM, TINY, filled(tmp_path / "two", TINY)).values()} == {"too few seeds"}
    assert {c.verdict for c in claims(ITEM, TINY, empty_table(ITEM, TINY)).values()} == {"not run"}


def test_the_table_has_sizes_and_the_first_seeds_norms_by_epoch(tmp_path):
    table = filled(tmp_path)
    rows = table[table.epoch.notna()]
    assert set(rows.seed) == {0}
    assert [*rows[rows.arm == FD].nuclear_norm] == [6.0, 5.5, 5.0]
    runs = table[table.claim.isna() & table.epoch.isna()].groupby("arm").parameters.first()
    assert runs[LOW_RANK] == runs[BOTH] < runs[DENSE]
    assert runs[RIGL] == 1000 + 2 * (7 * 2 + 6 * 4 + 6 * 8) + 10
    assert runs[NARROW] == 1000 + 2 * (7 * 2 + 6 * 3 + 6 * 6) + 10


def test_the_second_hand_row_is_context_and_the_upstreams_network_is_compared(tmp_path):
    cells = {c.cell: c for c in EXPERIMENTS.load(ITEM).cells(FIVE, filled(tmp_path))}
    dense = cells.pop("ResNet-20, dense: test error")
    assert (dense.published, dense.measured.mean) == (8.27, pytest.approx(100 - 70 - 2 - 0.2 - 1))
    assert [c.published for c in cells.values()] == [94.49, 93.59, 92.52, 92.92, 94.34]
    assert {cell_verdict(c, comparable=True) for c in cells.values()} <= {"context, not comparable", "not run"}


def test_the_figure_has_an_arm_a_row_and_both_norms(tmp_path):
    table = filled(tmp_path)
    table["unseen_accuracy"] = table.last_accuracy
    left, right = EXPERIMENTS.load(ITEM).figure(FIVE, table).axes
    assert [t.get_text() for t in left.get_yticklabels()] == list(ARMS)
    assert len(left.containers) == len(ARMS)
    assert len(right.lines) == 2 * len(FACTORISED)
    only = table[table.arm == DENSE]
    assert "not run" in EXPERIMENTS.load(ITEM).figure(FIVE, only).axes[1].texts[0].get_text()

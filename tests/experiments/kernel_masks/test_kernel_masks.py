"""Runs, table, cells and claims of kernel_masks, on records whose outcomes are chosen here."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ttest_1samp
from synthetic import COMPARABLE, TINY, Outcome, claims, empty_table, tabulated, trained

from ebreplicate.catalog import ADAPTIONS, FINE_TUNING, KERNEL_ALL, KERNEL_BINARY, KERNEL_ZEROS, NORMS, PIGGYBACK, TASKS
from ebreplicate.errors import UserError
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.common import compared
from ebreplicate.experiments.common.compared import Compared
from ebreplicate.experiments.common.verdicts import cell_verdict
from ebreplicate.experiments.early_bird.runs import planned as early_bird
from ebreplicate.experiments.kernel_masks.claims import COMPARED
from ebreplicate.experiments.kernel_masks.runs import Grid, planned
from ebreplicate.specs.scale import load_scale
from ebreplicate.store.store import Store

ITEM = "kernel_masks"
FIVE = replace(TINY, seeds=(0, 1, 2, 3, 4), items={**TINY.items, ITEM: {**TINY.items[ITEM], "seeds": 5}})
WORTH = {PIGGYBACK: 3.0, KERNEL_BINARY: 1.0, KERNEL_ZEROS: 3.5, KERNEL_ALL: 1.0, NORMS: 0.0, FINE_TUNING: 6.0}
BITS = {PIGGYBACK: 900, KERNEL_BINARY: 100, KERNEL_ZEROS: 300, KERNEL_ALL: 3300, NORMS: 0, FINE_TUNING: 0}


def accuracy(run):
    """The arm's and the task's, a scatter of seeds that arms share, and a little of its own."""
    own = 0.1 * ((3 * run.seed + len(run.arm) + len(run.task)) % 5)
    return 60 + WORTH[run.arm] + 5 * (run.task == "digits-high") + run.seed + own


def filled(root, scale=FIVE, outcome=accuracy):
    store = Store(root)
    for run in planned(scale):
        found = outcome(run)
        if found is None:
            continue
        record = trained(found if isinstance(found, Outcome) else Outcome(found))
        bits = BITS[run.arm]
        record["metrics"] |= {"mask_entries": 100, "mask_zeros": 7, "mask_bits": bits, "task_bits": 5000 + bits}
        store.write(run.spec, record)
    return tabulated(ITEM, scale, root)


def test_quick_adapts_the_searches_of_early_bird_to_five_tasks_by_six_arms():
    scale = load_scale("quick")
    runs, searched = planned(scale), {run.spec for run in early_bird(scale) if run.arm == "dense"}
    assert len(runs) == 5 * 6 * 5
    assert {run.spec.backbone for run in runs} < searched
    assert {run.seed for run in runs} == {2, 3, 4, 5, 6} == {run.spec.backbone.seed for run in runs}
    assert [run.arm for run in runs if (run.seed, run.task) == (2, "cifar100-people")] == list(ADAPTIONS)
    names = list(TASKS)
    assert [names.index(run.task) + 1 for run in runs[:5]] == [1, 5, 10, 15, 20]
    assert {(run.spec.train_images, run.spec.test_images, run.spec.evaluation) for run in runs} == {
        (2500, 500, "unseen")
    }
    assert len({run.spec.recipe for run in runs}) == 1


def test_the_paper_scale_has_twenty_tasks_and_piggybacks_rate():
    runs = planned(load_scale("paper"))
    assert [run.task for run in runs[:20]] == list(TASKS)[:20]
    recipe = runs[0].spec.recipe
    assert (recipe.optimizer, recipe.lr, recipe.epochs, recipe.milestones) == ("adam", 1e-4, 100, (50,))
    assert (recipe.batch_size, recipe.weight_decay, recipe.l1) == (32, 0.0, 0.0)


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        (("digits-lo",), r"^Grid\.tasks: unknown name 'digits-lo'; did you mean 'digits-low'"),
        (("cifar100",), r"^Grid\.tasks: unknown name 'cifar100'"),
        ((), r"^Grid\.tasks: needs at least one task"),
        (("digits-low", "digits-low"), r"^Grid\.tasks: needs at least one task, and none twice"),
    ],
)
def test_a_task_that_does_not_exist_is_refused(tasks, said):
    with pytest.raises(UserError, match=said):
        Grid(1, tasks, FIVE.recipe)


def test_claims_are_paired_by_seed_over_the_mean_of_tasks(tmp_path):
    table = filled(tmp_path)
    found = claims(ITEM, FIVE, table)
    mean = {}
    for run in planned(FIVE):
        mean[run.arm, run.seed] = mean.get((run.arm, run.seed), 0) + accuracy(run) / 2
    d = [mean[KERNEL_ZEROS, s] - mean[KERNEL_BINARY, s] for s in range(5)]
    first = found["ksm-zeros-beats-binary"]
    assert first.found.difference.mean == pytest.approx(sum(d) / 5)
    assert first.found.p == pytest.approx(ttest_1samp(d, 0).pvalue)
    assert (first.verdict, first.n) == ("supported", 5)
    used = table[table.arm.isin([KERNEL_ZEROS, KERNEL_BINARY])]
    assert first.found.records == set(used.key)
    assert len(first.found.records) == 2 * 2 * 5
    words = {claim.name: found[claim.name].verdict.partition(",")[0] for claim in COMPARED}
    assert words["ksm-zeros-matches-piggyback"] == words["masks-beat-norms"] == "supported"
    assert words["ksm-all-matches-piggyback"] == words["ksm-near-fine-tuning"] == "not supported"
    assert words["ksm-all-beats-binary"] == "equivalent"
    assert len({found[claim.name].family for claim in COMPARED}) == 1
    bits = found["ksm-fewer-bits"]
    assert (bits.verdict, bits.kind, bits.family) == ("supported", "cost", "")
    assert bits.found.difference.mean == pytest.approx(100 * (1 - 300 / 900))


def test_the_margin_at_the_papers_scale_is_that_of_superclasses():
    found = claims(ITEM, COMPARABLE, empty_table(ITEM, COMPARABLE))
    assert [found[f"ksm-{name}"].found.bound for name in ("all-matches-piggyback", "near-fine-tuning")] == [-0.7, -0.7]


def test_a_missing_task_leaves_its_seed_out_and_a_diverged_one_decides_nothing(tmp_path):
    def lacking(run):
        return None if (run.arm, run.task, run.seed) == (KERNEL_ALL, "digits-high", 1) else accuracy(run)

    def diverging(run):
        one = (run.arm, run.task, run.seed) == (KERNEL_ALL, "digits-high", 1)
        return Outcome(None, "diverged") if one else accuracy(run)

    for name, outcome in (("lacking", lacking), ("diverging", diverging)):
        found = claims(ITEM, FIVE, filled(tmp_path / name, outcome=outcome))
        assert found["ksm-all-beats-binary"].n == 4
        assert found["ksm-zeros-beats-binary"].n == 5
    assert found["ksm-all-beats-binary"].verdict == "inconclusive"
    assert {c.verdict for c in claims(ITEM, TINY, empty_table(ITEM, TINY)).values()} == {"not run"}


def test_images_of_several_tasks_are_pooled_one_after_another(tmp_path):
    """Two tasks of different sizes and two seeds; their difference by hand, image by image."""
    store, rows, bits = Store(tmp_path), [], {}
    rng = np.random.default_rng(0)
    for run in planned(TINY):
        if run.arm not in (KERNEL_ALL, KERNEL_BINARY):
            continue
        correct = rng.integers(0, 2, 20 if run.task == "digits-low" else 11)
        bits.setdefault((run.arm, run.seed), []).extend(100 * correct)
        store.folder(run.spec).mkdir(parents=True)
        np.save(store.folder(run.spec) / "correct.npy", np.packbits(correct.astype(bool)))
        store.write(run.spec, trained(Outcome(50.0)))
        row = {**run._asdict(), "key": "k", "status": "ok", "unseen_accuracy": 50.0, "unseen_images": len(correct)}
        rows.append(row)
    claim = Compared("c", "", "", "better than", ((KERNEL_ALL, 1.0), (KERNEL_BINARY, -1.0)))
    found = [*compared.rows([claim], rows, store)]
    for row in found:
        difference = np.subtract(bits[KERNEL_ALL, row["seed"]], bits[KERNEL_BINARY, row["seed"]], dtype=float)
        assert row["difference"] == pytest.approx(difference.mean())
        assert row["image_count"] == 31
    assert [row["images"] for row in found] == ["unseen", "unseen"]


def test_the_cells_are_cpgs_for_orientation(tmp_path):
    cells = EXPERIMENTS.load(ITEM).cells(FIVE, filled(tmp_path))
    assert [cell.published for cell in cells] == [81.71, 81.71]
    assert {cell_verdict(cell, comparable=True) for cell in cells} == {"context, not comparable"}
    zeros = [accuracy(run) for run in planned(FIVE) if run.arm == KERNEL_ZEROS]
    assert cells[0].measured.mean == pytest.approx(sum(zeros) / len(zeros))


def test_the_figure_has_every_arm_by_task_and_against_its_bits(tmp_path):
    figure = EXPERIMENTS.load(ITEM).figure(FIVE, filled(tmp_path))
    left, right = figure.axes
    assert [t.get_text() for t in left.get_xticklabels()] == ["low", "high"]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == list(ADAPTIONS)
    assert len(right.containers) == len(ADAPTIONS)
    assert sorted({c.lines[0].get_xdata()[0] for c in right.containers}) == sorted({5000 + b for b in BITS.values()})

"""What snakemake would run, against counts made by hand, and what reading the Snakefile costs."""

import os
import subprocess
import sys

import pytest
from snake import ROOT, linked, planned, read

from ebreplicate.experiments.planner import requests
from ebreplicate.specs.graph import Plan
from ebreplicate.specs.scale import load_scale
from ebreplicate.specs.spec import Retrain, Search
from ebreplicate.store.store import Store

# Of the items below: searches of panels (Figure 1), of the low rate (Table 1), of Figure 3 beside them; retrains of
# Figure 1, of the low rate, and of the detector study: at emergence, and EB Train's continuation from there. What two
# items share is trained once: Table 1's high rate has draws of Figure 1. A ticket is no job: it is drawn by the job of
# its retrain, or by that of the table that reads it.
# Smoke: one ratio, two panels, VGG16 with two seeds and PreResNet20 with one. Figure 1 draws four times; the low rate
# has two draws of a seed a panel; of Figure 3, VGG16 on CIFAR-100 is in no panel.
# Quick: one panel, VGG16 on CIFAR-10, two ratios. Figure 1 draws four times with 5 seeds, EB Train has 6; the low rate
# has two draws and 5 seeds; Figure 3 has PreResNet20 besides, with 5 seeds.
# Paper: 4 panels, 3 ratios, 3 seeds. Figure 1 draws 13 times, the low rate 4 times at one ratio.
COUNTS = {
    "smoke": {"search": 3 + 2 + 2, "retrain": 3 * 4 + 2 * 2 + 3 * 2, "evaluate": 5},
    "quick": {"search": 6 + 5 + 5, "retrain": 5 * 2 * 4 + 6 * 2 + 5 * 2, "evaluate": 5},
    "paper": {"search": 4 * 3 + 4 * 3, "retrain": 4 * 3 * 3 * 13 + 4 * 4 * 3 + 2 * 4 * 3 * 3, "evaluate": 5},
}
ITEMS = ("fig1_existence", "fig3_mask_distance", "table1_schedules", "detector_study", "structural_costs")


def test_smoke_trains_each_run_of_its_items_once():  # its jobs: test_batches
    plan = Plan(requests(load_scale("smoke"), ITEMS))
    assert {"search": len(plan.stage(Search)), "retrain": len(plan.stage(Retrain)), "evaluate": 5} == COUNTS["smoke"]


def test_counts_written_out():
    jobs = [[COUNTS[scale][rule] for rule in ("search", "retrain")] for scale in COUNTS]
    assert jobs == [[7, 22], [16, 62], [24, 588]]


@pytest.mark.parametrize("scale", ["quick", "paper"])
def test_a_scale_plans_its_jobs_without_torch_and_writes_nothing(scale, tmp_path):
    blocked = tmp_path / "torch"  # on the path before the real one
    blocked.mkdir()
    (blocked / "__init__.py").write_text("open('imported', 'w'); raise ImportError('planning imports no torch')")
    targets = [f"results/tables/{scale}/{item}.csv" for item in ITEMS]
    done = read(linked(tmp_path), "-n", "--quiet", "rules", "--cores", "1", *targets)
    assert done.returncode == 0, done.stdout
    assert planned(done.stdout) == COUNTS[scale]
    assert not (tmp_path / "imported").exists()
    assert list((tmp_path / "results").iterdir()) == []
    assert not (tmp_path / "figures").exists()


# Two networks on CIFAR-100 with three seeds, and no retrain.
FIGURE_3 = {"search": 6, "evaluate": 1}
# A block of Table 2, three ratios and seeds. Searches in fp32 and bfp8; of the 13 methods SNIP is no retrain.
BLOCK = {"search": 2 * 3, "retrain": 12 * 3 * 3, "sparse": 3 * 3, "evaluate": 1}
# ResNet18 and ResNet50 trained densely and softly pruned; slimming, EB Train and new weights at two ratios.
# The ticket of a softly pruned network is not trained on: the table's job draws it.
TABLE_3 = {"search": 4, "retrain": 2 * 2 * 3, "evaluate": 1}


@pytest.mark.parametrize(
    ("targets", "jobs"),
    [
        (["figures/paper/fig3_mask_distance.svg"], FIGURE_3),
        # These have no run in common. The second is of another scale than the configured one.
        (
            ["figures/paper/table2_vgg16_cifar10.svg", "figures/quick/table3_imagenet.svg"],
            {rule: BLOCK[rule] + TABLE_3.get(rule, 0) for rule in BLOCK},
        ),
    ],
)
def test_a_figure_plans_its_own_runs_only(targets, jobs, tmp_path):
    done = read(linked(tmp_path), "-n", "--quiet", "rules", "--cores", "1", *targets)
    assert planned(done.stdout) == jobs


@pytest.mark.slow
def test_the_papers_scale_without_a_gpu_is_what_a_cpu_trains(tmp_path):
    """145 trainings of LeNet tickets, 25 of RigL and 35 of EarlyCroP on MNIST, a job a graph and seed; no VGG16."""
    asked = ["-n", "--quiet", "rules", "--cores", "1", "--config", "scale=paper"]
    batches = {f"train_paper_{graph}_s{seed}": 1 for graph in ("cora", "citeseer", "pubmed") for seed in range(10)}
    # The tests of the released network are the same at both scales, and are therefore in the job of the first.
    batches |= {f"train_{scale}_wann_s{seed}": 1 for scale in ("quick", "paper") for seed in range(5)}
    ours = {"search": 15, "retrain": 160, "sparse": 30, "evaluate": 8, "all": 1, **batches}
    project = linked(tmp_path)
    assert planned(read(project, *asked, "device=cpu").stdout) == ours
    named = planned(read(project, "cpu_paper", *asked, "device=cuda").stdout)
    assert named == {"cpu_paper": 1, **{rule: n for rule, n in ours.items() if rule != "all"}}


def test_a_block_that_a_scale_does_not_run_says_so(tmp_path):
    done = read(linked(tmp_path), "-n", "--cores", "1", "figures/quick/table2_preresnet101_cifar10.svg")
    assert done.returncode != 0
    assert "table2_preresnet101_cifar10: nothing of it is run at scale 'quick'" in done.stdout + (done.stderr or "")


def test_overrides_are_of_the_configured_scale_alone(tmp_path):
    targets = ["figures/quick/fig1_existence.svg", "figures/paper/fig3_mask_distance.svg"]
    overrides = ["--config", "scale=quick", "seeds=[7]", "draw_epochs=[20]"]
    done = read(linked(tmp_path), "-n", "--quiet", "rules", "--cores", "1", *targets, *overrides)
    # Quick, one seed: 1 panel, 2 ratios, one draw. Paper: 2 networks x 3 seeds.
    ours = {"search": 1 + 6, "retrain": 2}
    assert planned(done.stdout) == {**ours, "evaluate": 2}


def test_a_clone_makes_figures_of_the_runs_it_came_with(tmp_path):
    """After a clone there is no metadata, no dataset, and file times are arbitrary: here a run is older than all that
    it was made from."""
    store = Store(tmp_path / "results")
    target, overrides = "figures/quick/fig1_existence.svg", ["--config", "seeds=[0]"]
    for age, spec in enumerate(Plan(requests(load_scale("quick", {"seeds": [0]}))).runs.values()):
        path = store.record_path(spec)
        path.parent.mkdir(parents=True)
        path.write_text("{}")
        _touch(path, 2e9 - age)
    arguments = ["-n", "--quiet", "rules", "--cores", "1", target, *overrides, "scale=quick"]
    assert planned(read(linked(tmp_path), *arguments).stdout) == {"evaluate": 1}


def _touch(path, seconds):
    os.utime(path, (seconds, seconds))


@pytest.mark.slow  # `make lint` does the same
def test_lint_is_clean(tmp_path):
    done = read(linked(tmp_path), "--lint")
    assert done.returncode == 0
    assert "Congratulations, your workflow is in a good condition!" in done.stdout


@pytest.mark.slow  # so is this
def test_rules_are_formatted():
    done = subprocess.run(
        [sys.executable, "-m", "snakefmt", "--check", "Snakefile", "workflow"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr

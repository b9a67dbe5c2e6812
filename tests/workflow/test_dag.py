"""What snakemake would run, against counts made by hand, and what reading the Snakefile costs."""

import os
import subprocess
import sys

import pytest
from snake import ROOT, linked, planned, read

from ebreplicate.experiments.planner import requests
from ebreplicate.specs.graph import Plan
from ebreplicate.specs.scale import load_scale
from ebreplicate.store.store import Store

# P panels, each with R ratios (the paper has 2 datasets x 2 networks, 3 ratios). S seeds, D draw epochs.
#   searches   P x 2 learning-rate schedules x S, and those of Figure 3 that are in no panel
#   tickets    Figure 1:  P x R x (D + best) x S
#              Table 1:   P x 4 draws (10, 20, 40, final) x S of the low rate, at one ratio;
#                         of the high rate, those whose epoch Figure 1 does not draw: T x P x S
#              detector:  P x R x S at emergence
#   retrains   one a ticket, and EB Train's continuation at emergence: P x R x S more (at quick instead)
#   draws      no jobs: a ticket is drawn by the job of its retrain, or by that of the table that reads it.
# Smoke has two panels and one ratio; of Figure 3, VGG16 on CIFAR-100 is in no panel. It draws 1, 20 and 160 (its epochs
# 1, 2 and 8) and the best, but not 40 (its epoch 3; 10 is epoch 1): D = 4, T = 1.
# Quick has one panel, VGG16 on CIFAR-10: 5 seeds x 2 ratios x 4 draws in Figure 1, 8 seeds x 2 ratios of EB Train; of
# Table 1's low rate 5 searches with 2 draws; Figure 3 has the searches of PreResNet20 besides, 5 seeds.
# Paper has D = 13, with 10, 20, 40 and 160 in it.


def by_hand(panels, ratios, seeds, draws, apart, of_figure3):
    tickets = panels * ratios * draws * seeds + panels * (4 + apart) * seeds + panels * ratios * seeds
    jobs = {"search": 2 * panels * seeds + of_figure3, "retrain": tickets + panels * ratios * seeds}
    return jobs | {"tabulate": 5}


COUNTS = {
    "smoke": by_hand(panels=2, ratios=1, seeds=2, draws=4, apart=1, of_figure3=2),
    "quick": {"search": 8 + 5 + 5, "retrain": 5 * 2 * 4 + 8 * 2 + 5 * 2, "tabulate": 5},
    "paper": by_hand(panels=4, ratios=3, seeds=3, draws=13, apart=0, of_figure3=0),
}
ITEMS = ("fig1_existence", "fig3_mask_distance", "table1_schedules", "detector_study", "structural_costs")


def test_counts_written_out():
    jobs = [[COUNTS[scale][rule] for rule in ("search", "retrain")] for scale in COUNTS]
    assert jobs == [[10, 44], [18, 66], [24, 588]]


@pytest.mark.parametrize("scale", COUNTS)
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


@pytest.mark.parametrize(
    ("target", "jobs"),
    [
        # 2 networks on CIFAR-100 x 2 seeds, and no draw or retrain.
        ("figures/smoke/fig3_mask_distance.svg", {"search": 4, "tabulate": 1, "plot": 1}),
        # A path of another scale than the configured one.
        ("figures/quick/fig3_mask_distance.svg", {"search": 13, "tabulate": 1, "plot": 1}),
        # A block of Table 2. Searches in fp32 and bfp8; of the 13 methods SNIP is no retrain.
        ("figures/smoke/table2_vgg16_cifar10.svg", {"search": 2, "retrain": 12, "sparse": 1, "tabulate": 1, "plot": 1}),
        # Two networks, each trained densely and softly pruned; slimming, EB Train, new weights at two ratios.
        # The tickets of the two softly pruned networks are not trained on: the table's job draws them.
        ("figures/smoke/table3_imagenet.svg", {"search": 4, "retrain": 12, "tabulate": 1, "plot": 1}),
    ],
)
def test_a_figure_plans_its_own_runs_only(target, jobs, tmp_path):
    done = read(linked(tmp_path), "-n", "--quiet", "rules", "--cores", "1", target)
    assert planned(done.stdout) == jobs


def test_the_papers_scale_without_a_gpu_is_what_a_cpu_trains(tmp_path):
    """145 trainings of LeNet's tickets, 25 of RigL on MNIST, 1,130 runs over graphs; no VGG16."""
    asked = ["-n", "--quiet", "rules", "--cores", "1", "--config", "scale=paper"]
    ours = {"search": 10, "retrain": 140, "sparse": 20, "graph": 1130, "tabulate": 6, "plot": 6, "all": 1}
    project = linked(tmp_path)
    assert planned(read(project, *asked, "device=cpu").stdout) == ours
    named = planned(read(project, "cpu_paper", *asked, "device=cuda").stdout)
    assert named == {"cpu_paper": 1, **{rule: n for rule, n in ours.items() if rule != "all"}}


def test_a_block_that_a_scale_does_not_run_says_so(tmp_path):
    done = read(linked(tmp_path), "-n", "--cores", "1", "figures/quick/table2_preresnet101_cifar10.svg")
    assert done.returncode != 0
    assert "table2_preresnet101_cifar10: nothing of it is run at scale 'quick'" in done.stdout + (done.stderr or "")


def test_overrides_are_of_the_configured_scale_alone(tmp_path):
    targets = ["figures/smoke/fig1_existence.svg", "figures/paper/fig3_mask_distance.svg"]
    overrides = ["--config", "seeds=[7]", "draw_epochs=[20]"]
    done = read(linked(tmp_path), "-n", "--quiet", "rules", "--cores", "1", *targets, *overrides)
    # Smoke, one seed: 2 panels, 1 ratio, one draw and the best. Paper: 2 networks x 3 seeds.
    ours = {"search": 2 + 6, "retrain": 4}
    assert planned(done.stdout) == {**ours, "tabulate": 2, "plot": 2}


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
    assert planned(read(linked(tmp_path), *arguments).stdout) == {"tabulate": 1, "plot": 1}


def _touch(path, seconds):
    os.utime(path, (seconds, seconds))


@pytest.mark.slow  # `make lint` does the same
def test_lint_is_clean(tmp_path):
    done = read(linked(tmp_path), "--lint")
    assert done.returncode == 0
    assert "Congratulations, your workflow is in a good condition!" in done.stdout


def test_rules_are_formatted():
    done = subprocess.run(
        [sys.executable, "-m", "snakefmt", "--check", "Snakefile", "workflow"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr

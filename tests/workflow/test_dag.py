"""What snakemake would run, against counts made by hand, and what reading the Snakefile costs."""

import os
import subprocess
import sys

import pytest
from snake import ROOT, linked, planned, snakemake

from ebreplicate.plan.plan import Plan, requests
from ebreplicate.plan.scale import load_scale
from ebreplicate.records import Store

# Panels: 2 datasets x 2 networks, each with 3 ratios. S seeds, D draw epochs.
#   searches   4 panels x 2 learning-rate schedules x S
#   draws      Figure 1:  4 x 3 x (D + best) x S
#              Table 1:   4 x 4 draws (10, 20, 40, final) x S of the low rate, at one ratio;
#                         of the high rate, those whose epoch Figure 1 does not draw: T x 4 x S
#              detector:  4 x 3 x S at emergence
#   retrains   one a draw, and EB Train's continuation at emergence: 4 x 3 x S more
#   datasets   CIFAR-10 and CIFAR-100, except at smoke
# Smoke draws 1, 20 and 160 (its epochs 1, 2 and 8) but not 40 (its epoch 3; 10 is epoch 1): D = 3, T = 1. Quick draws
# 1, 20, 40 and 160 but not 10: D = 4, T = 1. Paper has D = 12, with 10, 20, 40 and 160 among them.


def by_hand(seeds, draws, apart, datasets):
    draw = 4 * 3 * (draws + 1) * seeds + 4 * 4 * seeds + apart * 4 * seeds + 4 * 3 * seeds
    jobs = {"search": 4 * 2 * seeds, "draw": draw, "retrain": draw + 4 * 3 * seeds}
    jobs |= {"tabulate": 6, "plot": 6, "compare": 1, "all": 1}
    return jobs | ({"dataset": datasets} if datasets else {})


def lottery(jobs, small, deep, seeds, deep_seeds):
    """With the lottery-ticket item's runs; `small` and `deep` are its networks' rounds.

    Small: a ticket and a random mask a round, trained rewound, with fresh weights, and at random. Deep: at three rates
    a ticket a round, trained rewound and with fresh weights; a fourth chain shares the high rate's first ticket.
    """
    more = {
        "search": len(small) * seeds + 3 * len(deep) * deep_seeds,
        "draw": 2 * sum(small) * seeds + sum(4 * k - 1 for k in deep) * deep_seeds,
        "retrain": 3 * sum(small) * seeds + 7 * sum(deep) * deep_seeds,
    }
    return jobs | {rule: jobs[rule] + count for rule, count in more.items()}


COUNTS = {
    "smoke": lottery(by_hand(2, 3, 1, 0), [2, 2], [2], 1, 1),
    "quick": lottery(by_hand(2, 4, 1, 2), [4, 3, 3], [2], 2, 1),
    "paper": lottery(by_hand(3, 12, 0, 3), [15, 12, 12, 12], [12, 11], 3, 3),
}


def test_counts_written_out():
    jobs = [[COUNTS[scale][rule] for rule in ("search", "draw", "retrain")] for scale in COUNTS]
    assert jobs == [[21, 175, 210], [25, 231, 282], [54, 1128, 1530]]


@pytest.mark.parametrize("scale", COUNTS)
def test_a_scale_plans_its_jobs_without_torch_and_writes_nothing(scale, tmp_path):
    blocked = tmp_path / "torch"  # on the path before the real one
    blocked.mkdir()
    (blocked / "__init__.py").write_text("open('imported', 'w'); raise ImportError('planning imports no torch')")
    done = snakemake(linked(tmp_path), "-n", "--quiet", "rules", "--cores", "1", "--config", f"scale={scale}")
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
        # A path of another scale than the configured one; CIFAR-100 is verified first.
        ("figures/quick/fig3_mask_distance.svg", {"dataset": 1, "search": 4, "tabulate": 1, "plot": 1}),
    ],
)
def test_a_figure_plans_its_own_runs_only(target, jobs, tmp_path):
    done = snakemake(linked(tmp_path), "-n", "--quiet", "rules", "--cores", "1", target)
    assert planned(done.stdout) == jobs


def test_overrides_are_of_the_configured_scale_alone(tmp_path):
    targets = ["figures/smoke/fig1_existence.svg", "figures/paper/fig3_mask_distance.svg"]
    overrides = ["--config", "seeds=[7]", "draw_epochs=[20]"]
    done = snakemake(linked(tmp_path), "-n", "--quiet", "rules", "--cores", "1", *targets, *overrides)
    # Smoke, one seed: 4 panels, 3 ratios, one draw and the best. Paper: 2 networks x 3 seeds.
    ours = {"search": 4 + 6, "draw": 24, "retrain": 24}
    assert planned(done.stdout) == {**ours, "dataset": 1, "tabulate": 2, "plot": 2}


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
    marker = tmp_path / "results" / "data" / "cifar10.verified"  # CIFAR-100 is not there at all
    marker.parent.mkdir()
    marker.write_text("")
    _touch(marker, 2e9 + 1)
    arguments = ["-n", "--quiet", "rules", "--cores", "1", target, *overrides, "scale=quick"]
    assert planned(snakemake(linked(tmp_path), *arguments).stdout) == {"tabulate": 1, "plot": 1}


def _touch(path, seconds):
    os.utime(path, (seconds, seconds))


def test_lint_is_clean(tmp_path):
    done = snakemake(linked(tmp_path), "--lint")
    assert done.returncode == 0
    assert "Congratulations, your workflow is in a good condition!" in done.stdout


def test_rules_are_formatted():
    done = subprocess.run(
        [sys.executable, "-m", "snakefmt", "--check", "Snakefile", "workflow"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr

"""`ebreplicate plan` says what `snakemake` would run."""

import re
from collections import Counter

import pytest

from ebreplicate.cli import main

# Smoke: runs of the counted items, as in test_dag.py; searches of 8 epochs, retrains of 3, EB Train's of at most 8.
#   with shared searches   7 searches, 22 - 3 retrains of 3 epochs and 3 of 8
#   without, one each    3 + 12 retrains of Figure 1, 3 searches of Figure 3, 8 retrains of Table 1, 3 + 3 at emergence
SHARED = 7 * 8 + 19 * 3 + 3 * 8
ALONE = 3 * 8 + 12 * (8 + 3) + 3 * 8 + 8 * (8 + 3) + 3 * (8 + 3) + 3 * (8 + 8)


@pytest.mark.usefixtures("counted_items")
def test_plan_prints_runs_and_what_sharing_saves(tmp_path, capsys):
    assert main(["plan", "--scale", "smoke", "--results", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert re.findall(r"^(\w+) +(\d+) runs, 0 done$", text, re.M) == [
        ("search", "7"),
        ("draw", "19"),
        ("retrain", "22"),
    ]
    assert f"training epochs: {SHARED} with shared searches, {ALONE:,} without ({ALONE / SHARED:.1f}x)" in text
    assert re.search(r"^estimated: +[\d.]+ (?:min|h) left of .* trial on this device, 1 CPU thread a run", text, re.M)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("counted_items")
def test_plan_takes_the_overrides_of_the_workflow(tmp_path, capsys):
    arguments = ["plan", "--runs", "--scale", "smoke", "--results", str(tmp_path)]
    assert main([*arguments, "--config", "seeds=[7]", "--config", "draw_epochs=[20]"]) == 0
    keys = [line.split("\t")[1] for line in capsys.readouterr().out.splitlines()]
    assert all("-s7-" in key for key in keys)
    # 5 searches; draws: 2 panels x 1 ratio x (one, best, emergence), and of Table 1 the final one of the high rate and
    # both of the low one; retrains of all, and EB Train's two.
    assert len(keys) == 5 + (6 + 2 * 1 + 2 * 2) + (6 + 2 + 2 * 1 + 2 * 2)


@pytest.mark.parametrize(
    ("items", "runs", "epochs"),
    [
        # VGG16 with 2 seeds, PreResNet20 with one, 8 epochs each.
        (["fig3_mask_distance"], {"search": 3}, (3 * 8, 3 * 8)),
        (["fig3_mask_distance", "fig3_mask_distance"], {"search": 3}, (3 * 8, 3 * 8)),
        # Figure 1 asks for 3 searches, that on CIFAR-100 among Figure 3's, and 12 retrains of 3 epochs.
        (
            ["fig3_mask_distance", "fig1_existence"],
            {"search": 5, "draw": 12, "retrain": 12},
            (5 * 8 + 12 * 3, 3 * 8 + 3 * 8 + 12 * (8 + 3)),
        ),
        (["structural_costs"], {}, (0, 0)),
    ],
)
def test_plan_of_some_items_is_theirs_alone(items, runs, epochs, tmp_path, capsys):
    arguments = ["plan", "--scale", "smoke", "--results", str(tmp_path), "--items", *items]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert {stage: int(n) for stage, n in re.findall(r"^(\w+) +(\d+) runs, 0 done$", text, re.M)} == runs
    shared, alone = epochs
    assert f"training epochs: {shared:,} with shared searches, {alone:,} without" in text
    assert main([*arguments, "--runs"]) == 0
    assert Counter(re.findall(r"^(\w+)\t", capsys.readouterr().out, re.M)) == runs


def test_plan_refuses_an_unknown_item(tmp_path, capsys):
    assert main(["plan", "--items", "fig1_existance", "--results", str(tmp_path)]) == 2
    assert "unknown name 'fig1_existance'; did you mean 'fig1_existence'?" in capsys.readouterr().err

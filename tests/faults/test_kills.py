"""SIGKILL at random moments of every stage, and before every call that changes a file: a restart loses nothing."""

import os
import random
import shutil

import pytest

from ebreplicate.store.store import Store
from faults.suite import (
    EARLY,
    FINAL,
    ITEM,
    OF_SMOKE,
    RETRAIN,
    SEARCH,
    SPARSE,
    fault,
    nothing_half,
    ok,
    same,
    training,
)

SEED = int(os.environ.get("EBREPLICATE_FAULTS_SEED", "0"))
SPECS = {"search": SEARCH, "draw": EARLY, "retrain": RETRAIN, "sparse": SPARSE}
COMMANDS = {
    **{name: training(spec, "results") for name, spec in SPECS.items()},
    "tabulate": ["tabulate", ITEM, *OF_SMOKE],
    "plot": ["plot", ITEM, *OF_SMOKE, "--output", "results/figure.svg"],
    "compare": ["compare", *OF_SMOKE],
}
KILLS = {"search": 14, "retrain": 12, "sparse": 12, "draw": 8, "tabulate": 6, "plot": 6, "compare": 6}
OUTPUTS = {
    "tabulate": [f"tables/smoke/{ITEM}.csv"],
    "plot": ["figure.svg"],
    "compare": ["comparison/smoke.csv", "comparison/smoke_claims.csv", "comparison/smoke.md"],
}


def undone(calm, folder, command):
    """A copy of the undisturbed project in which `command` has still to run."""
    shutil.copytree(calm, folder)
    results = folder / "results"
    if command in SPECS:
        shutil.rmtree(Store(results).folder(SPECS[command]))
    for name in OUTPUTS.get(command, ()):
        (results / name).unlink()
    return folder


@fault(
    "SIGKILL at a random moment (seeded, logged) of search, retrain, sparse, draw, tabulate, plot, compare",
    "the same command goes on; records, histories, scores, masks, weights, tables and figures are those of an "
    "undisturbed run, bit for bit",
)
@pytest.mark.parametrize("command", KILLS)
def test_killed_at_random_moments(forker, calm, tmp_path, figures, command):
    moments, kills, rounds = random.Random(f"{SEED}-{command}"), 0, 0
    usual = ok(forker.run(undone(calm, tmp_path / "timed", command), *COMMANDS[command]))["seconds"]
    while kills < KILLS[command]:
        rounds += 1
        project = undone(calm, tmp_path / f"round{rounds}", command)
        for _ in range(moments.randint(1, 4)):  # one run is killed more than once
            after = moments.uniform(0, usual)
            result = forker.run(project, *COMMANDS[command], kill_after=after)
            print(f"{command}: SIGKILL after {after:.3f} s of about {usual:.3f}: exit {result['code']}")
            nothing_half(project / "results", SPECS.values())
            if result["code"] == 0:
                break
            assert result["code"] == -9, result
            kills += 1
        ok(forker.run(project, *COMMANDS[command]))
        same(calm / "results", project / "results")
        shutil.rmtree(project)
    figures[command] = kills


@fault(
    "SIGKILL before each call that changes a file (open, fsync, rename, unlink, mkdir), one after the other",
    "as above, at every one of these moments",
)
@pytest.mark.parametrize("command", KILLS)
def test_killed_before_every_call_that_changes_a_file(forker, calm, tmp_path, figures, command):
    calls = ok(forker.run(undone(calm, tmp_path / "counted", command), *COMMANDS[command]))["calls"]
    step = max(1, calls // 40)  # a search makes the same calls every epoch
    points = sorted({*range(1, calls + 1, step), *range(max(1, calls - 20), calls + 1)})
    for point in points:
        project = undone(calm, tmp_path / f"point{point}", command)
        result = forker.run(project, *COMMANDS[command], crash=point)
        assert result["code"] == -9, result
        nothing_half(project / "results", SPECS.values())
        ok(forker.run(project, *COMMANDS[command]))
        same(calm / "results", project / "results")
        shutil.rmtree(project)
    figures[command] = len(points)


@fault(
    "SIGKILL of a finished run's command",
    "nothing to do: the record stays as it is",
)
def test_killed_after_the_end(forker, calm, tmp_path):
    project = shutil.copytree(calm, tmp_path / "project")
    for spec in (*SPECS.values(), FINAL):
        forker.run(project, *training(spec, "results"), kill_after=0.001)
        assert "already done" in ok(forker.run(project, *training(spec, "results")))["said"]
    same(calm / "results", project / "results")

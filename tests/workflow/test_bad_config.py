"""Bad configuration stops before any job, with one message that names the field.

A setting, a field of the scale, a path and a folder here, as Snakemake reads them; what else can be wrong with them is
in tests/experiments/test_jobs.py.
"""

import pytest
from snake import linked, read

NO_RUNS = "figures/smoke/structural_costs.svg"
"""What is asked for: should a bad value slip through, two quick jobs would run and no training."""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("scale=smok", "--config scale: unknown name 'smok'; did you mean 'smoke'? known: paper, quick, smoke"),
        ("seeds=[-1]", "smoke.yaml: seeds.0: '-1' is not of type 'integer'"),
        ("results='a;touch b'", "--config results: a folder's name here takes no space"),
        ("results=Snakefile/results", "results folder 'Snakefile/results': not writable (Not a directory)"),
    ],
)
def test_it_is_named_once_and_nothing_runs(given, message, tmp_path):
    done = read(linked(tmp_path), "--cores", "1", NO_RUNS, "--config", given)
    assert done.returncode != 0
    assert done.stdout.count(message) == 1
    assert "Traceback" not in done.stdout
    assert "job" not in done.stdout
    assert not (tmp_path / "figures").exists()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("figures/smoke/fig1_existance.svg", "unknown name 'fig1_existance'; did you mean 'fig1_existence'?"),
        ("results/comparison/quik.csv", "scale: unknown name 'quik'; did you mean 'quick'? known: paper, quick, smoke"),
    ],
)
def test_a_figure_or_scale_that_there_is_not_is_named_with_those_there_are(target, message, tmp_path):
    done = read(linked(tmp_path), "--cores", "1", target)
    assert done.returncode != 0
    assert done.stdout.count(message) == 1
    assert not (tmp_path / "results" / "runs").exists()

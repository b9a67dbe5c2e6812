"""What a dry run costs, in function calls: their number does not depend on what else the machine is doing."""

import pstats
import sys

import pytest
from snake import linked, planned, python

PER_JOB, IN_ALL = 4_500, 4_700_000
"""Calls for each job, and for reading the Snakefile, with a margin over what they are (4,247 and 4.0 million). The
4,608 jobs of the paper scale are then within 26 million; without this profiler they take 8 seconds on a shared core
of an EPYC (it should be 10)."""


def profiled(folder, target):
    """Function calls and jobs of a dry run."""
    arguments = ["-m", "cProfile", "-o", str(folder / "calls"), "-m", "snakemake", "-n", "--cores", "1", target]
    done = python(folder, *arguments)
    assert done.returncode == 0, done.stdout
    return pstats.Stats(str(folder / "calls")).total_calls, sum(planned(done.stdout).values())


@pytest.mark.slow
def test_a_job_costs_few_calls(tmp_path):
    folder = linked(tmp_path)
    none, one = profiled(folder, "results/tables/paper/structural_costs.csv")
    many, jobs = profiled(folder, "results/tables/paper/fig1_existence.csv")
    assert one == 1
    assert jobs > 400
    print(f"{none:,} calls to read the Snakefile, {(many - none) / (jobs - 1):,.0f} a job", file=sys.stderr)
    assert none < IN_ALL
    assert (many - none) / (jobs - 1) < PER_JOB

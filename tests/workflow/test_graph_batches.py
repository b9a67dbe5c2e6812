"""Graph runs share jobs, one a scale, graph and seed, which train what is missing and keep what they finished."""

import shutil

import pytest
from snake import ROOT, linked, planned, read, snakemake

from ebreplicate.experiments.gebt.runs import planned as graph_runs
from ebreplicate.experiments.jobs import graph_batches
from ebreplicate.specs.scale import load_scale
from ebreplicate.specs.spec import GraphTickets, Search, key
from ebreplicate.store.store import Store

RUNS = graph_runs(load_scale("smoke"))
TARGETS = [str(Store("results").record_path(run)) for run in RUNS]


def test_a_run_is_in_one_batch_that_of_the_first_scale_that_asks_for_it():
    a, b = (GraphTickets("cora", p, seed=1) for p in (0.1, 0.2))
    other = GraphTickets("cora", 0.1, seed=2)
    asked = {("smoke", "gebt"): [a, Search("vgg16", "digits")], ("paper", "gebt"): [a, b, other], ("paper", "x"): [b]}
    assert graph_batches(asked) == {"smoke_cora_s1": [a], "paper_cora_s1": [b], "paper_cora_s2": [other]}


def test_one_missing_run_plans_one_job_and_a_finished_batch_none(tmp_path):
    store = Store(tmp_path / "results")
    for run in RUNS[1:]:
        store.write(run, {"status": "ok", "metrics": {}, "cost": {}, "provenance": {}})
    arguments = ["-n", "--quiet", "rules", "--cores", "1", *TARGETS]
    assert planned(read(linked(tmp_path), *arguments).stdout) == {"graph_smoke_blocks_s0": 1}
    store.write(RUNS[0], {"status": "ok", "metrics": {}, "cost": {}, "provenance": {}})
    assert planned(read(tmp_path, *arguments).stdout) == {}


@pytest.mark.slow
def test_a_failed_batch_keeps_its_finished_runs_and_the_next_call_trains_the_rest(tmp_path):
    project, store = linked(tmp_path), Store(tmp_path / "results")
    (project / "profiles").symlink_to(ROOT / "profiles")
    *first, last = RUNS
    store.folder(last).parent.mkdir(parents=True)
    store.folder(last).write_text("where the folder of the run should be")
    failed = snakemake(project, "--cores", "1", TARGETS[-1])
    assert failed.returncode != 0
    before = [store.record_path(run).read_bytes() for run in first]
    store.folder(last).unlink()
    done = snakemake(project, "--cores", "1", TARGETS[-1])
    assert done.returncode == 0, done.stdout
    assert [store.record_path(run).read_bytes() for run in first] == before
    assert [f"{key(run)}: already done" in done.stdout for run in RUNS] == [True, True, False]
    assert store.read(last)["status"] == "ok"
    shutil.rmtree(project / ".snakemake")
    assert planned(read(project, "-n", "--quiet", "rules", "--cores", "1", *TARGETS).stdout) == {}

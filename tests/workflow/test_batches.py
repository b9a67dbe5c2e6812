"""Short trainings share jobs, which train what is missing and keep what they finished."""

import shutil

import pytest
import yaml
from snake import ROOT, linked, planned, read, snakemake

from ebreplicate.cli import main
from ebreplicate.experiments.gebt.runs import planned as graph_runs
from ebreplicate.experiments.jobs import asked, batches, sharing
from ebreplicate.specs.graph import Plan, trainings_before
from ebreplicate.specs.scale import load_scale
from ebreplicate.specs.spec import GraphTickets, Recipe, Search, Ticket, canonical, from_json, key
from ebreplicate.store.store import Store

RUNS = graph_runs(load_scale("smoke"))
TARGETS = [str(Store("results").record_path(run)) for run in RUNS]


def test_a_run_is_in_one_batch_that_of_the_first_scale_that_asks_for_it():
    a, b = (GraphTickets("cora", p, seed=1) for p in (0.1, 0.2))
    other = GraphTickets("cora", 0.1, seed=2)
    long = Search("vgg16", "cifar10")
    runs = {("smoke", "gebt"): [a], ("paper", "gebt"): [a, b, other], ("paper", "x"): [b, long]}
    assert batches(runs) == {"smoke_cora_s1": [a], "paper_cora_s1": [b], "paper_cora_s2": [other]}
    assert sharing({"smoke_cora_s1": [a], "smoke_fig1": [long]}) == [key(long)]


def test_every_training_of_smoke_is_in_one_batch_after_those_it_builds_on(tmp_path):
    runs = asked({**yaml.safe_load((ROOT / "workflow/config/config.yaml").read_text()), "results": str(tmp_path)})
    plan = Plan(spec for (scale, _), specs in runs.items() if scale == "smoke" for spec in specs)
    found = {name: specs for name, specs in batches(runs).items() if name.startswith("smoke_")}
    trained = [spec for specs in found.values() for spec in specs]
    assert sorted(map(key, trained)) == sorted(name for name, s in plan.runs.items() if not isinstance(s, Ticket))
    assert all(len(specs) <= load_scale("smoke").runs_per_job for specs in found.values())
    for specs in found.values():
        assert len({spec.stage for spec in specs}) == 1
        for at, spec in enumerate(specs):
            assert not set(map(key, specs[at:])) & set(map(key, trainings_before(spec)))


def test_runs_of_one_process_have_the_numbers_of_runs_apart(tmp_path):
    recipe = Recipe(epochs=2, batch_size=32, milestones=(), augment="none")
    specs = [
        canonical(Search("lenet300", "digits", recipe, seed=seed, width=0.1, train_size=100, test_size=50))
        for seed in (0, 1)
    ]
    assert main(["search", *specs, "--results", str(tmp_path / "together"), "--device", "cpu"]) == 0
    for spec in specs:
        assert main(["search", spec, "--results", str(tmp_path / "apart"), "--device", "cpu"]) == 0
    stores = [Store(tmp_path / name) for name in ("together", "apart")]
    together, apart = ([store.read(from_json(spec))["metrics"] for spec in specs] for store in stores)
    assert together == apart
    assert together[0]["last_train_loss"] != together[1]["last_train_loss"]


def test_several_runs_are_checked_before_the_first_is_trained(tmp_path, capsys):
    good = canonical(Search("lenet300", "digits"))
    assert main(["search", good, "nosuch", "--results", str(tmp_path)]) == 2
    assert "nosuch" in capsys.readouterr().err
    assert main(["search", good, good, "--processes", "2", "--results", str(tmp_path)]) == 2
    assert "--processes: of one run at a time, not of 2" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_one_missing_run_plans_one_job_and_a_finished_batch_none(tmp_path):
    store = Store(tmp_path / "results")
    for run in RUNS[1:]:
        store.write(run, {"status": "ok", "metrics": {}, "cost": {}, "provenance": {}})
    arguments = ["-n", "--quiet", "rules", "--cores", "1", *TARGETS]
    assert planned(read(linked(tmp_path), *arguments).stdout) == {"train_smoke_blocks_s0": 1}
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

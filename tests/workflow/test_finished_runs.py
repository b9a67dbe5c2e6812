"""Finished runs survive forced jobs, are forgotten on request, and each results folder has its own figures."""

import os

import pytest
from snake import ROOT, linked, planned, read, snakemake

from ebreplicate.cli import main
from ebreplicate.experiments.planner import requests
from ebreplicate.specs.graph import Plan
from ebreplicate.specs.scale import load_scale
from ebreplicate.specs.spec import Retrain, Ticket, key
from ebreplicate.store.store import Store, figures_root

SEED = {"seeds": [0]}
ITEM = "fig3_mask_distance"
RECORD = {
    "status": "ok",
    "metrics": {"epochs": 1, "last_accuracy": 50.0, "best_accuracy": 50.0},
    "cost": {"training_flops": {"authors": 1.0}, "seconds": 1.0},
    "provenance": {},
}
FIGURE = f"figures/smoke/{ITEM}.svg"
JOBS = dict.fromkeys(("train_smoke_fig1_existence_search", "train_smoke_fig3_mask_distance_search", "evaluate"), 1)


def finished(results):
    """Records of every run of Figure 3 at smoke, seed 0, and files where its table, figure and comparison would be."""
    store, specs = Store(results), list(Plan(requests(load_scale("smoke", SEED), [ITEM])).runs.values())
    for spec in specs:
        store.write(spec, RECORD)
    made = [results / f"tables/smoke/{ITEM}.csv", figures_root(results) / f"smoke/{ITEM}.svg"]
    made += [results / f"comparison/smoke{end}" for end in (".csv", "_claims.csv", ".md")]
    for path in made:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("made")
    return store, specs, made


@pytest.mark.slow
@pytest.mark.parametrize("status", ["ok", "damaged"])
def test_a_forced_job_leaves_the_finished_record_whether_it_ends_well_or_fails(status, tmp_path):
    store, (spec, *_), _ = finished(tmp_path / "results")
    store.write(spec, RECORD | {"status": status})
    record = store.record_path(spec)
    before = record.read_bytes()
    target = str(record.relative_to(tmp_path))
    done = snakemake(
        linked(tmp_path),
        "--cores",
        "1",
        "-R",
        "train_smoke_fig3_mask_distance_search",
        "--config",
        "seeds=[0]",
        "--",
        target,
    )
    assert (done.returncode == 0) == (status == "ok"), done.stdout
    assert ("already done (to train it again: ebreplicate forget" in done.stdout) == (status == "ok")
    assert record.read_bytes() == before


@pytest.mark.slow
def test_forgetting_a_run_has_it_and_its_figure_made_again(tmp_path, monkeypatch, capsys):
    _, specs, made = finished(tmp_path / "results")
    other = tmp_path / "results/tables/smoke/structural_costs.csv"
    other.write_text("of no run")
    monkeypatch.chdir(tmp_path)
    target = ["-n", "--quiet", "rules", "--cores", "1", FIGURE, "--config", "seeds=[0]"]
    assert main(["forget", key(specs[0])]) == 0
    assert capsys.readouterr().out.count("removed") == 6
    assert not any(path.exists() for path in made)
    assert other.is_file()
    assert [Store("results").done(spec) for spec in specs] == [False] + [True] * (len(specs) - 1)
    assert planned(read(linked(tmp_path), *target).stdout) == {
        "train_smoke_fig3_mask_distance_search": 1,
        "evaluate": 1,
    }


def test_other_names_of_a_forgotten_training_go_with_it(tmp_path, capsys):
    store, (search, *_), _ = finished(tmp_path / "results")
    trained, named, other = (Retrain(Ticket(search, 0.5, at), search.recipe) for at in (1, "eb", 2))
    for spec in (trained, other):
        store.write(spec, RECORD)
    store.write(named, RECORD | {"trained_as": key(trained)})
    assert main(["forget", key(named), "--results", str(store.root)]) == 0
    assert [store.done(spec) for spec in (trained, named, other)] == [True, False, True]
    store.write(named, RECORD | {"trained_as": key(trained)})
    capsys.readouterr()
    assert main(["forget", key(trained), "--results", str(store.root)]) == 0
    assert capsys.readouterr().out.splitlines() == [f"removed {store.folder(spec)}" for spec in (trained, named)]
    assert [store.done(spec) for spec in (trained, named, other)] == [False, False, True]


def test_a_run_that_there_is_not_or_that_is_being_trained_is_not_forgotten(tmp_path, capsys):
    store, specs, made = finished(tmp_path / "results")
    names = [key(spec) for spec in specs]
    assert main(["forget", names[0], names[1] + "x", "--results", str(tmp_path / "results")]) == 2
    assert f"has none called '{names[1]}x'; did you mean '{names[1]}'?" in capsys.readouterr().err
    with store.claim(specs[0]):
        assert main(["forget", names[0], "--results", str(tmp_path / "results")]) == 2
    assert "another process is training" in capsys.readouterr().err
    assert all(store.done(spec) for spec in specs)
    assert all(path.exists() for path in made)


@pytest.mark.slow
def test_figures_of_another_results_folder_are_in_it(tmp_path):
    (tmp_path / "results").mkdir()
    project, arguments = linked(tmp_path), ["-n", "--cores", "1", "--quiet", "rules", "--config"]
    done = read(project, *arguments, "results=OUT/o", "seeds=[0]", "--", f"OUT/o/{FIGURE}")
    assert planned(done.stdout) == JOBS
    assert read(project, *arguments, "results=OUT/o", "seeds=[0]", "--", FIGURE).returncode != 0
    roots = [str(figures_root(tmp_path / r)) for r in ("results", "other", "OUT/results")]
    assert roots == [str(tmp_path / f) for f in ("figures", "other/figures", "OUT/figures")]


@pytest.mark.slow
def test_a_home_folder_is_the_users(tmp_path):
    arguments = ["-n", "-p", "--cores", "1", "--config", "seeds=[0]", "results=~/r", "data=~/d"]
    target = f"{tmp_path}/home/r/{FIGURE}"
    done = snakemake(linked(tmp_path), *arguments, "--", target, HOME=str(tmp_path / "home"))
    assert f"tee {tmp_path}/home/r/logs/batches/" in done.stdout
    assert not (tmp_path / "~").exists()


@pytest.mark.slow
def test_without_imagenet_its_runs_are_left_out_and_the_item_is_made_of_the_rest(tmp_path):
    arguments = ["-n", "--cores", "1", "--quiet", "rules", "--", "results/tables/paper/table3_imagenet.csv"]
    assert planned(read(linked(tmp_path), *arguments).stdout) == {"evaluate": 1}
    (tmp_path / "data" / "imagenet" / "train").mkdir(parents=True)
    jobs = planned(read(tmp_path, *arguments).stdout)
    assert jobs["search"] > 0
    assert jobs["retrain"] > 0


@pytest.mark.slow
def test_snakemake_works_in_another_directory(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    arguments = ["-n", "--cores", "1", "--quiet", "rules", "--config", "seeds=[0]", "--", FIGURE]
    done = read(tmp_path, "--snakefile", os.path.join(ROOT, "Snakefile"), "--directory", str(work), *arguments)
    assert planned(done.stdout) == JOBS

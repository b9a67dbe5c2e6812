"""What the workflow asks the package: settings, which trainings come first, and what a machine leaves out."""

import re
import subprocess
from pathlib import Path

import pytest

from ebreplicate.errors import UserError
from ebreplicate.experiments import jobs
from ebreplicate.experiments.planner import requests
from ebreplicate.specs.graph import Plan
from ebreplicate.specs.scale import SCALES, load_scale
from ebreplicate.specs.spec import GraphTickets, Retrain, Search, Ticket, key
from ebreplicate.store.store import Store

ROOT = Path(__file__).parents[2]
CONFIG = {"scale": "paper", "results": "results", "data": "data", "device": "cuda", "threads": 1, "processes": 1}
IMAGES = Search("resnet18", "imagenet")
VGG = Search("vgg16", "cifar10")


def test_earlier_seeds_come_first_then_vgg16_then_ten_classes_then_what_ends_a_figure():
    order = [
        Retrain(Ticket(VGG, 0.5, 10)),
        VGG,
        Search("vgg16", "cifar100"),
        Search("preresnet101", "cifar10"),
        GraphTickets("cora", seed=1),
        Search("vgg16", "cifar10", seed=2),
    ]
    found = [jobs.priority(spec) for spec in order]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == len(found)
    assert found[0] == 0


def test_runs_on_imagenet_wait_for_its_images_unless_they_are_finished(tmp_path):
    config = CONFIG | {"results": str(tmp_path / "results"), "data": str(tmp_path)}
    assert jobs.trainable([VGG, IMAGES], config) == [VGG]
    (tmp_path / "imagenet" / "train").mkdir(parents=True)
    assert jobs.trainable([VGG, IMAGES], config) == [VGG, IMAGES]
    (tmp_path / "imagenet" / "train").rmdir()
    Store(config["results"]).write(IMAGES, {"status": "ok", "metrics": {}, "cost": {}, "provenance": {}})
    assert jobs.trainable([VGG, IMAGES], config) == [VGG, IMAGES]


def test_what_a_machine_leaves_out_is_said_in_one_line(tmp_path):
    config = CONFIG | {"results": str(tmp_path / "results"), "data": str(tmp_path)}
    asked = {("paper", "table3_imagenet"): requests(load_scale("paper"), ["table3_imagenet"])}
    asked = {("paper", item): [] for item in jobs.ITEMS} | asked
    runs = len(Plan(asked["paper", "table3_imagenet"]).runs)
    assert jobs.left_out(config, asked).startswith(f"no ImageNet in {tmp_path}/imagenet/train: {runs} of its runs")
    assert jobs.left_out(config | {"device": "cpu"}, asked).startswith("no GPU: only what a CPU can train")
    (tmp_path / "imagenet" / "train").mkdir(parents=True)
    assert jobs.left_out(config, asked) == ""


def test_the_first_line_says_how_many_trainings_are_left(tmp_path):
    config = CONFIG | {"scale": "quick", "results": str(tmp_path), "data": str(tmp_path)}
    asked = {("quick", item): [] for item in jobs.ITEMS} | {("quick", "table2"): [VGG, Retrain(Ticket(VGG, 0.5, 10))]}
    said = jobs.ahead(config, asked)  # the ticket is no training of its own
    assert said.startswith("scale quick: 2 of its 2 trainings are left")
    Store(tmp_path).write(VGG, {"status": "ok", "metrics": {}, "cost": {}, "provenance": {}})
    assert jobs.ahead(config, asked).startswith("scale quick: 1 of its 2 trainings are left")
    assert "plan --scale quick" in said


@pytest.mark.parametrize(
    ("device", "here", "taken"), [("auto", 0, 0), ("auto", 8, 1), ("cpu", 8, 0), ("cuda", 0, 1), ("cuda", 8, 1)]
)
def test_a_training_takes_one_gpu_where_there_is_one(device, here, taken, monkeypatch):
    monkeypatch.setattr(jobs, "gpus", lambda: here)
    assert jobs.gpus_of_a_training(CONFIG | {"device": device}) == taken


def test_seeds_from_a_command_line_are_numbers_and_other_text_is_left_for_the_schema():
    given = CONFIG | {"seeds": ["0", 1, "x", "-1"], "precision": "bf16"}
    assert jobs.overrides(given) == {"seeds": [0, 1, "x", "-1"], "precision": "bf16"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"device": "tpu"}, "--config device: unknown name 'tpu'"),
        ({"threads": 0}, "--config threads: must be at least 1, got 0"),
        ({"threads": "abc"}, "--config threads: expected int, got 'abc'"),
        ({"threads": True}, "--config threads: expected int, got True"),
        ({"processes": True}, "--config processes: expected int, got True"),
        ({"results": ""}, "--config results: is empty; leave it out for the default"),
        ({"data": ""}, "--config data: is empty; leave it out for the default"),
        ({"results": "a b"}, "--config results: a folder's name here takes no space"),
        ({"results": "{{run}}"}, "--config results: a folder's name here takes no space"),
        ({"results": '""'}, "--config results: a folder's name here takes no space"),
        ({"seed": 1}, "--config: unknown name 'seed'; did you mean 'seeds'"),
        ({"seeds": ["x"]}, "paper.yaml: seeds.0: 'x' is not of type 'integer'"),
        (
            {"draw_epochs": ["7"]},
            "paper.yaml: draw_epochs: 7 is unscheduled; add it to epochs, or use one of [1, 3, 5,",
        ),
        ({"compiled": 2}, "paper.yaml: compiled: 2 is not of type 'boolean'"),
    ],
)
def test_a_bad_setting_is_refused_by_its_name(given, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"^{re.escape(said)}"):
        jobs.asked(CONFIG | given)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def every_batch(tmp_path_factory):
    """The batches of all scales, by name."""
    return jobs.batches(jobs.asked(CONFIG | {"results": str(tmp_path_factory.mktemp("results"))}))


@pytest.mark.parametrize(
    ("scale", "arguments", "last"),
    [
        ("smoke", ["--cores", "all"], "smoke"),
        ("smoke", ["figures/quick/wann.svg"], "quick"),
        ("quick", ["results/runs/search/some/record.json"], "paper"),
        ("smoke", ["cpu_paper"], "paper"),
    ],
)
def test_a_command_plans_the_scales_up_to_the_last_that_it_needs(scale, arguments, last, every_batch, tmp_path):
    """So that its batches, in which a run of two scales is in that of the first, are those of every other command."""
    config = CONFIG | {"scale": scale, "results": str(tmp_path / "results")}
    runs = jobs.asked(config, arguments)
    assert list(dict.fromkeys(name for name, _ in runs)) == [*SCALES[: SCALES.index(last) + 1]]
    assert jobs.batches(runs).items() <= every_batch.items()


@pytest.mark.parametrize("scale", ["smoke", "quick", "paper"])
def test_git_ignores_the_runs_of_smoke_and_of_no_other_scale(scale):
    plan = Plan(requests(load_scale(scale)))
    records = {f"results/runs/{spec.stage}/{key(spec)}/record.json" for spec in plan.runs.values()}
    asked = ["git", "check-ignore", "--no-index", "--stdin"]
    answer = subprocess.run(asked, cwd=ROOT, input="\n".join(records), capture_output=True, text=True).stdout
    assert set(answer.split()) == (records if scale == "smoke" else set())

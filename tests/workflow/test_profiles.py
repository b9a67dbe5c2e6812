"""Profiles: who gets a GPU, how many jobs at once, and that each plans the workflow where its plugin is installed."""

import importlib.util
import shutil

import pytest
import yaml
from snake import ROOT, linked, planned, read, snakemake

from ebreplicate.specs.spec import STAGES, Alone, Ticket

PROFILES = sorted(path.name for path in (ROOT / "workflow" / "profiles").iterdir())
FIGURE = "figures/smoke/fig3_mask_distance.svg"


def profile(name):
    return yaml.safe_load((ROOT / "workflow" / "profiles" / name / "config.yaml").read_text())


def test_there_is_a_profile_for_each_kind_of_machine():
    assert PROFILES == ["multi-gpu", "one-gpu", "slurm"]


@pytest.mark.parametrize("name", PROFILES)
def test_every_training_rule_asks_for_one_gpu_and_no_other_rule_does(name):
    trains = [stage for stage, kind in STAGES.items() if not issubclass(kind, (Ticket, Alone))]
    asked = {rule: resources["gpu"] for rule, resources in profile(name)["set-resources"].items()}
    assert asked == dict.fromkeys(trains, 1)


def test_the_plain_command_trains_on_one_gpu_at_a_time():
    default = yaml.safe_load((ROOT / "profiles" / "default" / "config.yaml").read_text())
    assert default["resources"] == {"gpu": 1}
    assert default["keep-going"] is True


@pytest.mark.parametrize(("device", "asked"), [("cuda", True), ("cpu", False)])
def test_a_training_takes_a_gpu_where_it_trains_on_one(device, asked, tmp_path):
    done = read(linked(tmp_path), "-n", "--cores", "4", FIGURE, "--config", "seeds=[0]", f"device={device}")
    assert done.returncode == 0, done.stdout
    assert ("gpu=1" in done.stdout) == asked


def test_trainings_of_a_cluster_have_attempts_left_to_continue():
    assert profile("slurm")["retries"] >= 1


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_plans_a_figure(name, tmp_path):
    plugin = f"snakemake_executor_plugin_{profile(name).get('executor', 'local')}"
    if not plugin.endswith("local") and importlib.util.find_spec(plugin) is None:
        pytest.skip(f"{plugin} is not installed (`make cluster` installs what requirements-cluster.txt pins)")
    arguments = ["-n", "--quiet", "rules", "--workflow-profile", f"workflow/profiles/{name}", FIGURE]
    done = read(linked(tmp_path), *arguments, "--config", "seeds=[0]")
    assert done.returncode == 0, done.stdout
    searches = ("train_smoke_fig1_existence_search", "train_smoke_fig3_mask_distance_search")
    assert planned(done.stdout) == dict.fromkeys((*searches, "evaluate"), 1)


TOY = """
rule all:
    input: expand("{rule}{n}", rule=["search", "retrain"], n=range(5))
"""
for rule in ("search", "retrain"):
    TOY += f"""
rule {rule}:
    output: "{rule}{{n}}"
    shell: "echo 1 >> ledger; sleep 0.4; echo -1 >> ledger; touch {{output}}"
"""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "more", "most"), [("one-gpu", [], 1), ("multi-gpu", ["--resources", "gpu=3"], 3)])
def test_snakemake_starts_no_more_trainings_than_there_are_gpus(name, more, most, tmp_path):
    (tmp_path / "Snakefile").write_text(TOY)
    shutil.copytree(ROOT / "workflow" / "profiles" / name, tmp_path / "profile")
    arguments = ["--workflow-profile", "profile", "--cores", "8", "--set-threads", "search=1", *more]
    done = snakemake(tmp_path, *arguments)
    assert done.returncode == 0, done.stdout
    steps = [int(line) for line in (tmp_path / "ledger").read_text().split()]
    at_once = [sum(steps[: i + 1]) for i in range(len(steps))]
    assert len(steps) == 20
    assert max(at_once) == most

"""The SLURM profile on a real cluster of one node, which the test starts: GPUs asked for, time limits, preemption.

Minutes: `pytest -m slow tests/cluster`. Needs Debian's slurm-wlm and munge, and what requirements-cluster.txt pins.
"""

import contextlib
import csv
import importlib.util
import json
import os
import re
import subprocess
import sys

import pytest
import slurm as slurm_cluster
from slurm import until
from smoke import SMOKE
from snake import ROOT, copied

from ebreplicate.specs.spec import Recipe, Retrain, Search, Ticket, canonical, key
from ebreplicate.store.store import Store

pytestmark = pytest.mark.slow

PROFILE = ("--profile", "workflow/profiles/slurm")
# Here there is no accounting database to ask, and nothing to spare a controller or a file server for.
LOCAL = ("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5")
FIGURE = "figures/smoke/fig3_mask_distance.svg"
GRACE = 25
LONG = 3000
"""Seconds for what takes a minute or five on a machine that is otherwise idle."""


def recipe(epochs):
    return Recipe(epochs, 20, 0.1, (2,), augment="none")


def retrain_of(epochs):
    """What a retrain at epoch 2 of a search of `epochs` epochs is called at SMOKE."""
    search = Search("vgg16", "digits100", recipe(epochs), 0, 0.0625, train_size=100, test_size=100)
    return Retrain(Ticket(search, 0.3, 2), Recipe(1, 20, 0.1, (), augment="none"))


@pytest.fixture(scope="module")
def slurm():
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("snakemake-executor-plugin-slurm is not installed (requirements-cluster.txt)")
    reason = slurm_cluster.missing()
    if reason:
        pytest.skip(reason)
    with contextlib.ExitStack() as stack:
        try:
            started = stack.enter_context(slurm_cluster.cluster(gpus=2, grace=GRACE))
        except RuntimeError as e:
            pytest.skip(str(e))
        yield started


@contextlib.contextmanager
def started(command, folder, environment, output):
    """A process in `folder` that ends with the block; what it prints goes to the file `output`."""
    with output.open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def submitting(project, slurm, *arguments):
    """Snakemake at `project` with the SLURM profile, running; its output goes to snakemake.log."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("EBREPLICATE")}
    environment |= {"PYTHONPATH": str(project), **slurm.environment}
    command = [sys.executable, "-m", "snakemake", *PROFILE, *LOCAL, *arguments, "--config", "seeds=[0]"]
    with started(command, project, environment, project / "snakemake.log") as process:
        yield process


def said(project):
    return (project / "snakemake.log").read_text()


def test_a_figure_and_a_retrain_are_made_by_jobs_that_ask_for_gpus(slurm, tmp_path):
    project, retrain = copied(tmp_path, SMOKE), retrain_of(3)
    record = Store("results").record_path(retrain)
    with submitting(project, slurm, FIGURE, str(record)) as process:
        assert process.wait(LONG) == 0, said(project)
    assert (project / FIGURE).is_file()
    assert json.loads((project / record).read_text())["status"] == "ok"
    asked = {}
    for number, state in slurm.jobs().items():
        fields = slurm.job(number)
        assert state == "COMPLETED"
        asked.setdefault(fields["Comment"].split("_wildcards_")[0], []).append(
            (fields.get("TresPerJob", ""), fields["TimeLimit"], fields["MinMemoryNode"], fields["Requeue"])
        )
    training, other = ("gres:gpu:1", "12:00:00", "16000M", "1"), ("", "01:00:00", "4000M", "1")
    assert asked == {
        "rule_search": [training] * 2,
        "rule_retrain": [training],
        "rule_evaluate": [other],
    }


SECONDS = 240
"""How long the search takes that is stopped three times: SLURM looks at time limits every 30 seconds."""


def epochs_of(seconds, folder):
    """Epochs of a search of that many seconds on this machine as busy as it is now."""
    trial = retrain_of(30).ticket.search
    with undisturbed(folder, trial) as process:
        assert process.wait(LONG) == 0
    with (Store(folder).folder(trial) / "history.csv").open(newline="") as f:
        taken = sum(float(row["train_seconds"]) + float(row["test_seconds"]) for row in csv.DictReader(f))
    return max(60, min(20_000, int(seconds * 30 / taken)))


@contextlib.contextmanager
def undisturbed(results, search):
    """A search as a process of its own, never stopped."""
    results.mkdir()
    command = [sys.executable, "-m", "ebreplicate", "search", canonical(search), "--results", str(results)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with started(command, results, environment, results / "output") as process:
        yield process


class Attempts:
    """The jobs of one search, one after another."""

    def __init__(self, slurm, project, folder, epochs):
        self.slurm, self.epochs, self.seen = slurm, epochs, set()
        self.logs = project / ".snakemake" / "slurm_logs" / "rule_search" / folder.name
        self.name = f"rule_search_wildcards_{folder.name}"

    def state(self, number):
        return self.slurm.jobs()[number]

    def log(self, number):
        path = self.logs / f"{number}.log"
        return path.read_text(errors="replace") if path.is_file() else ""

    def next(self):
        """Number of the next job, once it reports epochs."""
        return until(self._training, LONG, what="the next attempt's training")

    def _training(self):
        for number, state in self.slurm.jobs().items():
            ours = state == "RUNNING" and number not in self.seen and self.slurm.job(number)["Comment"] == self.name
            if ours and re.search(rf"epoch \d+/{self.epochs}", self.log(number)):
                self.seen.add(number)
                return number
        return None

    def ended(self, number):
        """State of a job that has ended, and the epoch after which its training says it stopped."""
        until(lambda: self.state(number) not in ("RUNNING", "COMPLETING"), 600, what=f"the end of job {number}")
        text = rf"stopped after epoch (\d+) of {self.epochs}; run the same command again to continue"
        (epoch,) = re.findall(text, self.log(number))
        return self.state(number), int(epoch)


def test_a_search_out_of_time_preempted_and_requeued_ends_with_the_same_bits(slurm, tmp_path):
    epochs = epochs_of(SECONDS, tmp_path / "trial")
    smoke = SMOKE.replace("160: 3}", f"160: {epochs}}}").replace("{epochs: 3,", f"{{epochs: {epochs},")
    (tmp_path / "cluster").mkdir()
    project, search = copied(tmp_path / "cluster", smoke), retrain_of(epochs).ticket.search
    store, whole = Store(project / "results"), Store(tmp_path / "whole")
    folder, target = store.folder(search), f"results/runs/search/{key(search)}/record.json"
    attempts = Attempts(slurm, project, folder, epochs)
    with undisturbed(whole.root, search) as reference, submitting(project, slurm, target) as workflow:
        # Out of time: the profile has SLURM say so 120 seconds before the limit.
        first = attempts.next()
        minutes = int(slurm.call("squeue", "--noheader", "--format=%M", "--jobs", first).split(":")[-2])
        slurm.call("scontrol", "update", f"JobId={first}", f"TimeLimit={minutes + 2}")
        state, epoch = attempts.ended(first)
        assert state == "FAILED"  # it ended by itself (75), and was not ended (TIMEOUT)

        # Preempted: a job of a partition with priority takes all GPUs.
        second = attempts.next()
        urgent = slurm.call(
            "sbatch", "--parsable", "--partition=urgent", "--gpus=2", "--mem=1", "--output=/dev/null", "--wrap=true"
        )
        until(lambda: attempts.state(urgent) == "COMPLETED", 600, what="the urgent job")
        _, later = attempts.ended(second)
        assert epochs > later > epoch

        # Requeued, as by an administrator or a node that fails: the same job comes back, from its last checkpoint.
        third = attempts.next()
        slurm.call("scontrol", "requeue", third)
        until(lambda: attempts.state(third) == "PENDING", 600, what="the requeued job")
        slurm.call("scontrol", "update", f"JobId={third}", "StartTime=now")  # not in two minutes
        assert workflow.wait(LONG) == 0, said(project)
        assert attempts.state(third) == "COMPLETED"
        assert reference.wait(LONG) == 0
    told = re.findall(rf"epoch (\d+)/{epochs}", (project / f"results/logs/search/{folder.name}.log").read_text())
    assert min(map(int, told)) > later  # nothing before that was trained again
    assert store.read(search)["metrics"] == whole.read(search)["metrics"]
    assert (folder / "scores.npy").read_bytes() == (whole.folder(search) / "scores.npy").read_bytes()

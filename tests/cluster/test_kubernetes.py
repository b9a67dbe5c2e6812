"""The Kubernetes profile through its plugin, against a stand-in for the API server that runs each pod's command here.

What is checked: what a pod asks for, and that searches, draws, retrains, tables and figures reach each other. What is
not: a real cluster. Minutes: `pytest -m slow tests/cluster`.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from kube import kubernetes
from smoke import SMOKE
from snake import ROOT, copied

from ebreplicate.plan.spec import Recipe, Retrain, Search, Ticket
from ebreplicate.records import Store

pytestmark = pytest.mark.slow

SEARCH = Search(
    "vgg16", "digits100", Recipe(3, 20, 0.1, (2,), augment="none"), 0, 0.0625, train_size=100, test_size=100
)
RETRAIN = Retrain(Ticket(SEARCH, 0.3, 2), Recipe(1, 20, 0.1, (), augment="none"))
FIGURE = "figures/smoke/fig3_mask_distance.svg"


@pytest.fixture
def places(tmp_path):
    """A project whose results and data lie on the volume, as in the pod that Snakemake runs in; and the volume."""
    needed = ("snakemake_executor_plugin_kubernetes", "snakemake_storage_plugin_fs")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    missing += [] if shutil.which("rsync") else ["rsync"]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (requirements-cluster.txt; Debian: rsync)")
    volume = tmp_path / "volume"
    (tmp_path / "project").mkdir()
    project = copied(tmp_path / "project", SMOKE)
    for name in ("results", "data"):
        (volume / name).mkdir(parents=True)
        (project / name).symlink_to(volume / name)
    return project, volume


def submit(project, volume, client, *arguments):
    """Run Snakemake with the profile, its volume at a path that exists here; what it printed, and its exit code."""
    profile = Path("workflow", "profiles", "kubernetes", "config.yaml")
    written = (ROOT / profile).read_text().replace("/volume", str(volume))  # of ours: twice would nest
    profile = project / profile
    profile.write_text(written)
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--profile",
        str(profile.parent),
        "--seconds-between-status-checks",
        "2",
    ]
    done = subprocess.run(
        [*command, *arguments, "--config", "seeds=[0]"],
        cwd=project,
        env={**pod_environment(project), **client},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=3000,
    )
    return done.stdout, done.returncode


def pod_environment(project, **more):
    """What the image gives a pod: the interpreter and the package."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    return {"PATH": path, "PYTHONPATH": str(project), "HOME": os.environ["HOME"], "OMP_NUM_THREADS": "1", **more}


def test_pods_make_a_figure_and_a_retrain_and_leave_all_runs_on_the_volume(places, tmp_path):
    project, volume = places
    record = Store("results").record_path(RETRAIN)
    with kubernetes(tmp_path / "cluster", pod_environment(project)) as (pods, client):
        said, code = submit(project, volume, client, FIGURE, str(record))
        assert code == 0, said + "".join(map(pods.log, pods.manifests))
        manifests = list(pods.manifests.values())
        logs = "".join(map(pods.log, pods.manifests))
    assert (volume / "carried" / FIGURE).read_text().startswith("<?xml")
    assert (volume / "carried" / record).read_bytes() == (volume / record).read_bytes()
    assert json.loads((volume / record).read_text())["status"] == "ok"
    store = Store(volume / "results")
    assert (store.folder(SEARCH) / "scores.npy").is_file()  # undeclared, and yet there for the draw
    assert (store.folder(RETRAIN.ticket) / "mask.npy").is_file()
    assert not list((tmp_path / "cluster").rglob(".snakemake/pip-deployments"))  # no pod installs packages
    assert "Collecting" not in logs
    for manifest in manifests:
        check_manifest(manifest, volume)
    gpus = [resources(m)["limits"].get("nvidia.com/gpu") for m in manifests if resources(m).get("limits")]
    assert (len(manifests), gpus) == (6, ["1"] * 3)  # two searches and a retrain; a draw, a table and a figure


def resources(manifest):
    return manifest["spec"]["template"]["spec"]["containers"][0]["resources"]


def check_manifest(manifest, volume):
    pod = manifest["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "IMAGE"
    assert pod["restartPolicy"] == "Never"
    claims = {
        v["name"]: v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if "persistentVolumeClaim" in v
    }
    assert claims == {"ebreplicate": "ebreplicate"}
    assert {"name": "ebreplicate", "mountPath": str(volume)} in container["volumeMounts"]
    # Kubernetes takes an extended resource only where request and limit are the same.
    asked, limits = resources(manifest)["requests"], resources(manifest).get("limits") or {}
    assert asked.get("nvidia.com/gpu") == limits.get("nvidia.com/gpu")


def test_a_pod_that_fails_ends_snakemake_and_the_next_one_continues(places, tmp_path):
    """docs/cluster.md says so: the plugin asks for a log that there is not. Should this fail, it has learnt better."""
    project, volume = places
    record = str(Store("results").record_path(SEARCH))
    stopping = pod_environment(project, EBREPLICATE_TIME_LIMIT="0")  # each attempt gets one epoch of three done
    codes = []
    with kubernetes(tmp_path / "cluster", stopping) as (pods, client):
        while not codes or (codes[-1] and len(codes) < 5):
            said, code = submit(project, volume, client, record)
            codes.append(code)
        assert codes == [1, 1, 0], said
        logs = [pods.log(name) for name in pods.manifests]
    for number, log in enumerate(logs[:2], start=1):
        assert f"stopped after epoch {number} of 3; run the same command again to continue" in log
    assert (volume / record).is_file()

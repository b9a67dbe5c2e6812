"""Planning never imports torch: the Snakefile is parsed on every command."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "modules",
    [
        "ebreplicate.specs.spec, ebreplicate.specs.scale, ebreplicate.specs.graph",
        "ebreplicate.models, ebreplicate.pruning, ebreplicate.pruning.methods, ebreplicate.catalog",
        "ebreplicate.store.store, ebreplicate.experiments.common.stats, ebreplicate.cli, ebreplicate.experiments.jobs",
    ],
)
def test_import_leaves_torch_out(modules):
    code = f"import sys, {modules}; print([m for m in ('torch', 'torchvision', 'fvcore') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_loading_a_scale_and_naming_its_runs_leaves_torch_out():
    code = """
import sys
from ebreplicate.specs.scale import load_scale
from ebreplicate.specs.spec import Retrain, Ticket, key
scale = load_scale("smoke")
key(Retrain(Ticket(scale.search("vgg16", "cifar10", 0), 0.5, "eb"), scale.retrain_recipe))
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_planning_every_item_and_part_leaves_torch_and_pandas_out():
    code = """
import sys
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.specs.scale import load_scale
for item in (*EXPERIMENTS, *EXPERIMENTS.parts):
    EXPERIMENTS.load(item).runs(load_scale("smoke"))
print([m for m in ("torch", "pandas", "matplotlib") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""docs/add-a-method.md to its end: a method's row in Table 2, its line in the figure, its point against FLOPs."""

import os
import shutil
import subprocess
import sys

import pytest
from commands import ROOT, page_blocks
from docs.test_commands import add_line

pytestmark = pytest.mark.slow
ROWS = """
from dataclasses import replace
from pathlib import Path

import ebreplicate
from synthetic import COMPARABLE, tabulated, write
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.accuracy_vs_flops.pareto import points
from ebreplicate.experiments.table2.runs import rows
from ebreplicate.store.store import Store

assert Path(ebreplicate.__file__).parents[1] == Path.cwd()
scale = replace(COMPARABLE, name="smoke")
runs = [row[-1] for row in rows(scale) if row[2] == "Layer-wise"]
assert {(r.ticket.method, r.ticket.at, r.recipe) for r in runs} == {("layerwise", 8, scale.recipe)}
write(Store("results"), [row[-1] for row in rows(scale)], lambda _: 61.5)
table = tabulated("table2", scale, Path("results"))
row = table[(table.method == "Layer-wise") & (table.dataset == "cifar10") & (table.model == "vgg16")]
assert row[["group", "status", "last_accuracy"]].values.tolist() == [["control", "ok", 61.5]], row
labels = [t.get_text() for t in EXPERIMENTS.load("table2").figure(scale, table).axes[0].get_yticklabels()]
assert "Layer-wise" in labels
table = tabulated("accuracy_vs_flops", scale, Path("results"))
(point,) = [p for p in points(table, "cifar10", "vgg16", True) if p[0] == "Layer-wise"]
assert point[2] == row.training_flops.item()
EXPERIMENTS.load("accuracy_vs_flops").figure(scale, table)
"""


def test_a_method_gets_its_row_and_its_point(tmp_path):
    for name in ("ebreplicate", "workflow"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for block in page_blocks("docs/add-a-method.md"):
        kind, where = block.mark or ("", "")
        if kind == "file":
            (tmp_path / where).write_text(block.text)
        elif kind == "line":
            add_line(tmp_path, where, block.text)
    path = os.pathsep.join(map(str, (tmp_path, ROOT / "tests" / "support")))
    environment = os.environ | {"PYTHONPATH": path, "MPLBACKEND": "agg"}
    done = subprocess.run([sys.executable, "-c", ROWS], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

"""What is committed as evidence follows from the records committed with it."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.pruning import emergence_epoch, global_mask, mask_distance
from ebreplicate.report import pipeline, readme
from ebreplicate.specs import spec as specs
from ebreplicate.specs.scale import load_scale
from ebreplicate.store.store import read_record

PROJECT = Path(__file__).parents[2]
ROOT = PROJECT / "results"
SCALE = "quick"


@pytest.fixture(scope="module")
def remade(tmp_path_factory):
    """Tables and comparison made anew from the committed records."""
    root = tmp_path_factory.mktemp("results")
    (root / "runs").symlink_to(ROOT / "runs")
    for item in EXPERIMENTS:
        pipeline.tabulate(item, load_scale(SCALE), root)
    pipeline.compare(load_scale(SCALE), root)
    return root


def test_tables_that_lie_here_are_those_of_the_records(remade):
    for path in sorted((ROOT / "tables" / SCALE).glob("*.csv")):
        assert path.read_text() == pipeline.table_path(remade, SCALE, path.stem).read_text(), path.name


def test_committed_comparison_follows_from_the_committed_records(remade):
    for name in (f"{SCALE}.csv", f"{SCALE}_claims.csv", f"{SCALE}.md"):
        assert (remade / "comparison" / name).read_text() == (ROOT / "comparison" / name).read_text(), name


def test_every_committed_record_is_of_the_spec_beside_it():
    smoke = re.compile(
        r"w0\.\d+-digits|gcn-blocks"
    )  # quick has digits too, for the network that is small at full width
    records = [p for p in sorted(ROOT.glob("runs/*/*/record.json")) if not smoke.search(p.parent.name)]
    assert records
    for path in records:
        spec = specs.from_json((path.parent / "spec.json").read_text())
        record = read_record(path, specs.key(spec))
        assert (path.parent.name, path.parent.parent.name) == (specs.key(spec), spec.stage)
        assert record["provenance"]["clean"] is True, path


def test_docs_say_what_bf16_changed():
    """Pairs of searches that differ in precision alone, and the table of docs/speed.md computed anew from them."""
    rows = re.findall(
        r"^\| (.*), seed (\d) \(`(\w+)`, `(\w+)`\) \| (.*) \|$", (PROJECT / "docs/speed.md").read_text(), re.M
    )
    assert len(rows) == 3
    for _, seed, *names, said in rows:
        folders = [next((ROOT / "runs/search").glob(f"*-{name}")) for name in names]
        plain, rounded = (specs.from_json((f / "spec.json").read_text()) for f in folders)
        assert replace(plain, precision="bf16") == rounded
        assert plain.seed == int(seed)
        records = [read_record(f / "record.json", f.name) for f in folders]
        scores = [torch.from_numpy(np.load(f / "scores.npy")).float() for f in folders]
        emerged = [[emergence_epoch(s, ratio) for ratio in (0.3, 0.5, 0.7)] for s in scores]
        apart = [mask_distance(*(global_mask(s[-1], ratio) for s in scores)) for ratio in (0.3, 0.5, 0.7)]
        assert said == " | ".join(
            [
                ", ".join(f"{r['metrics']['last_accuracy']:.2f} %" for r in records),
                " and ".join(", ".join(map(str, epochs)) for epochs in emerged),
                ", ".join(f"{d:.2f}" for d in apart),
            ]
        )


def test_readme_and_docs_quote_the_committed_results():
    readme.update(PROJECT, ROOT, check=True)

"""What is committed as evidence follows from the records committed with it."""

from pathlib import Path

import pytest

from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.plan import spec as specs
from ebreplicate.plan.scale import load_scale
from ebreplicate.records import Store, read_record
from ebreplicate.report import pipeline, readme

PROJECT = Path(__file__).parents[2]
ROOT = PROJECT / "results"
SCALE = "quick"
COMMITTED = sorted(p.stem for p in (ROOT / "tables" / SCALE).glob("*.csv"))


@pytest.mark.parametrize("item", COMMITTED)
def test_committed_tables_are_those_of_the_committed_records(item):
    table = EXPERIMENTS.load(item).table(load_scale(SCALE), Store(ROOT))
    committed = pipeline.table_path(ROOT, SCALE, item).read_text()
    assert table.to_csv(index=False, lineterminator="\n") == committed


def test_committed_comparison_follows_from_the_committed_tables(tmp_path):
    (tmp_path / "tables").symlink_to(ROOT / "tables")
    pipeline.compare(load_scale(SCALE), tmp_path)
    for name in (f"{SCALE}.csv", f"{SCALE}_claims.csv", f"{SCALE}.md"):
        assert (tmp_path / "comparison" / name).read_text() == (ROOT / "comparison" / name).read_text(), name


def test_every_committed_record_is_of_the_spec_beside_it():
    records = [p for p in sorted(ROOT.glob("runs/*/*/record.json")) if "-digits" not in p.parent.name]  # smoke's
    assert records
    for path in records:
        spec = specs.from_json((path.parent / "spec.json").read_text())
        record = read_record(path, specs.key(spec))
        assert (path.parent.name, path.parent.parent.name) == (specs.key(spec), spec.stage)
        assert record["provenance"]["clean"] is True, path


def test_readme_quotes_the_committed_comparison():
    readme.update(PROJECT / "README.md", ROOT, check=True)

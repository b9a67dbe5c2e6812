"""The page of faults is that of the tests and of a recorded run of them."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("faults_script", ROOT / "workflow" / "scripts" / "faults.py")
script = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(script)


pytestmark = pytest.mark.skipif(
    not script.RECORD.exists(), reason="no run of `make faults` has been recorded yet (docs/faults.json)"
)


def test_the_page_is_up_to_date():
    assert script.main(["--check"]) == 0


def test_at_least_fifty_kills_were_recorded_and_all_went_well():
    tests = json.loads(script.RECORD.read_text())["tests"]
    assert sum(tests["test_killed_at_random_moments"]["figures"].values()) >= 50
    assert sum(e["figures"].get("cases", 0) for e in tests.values()) >= 10_000
    assert {e["outcome"] for e in tests.values()} <= {"passed", "skipped"}


def test_a_test_that_was_not_recorded_or_failed_stops_the_page(tmp_path, capsys):
    run = json.loads(script.RECORD.read_text())
    run["tests"].pop("test_killed_at_random_moments")
    run["tests"]["test_a_small_disk"]["outcome"] = "failed"
    (tmp_path / "run.json").write_text(json.dumps(run))
    assert script.main([str(tmp_path / "run.json")]) == 1
    err = capsys.readouterr().err
    assert "test_killed_at_random_moments: not in the recorded run" in err
    assert "test_a_small_disk: failed in the recorded run" in err


def test_every_fault_test_has_a_row_of_its_own():
    rows = script.declared()
    assert len({r.test for r in rows}) == len(rows)
    assert len({r.what for r in rows}) == len(rows)
    text = script.PAGE.read_text()
    assert all(r.what in text and r.outcome in text for r in rows)

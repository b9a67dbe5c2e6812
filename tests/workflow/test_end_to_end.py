"""A real run of all five stages, and what is and is not repeated afterwards."""

import csv
import json
import os
import re
import shutil
import xml.etree.ElementTree as ET

import pytest
from smoke import SMOKE
from snake import copied, planned, read, snakemake

from ebreplicate.specs.spec import Recipe, Retrain, Search, Ticket, key

SEARCH = Search(
    "vgg16", "digits100", Recipe(3, 20, 0.1, (2,), augment="none"), 0, 0.0625, train_size=100, test_size=100
)
RETRAIN = Retrain(Ticket(SEARCH, 0.3, 2), Recipe(1, 20, 0.1, (), augment="none"))
FIGURE = "figures/smoke/fig3_mask_distance.svg"
TABLE = "results/tables/smoke/fig3_mask_distance.csv"
RECORD = f"results/runs/retrain/{key(RETRAIN)}/record.json"
ONE_SEED = ("--cores", "2", FIGURE, RECORD, "--config", "seeds=[0]")


def plan(project, *arguments):
    """Jobs per rule that would run now."""
    done = read(project, "-n", "--quiet", "rules", *arguments)
    assert done.returncode == 0, done.stdout
    return planned(done.stdout)


def ran(project, *arguments):
    """Rules of the jobs that ran."""
    done = snakemake(project, *arguments)
    assert done.returncode == 0, done.stdout
    return sorted(re.findall(r"^(?:local)?rule (\w+):$", done.stdout, re.M))


@pytest.mark.slow
def test_a_figure_and_a_retrain_are_made_once(tmp_path):
    project = copied(tmp_path, SMOKE)
    assert ran(project, *ONE_SEED) == ["evaluate", "retrain", "search", "search"]
    check_what_is_there(project)
    assert plan(project, *ONE_SEED) == {}
    aside = (project / FIGURE).rename(tmp_path / "aside.svg")
    assert plan(project, *ONE_SEED) == {"evaluate": 1}
    aside.rename(project / FIGURE)
    assert plan(project, *ONE_SEED) == {}

    # Edited code and newer records start no training ...
    with (project / "ebreplicate" / "training" / "loop.py").open("a") as f:
        f.write("# edited\n")
    search = project / f"results/runs/search/{key(SEARCH)}/record.json"
    search.write_text(search.read_text() + "\n")  # by content, snakemake knows a touched file from a changed one
    assert plan(project, *ONE_SEED) == {"evaluate": 1}
    # ... nor do they where nothing is known of earlier runs; and more seeds add their own runs to those that are there.
    shutil.rmtree(project / ".snakemake")
    for number, path in enumerate((project / TABLE, project / RECORD, search)):
        os.utime(path, (2e9 + number, 2e9 + number))
    assert plan(project, *ONE_SEED[:-2]) == {"search": 2, "evaluate": 1}


def check_what_is_there(project):
    record = json.loads((project / RECORD).read_text())
    assert (record["status"], record["key"], record["metrics"]["epochs"]) == ("ok", key(RETRAIN), 1)
    folder = project / f"results/runs/search/{key(SEARCH)}"
    assert (folder / "spec.json").is_file()
    with (folder / "history.csv").open(newline="") as f:
        assert [row["epoch"] for row in csv.DictReader(f)] == ["1", "2", "3"]
    with (project / TABLE).open(newline="") as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == 2 * 4 * 3  # networks, ratios, epochs
    assert {row["status"] for row in rows} == {"ok"}
    assert key(SEARCH) in {row["key"] for row in rows}
    assert ET.parse(project / FIGURE).getroot().tag.endswith("svg")
    logs = {str(p.relative_to(project / "results/logs")) for p in (project / "results/logs").rglob("*.log")}
    assert {f"search/{key(SEARCH)}.log", f"retrain/{key(RETRAIN)}.log", "evaluate/smoke/fig3_mask_distance.log"} <= logs
    assert "epoch 3/3" in (project / f"results/logs/search/{key(SEARCH)}.log").read_text()

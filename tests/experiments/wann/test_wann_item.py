"""The item of weight agnostic networks: its runs, its table, its cells and claims by hand, and how it is removed."""

import ast
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from scipy.stats import ttest_1samp
from synthetic import TINY, agnostic_run, claims, empty_table, tabulated

import ebreplicate
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.common.verdicts import cell_verdict
from ebreplicate.experiments.wann.runs import DIGITS, RELEASED, SWING_UP, planned
from ebreplicate.experiments.wann.table import GENERATION, RUN, WEIGHT, improvement, shown
from ebreplicate.published import read
from ebreplicate.specs.scale import load_scale
from ebreplicate.specs.spec import key
from ebreplicate.store.store import Store

FIVE = replace(TINY, items={**TINY.items, "wann": {**TINY.items["wann"], "seeds": [0, 1, 2, 3, 4]}})
SHARED = {RELEASED: [480, 510, 530, 500, 520], SWING_UP: [300, 420, 250, 500, 380], DIGITS: [40, 50, 45, 55, 35]}
PACKAGE = Path(ebreplicate.__file__).parent


def filled(root, scale, **more):
    """A table of finished runs whose random shared weight scores `SHARED`."""
    store = Store(root)
    for run in planned(scale):
        scores = {"shared": float(SHARED[run.arm][run.seed]), **more}
        store.write(run.spec, *agnostic_run(run.spec, **scores))
    return tabulated("wann", scale, root)


def test_paper_and_quick_test_the_released_champion_once():
    released = [{key(r.spec) for r in planned(load_scale(s)) if r.arm == RELEASED} for s in ("quick", "paper")]
    assert released[0] == released[1]
    assert len(released[0]) == 5


def test_the_paper_scale_has_the_laptop_settings():
    swing, digits = (next(r.spec for r in planned(load_scale("paper")) if r.arm == a) for a in (SWING_UP, DIGITS))
    assert (swing.population, swing.generations, swing.cases, swing.elite, swing.tournament) == (64, 1024, 3, 0.05, 4)
    assert (swing.initial, digits.initial, digits.generations, digits.cases) == (0.5, 0.05, 1024, 1000)


def test_a_table_has_runs_generations_and_rewards_by_weight(tmp_path):
    table = filled(tmp_path, FIVE)
    runs = table[table.kind == RUN]
    assert runs.arm.value_counts().to_dict() == {RELEASED: 5, SWING_UP: 5, DIGITS: 5}
    assert set(runs[runs.arm == SWING_UP].improvement) == {8.0 - 2.0}
    here = table[(table.kind == GENERATION) & (table.arm == SWING_UP) & (table.seed == 3)]
    assert {1, 2, 4, 8} <= set(here.generation) <= set(range(1, 9))
    swept = table[(table.kind == WEIGHT) & (table.seed == 0)]
    assert len(swept) == 41
    assert swept.reward.max() == 60 - 0  # at w = 0.5, the 25th fiftieth


def test_a_long_search_is_shown_at_the_generations_of_the_sample_run():
    assert {8, 32, 128, 512, 1024} <= shown(1024)
    assert len(shown(1024)) < 70
    assert improvement([0, 0, 1, 1, *[5] * 10, 9, 9]) == 8
    assert improvement([1.0, 4.0]) == 0


def test_the_claims_are_what_another_test_of_the_same_numbers_says(tmp_path):
    found = claims("wann", FIVE, filled(tmp_path, FIVE))
    d = [value - 10 for value in SHARED[SWING_UP]]
    claim = found["wann-shared-beats-individual"]
    assert claim.found.difference.mean == pytest.approx(sum(d) / 5)
    assert claim.found.p == pytest.approx(ttest_1samp(d, 0).pvalue)
    assert claim.verdict == "supported"
    assert claim.points_to == "for"
    assert (claim.printed, found["wann-tuned-beats-shared"].printed) == (515 - 57, 723 - 515)
    assert claim.p_holm >= claim.found.p
    of_digits = [found[f"wann-digits-{name}"].found.difference.mean for name in ("vote", "tuned")]
    assert of_digits == pytest.approx([52 - 51, 60 - 52])  # vote minus six, tuned minus vote
    assert found["wann-digits-above-chance"].found.difference.mean == pytest.approx(35)
    against = found["wann-tuned-beats-shared"]  # 60 minus what each has
    assert (against.verdict.partition(" alone")[0], against.points_to) == ("not supported", "against")
    assert len(claim.found.records) == 5


def test_two_seeds_are_too_few_and_none_is_not_run(tmp_path):
    assert {c.verdict for c in claims("wann", TINY, filled(tmp_path, TINY)).values()} == {"too few seeds"}
    assert {c.verdict for c in claims("wann", TINY, empty_table("wann", TINY)).values()} == {"not run"}


def test_the_released_champion_is_compared_at_every_scale_and_own_searches_at_none(tmp_path):
    cells = {c.cell: c for c in EXPERIMENTS.load("wann").cells(FIVE, filled(tmp_path, FIVE, individual=300.0))}
    shared = cells["released champion, random shared weight U(-2,2)"]
    assert (shared.published, shared.measured.mean) == (515, 508)
    assert cell_verdict(shared, comparable=False) == "agrees"
    alone = cells["released champion, random weights U(-2,2)"]
    assert (alone.published, cell_verdict(alone, comparable=False)) == (57, "differs")
    context = [c for name, c in cells.items() if not name.startswith("released")]
    assert [c.published for c in context] == [57, 515, 723, 82.0, 91.6, 91.9]
    assert {cell_verdict(c, comparable=True) for c in context} == {"context, not comparable"}


def test_the_figure_shows_what_has_run_and_the_sample_run_but_not_at_smoke(tmp_path):
    experiment = EXPERIMENTS.load("wann")
    table = filled(tmp_path, FIVE)
    left, middle, right = experiment.figure(FIVE, table).axes
    sample = read("wann_sample_run").query("metric == 'elite_fitness' and draw_epoch <= 8").value.astype(float)
    texts = [t.get_text() for t in left.get_legend().get_texts()]
    assert texts == ["ours", "authors' sample run"]
    assert [*left.containers[0].lines[0].get_ydata()] == [*sample]
    assert len(middle.lines[0].get_xdata()) == 41
    assert next(t.get_text() for t in right.get_xticklabels()) == "random\neach"
    smoke = replace(FIVE, name="smoke")
    assert [t.get_text() for t in experiment.figure(smoke, table).axes[0].get_legend().get_texts()] == ["ours"]
    only = table[table.arm == RELEASED]
    assert "not run" in experiment.figure(FIVE, only).axes[0].texts[0].get_text()


def test_nothing_but_its_item_imports_the_room():
    users = set()
    for path in (p for p in PACKAGE.rglob("*.py") if "ebreplicate.wann" in p.read_text()):
        names = [
            name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for name in [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
        ]
        users |= {path.relative_to(PACKAGE).parts[:-1] for name in names if name.startswith("ebreplicate.wann")}
    assert users == {("wann",), ("experiments", "wann")}


def test_planning_works_without_the_room_and_its_two_lines(tmp_path):
    root = tmp_path / "clone"
    shutil.copytree(PACKAGE, root / "ebreplicate", ignore=shutil.ignore_patterns("__pycache__", "wann"))
    shutil.copytree(PACKAGE.parent / "workflow", root / "workflow")
    removed = 0
    for name in ("catalog.py", "experiments/__init__.py"):
        path = root / "ebreplicate" / name
        lines = path.read_text().splitlines(keepends=True)
        kept = [line for line in lines if not re.match(r'\s+"wann": ', line)]
        removed += len(lines) - len(kept)
        path.write_text("".join(kept))
    assert removed == 2
    command = [sys.executable, "-m", "ebreplicate", "plan", "--scale", "smoke", "--runs"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    stages = {line.split("\t")[0] for line in done.stdout.splitlines()}
    assert stages == {"search", "draw", "retrain", "sparse", "adapt", "graph"}


def test_the_room_imports_no_torch():
    code = "import sys, ebreplicate.wann.stage, ebreplicate.wann.checks; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

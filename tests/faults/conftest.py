"""The forking process of a session, an undisturbed project, and the figures that docs/faults.md quotes."""

import json
import os
import platform
from pathlib import Path

import pytest

from faults.suite import EARLY, FINAL, ITEM, OF_SMOKE, RETRAIN, SEARCH, SPARSE, Forker, ok, training

FIGURES = {}
OUTCOMES = {}


@pytest.fixture(scope="session")
def forker():
    forker = Forker()
    yield forker
    forker.close()


@pytest.fixture(scope="session")
def calm(forker, tmp_path_factory):
    """A project that nobody disturbed: search, both draws, retrain, sparse, all tables, one figure, comparison."""
    from ebreplicate.experiments import EXPERIMENTS

    root = tmp_path_factory.mktemp("calm")
    for spec in (SEARCH, EARLY, FINAL, RETRAIN, SPARSE):
        ok(forker.run(root, *training(spec, "results")))
    for item in EXPERIMENTS:
        ok(forker.run(root, "tabulate", item, *OF_SMOKE))
    ok(forker.run(root, "plot", ITEM, *OF_SMOKE, "--output", "results/figure.svg"))
    ok(forker.run(root, "compare", *OF_SMOKE))
    return root


@pytest.fixture
def figures(request):
    """Numbers of this run that the documentation quotes, by name."""
    return FIGURES.setdefault(request.node.originalname, {})


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    if report.when == "call" or report.skipped or report.failed:
        reason = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
        name = getattr(item, "originalname", item.name)
        worst = OUTCOMES.get(name, ("passed", ""))
        OUTCOMES[name] = worst if worst[0] == "failed" else (report.outcome, reason)


def pytest_sessionfinish():
    """Write what was seen where EBREPLICATE_FAULTS_RECORD says: `make faults` does, for docs/faults.md."""
    path = os.environ.get("EBREPLICATE_FAULTS_RECORD")
    if path:
        seen = {n: {"outcome": o, "reason": r, "figures": FIGURES.get(n, {})} for n, (o, r) in sorted(OUTCOMES.items())}
        run = {"python": platform.python_version(), "system": platform.system(), "tests": seen}
        Path(path).write_text(json.dumps(run, indent=1) + "\n")

"""One version of every tool: what pre-commit runs is what `make lint` runs, at the versions requirements.txt pins."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
PINS = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements.txt").read_text(), re.M))
TOOLS = ("ruff", "snakefmt", "mypy", "codespell")


def lint_lines():
    """Commands of the target `lint`."""
    return re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)[1].splitlines()


def test_hooks_run_the_tools_of_the_environment_and_bring_no_version_of_their_own():
    assert [repo["repo"] for repo in HOOKS] == ["local"]
    for hook in HOOKS[0]["hooks"]:
        assert hook["language"] == "system", hook["id"]
        assert hook["entry"].startswith(".venv/bin/"), hook["id"]
        assert "additional_dependencies" not in hook


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_is_pinned_linted_with_and_hooked(tool):
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["dev"]
    (bound,) = (d for d in declared if re.match(rf"{tool}\W", d))
    assert [int(n) for n in PINS[tool].split(".")[:2]] >= [int(n) for n in re.findall(r"\d+", bound)[:2]]
    assert any(f"$(BIN)/{tool}" in line for line in lint_lines())
    assert any(hook["entry"].startswith(f".venv/bin/{tool}") for hook in HOOKS[0]["hooks"])


def test_ci_runs_the_same_lint():
    assert "make lint" in (ROOT / ".ci/run").read_text().splitlines()


def test_what_lint_checks_besides_is_hooked_too():
    others = [line.strip() for line in lint_lines() if not any(f"$(BIN)/{tool}" in line for tool in TOOLS)]
    assert others == ["$(SNAKEMAKE) --lint", "$(BIN)/python workflow/scripts/environment.py --check"]
    for ending in ("/snakemake --lint", "workflow/scripts/environment.py --check"):
        assert any(hook["entry"].endswith(ending) for hook in HOOKS[0]["hooks"])

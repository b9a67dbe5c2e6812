"""The container recipe: everything it installs is pinned, and it runs as nobody in particular."""

import re
import shlex
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([A-Za-z0-9._-]+)==\S+", re.M)


def instructions():
    """Instructions of the recipe, continued lines joined: pairs of name and rest."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Containerfile").read_text(), flags=re.M).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


def of(name):
    return [rest for found, rest in instructions() if found == name]


def installs():
    """Arguments of every pip install."""
    commands = [shlex.split(part) for rest in of("RUN") for part in rest.split("&&")]
    return [command for command in commands if "pip" in command and "install" in command]


def test_packages_are_those_of_the_hashed_requirements_and_nothing_else():
    pinned, editable = installs()
    assert "--require-hashes" in pinned
    files = [pinned[i + 1] for i, word in enumerate(pinned) if word == "-r"]
    assert files == ["requirements.txt", "requirements-cluster.txt"]
    assert {"--no-index", "--no-deps"} <= set(editable)
    named = [word for command in installs() for word in command[command.index("install") + 1 :]]
    assert [word for word in named if not word.startswith("-")] == [*files, "."]
    assert not any(re.search(r"\b(uv|conda|curl|wget)\b", rest) for rest in of("RUN"))


def test_it_runs_as_a_user_without_rights_and_leaves_results_outside():
    assert of("FROM") == ["python:3.12-slim"]
    users = [i for i, (name, _) in enumerate(instructions()) if name == "USER"]
    assert of("USER") == ["1000"]
    assert all(name not in ("RUN", "COPY") for name, _ in instructions()[users[0] :])
    folder = of("WORKDIR")[0]
    for name in ("results", "figures", "data"):
        assert f'"{folder}/{name}"' in of("VOLUME")[0]
        assert name in (ROOT / ".dockerignore").read_text().split()
    assert of("ENTRYPOINT") == ['["snakemake"]']


def test_cluster_requirements_add_to_the_requirements_and_repeat_none():
    ours, cluster = (set(PIN.findall((ROOT / f).read_text())) for f in ("requirements.txt", "requirements-cluster.txt"))
    elsewhere = set(re.findall(r"^([\w.-]+)==.* os_name == 'nt'", (ROOT / "requirements.txt").read_text(), re.M))
    assert ours & cluster <= elsewhere  # what requirements.txt has for Windows alone, a cluster needs as well
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["cluster"]
    assert {re.split(r"[>=<]", name)[0] for name in asked} <= cluster


def test_every_cluster_requirement_is_hashed():
    text = (ROOT / "requirements-cluster.txt").read_text()
    for name in PIN.findall(text):
        assert re.search(rf"^{re.escape(name)}==[^\n]*\\\n +--hash=sha256:[0-9a-f]{{64}}", text, re.M), name

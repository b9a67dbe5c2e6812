"""Every command of the documentation, run in a copy of the project (`make docs-test`, minutes).

A page is one shell: what it sets, later lines use. Trainings are those of a smoke scale made smaller; what would take
hours, a network or a whole CI is planned instead (commands.runnable says what, and the report of a test what was done).
Commands that their page marks as not run here are skipped one by one, so that a report with -ra lists them.
"""

import os
import re
import shutil
import subprocess
import sys

import pytest
from commands import PAGES, REAL, ROOT, page_blocks, page_commands, runnable
from smoke import SMOKE

pytestmark = pytest.mark.docs
FIRST = "docs/quick-start.md"
"""Its real run is what other pages' commands find."""


def copy_of_the_project(folder):
    """The files of this working tree that git does not ignore, with a smaller smoke scale, and an environment."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / "workflow/config/smoke.yaml").write_text(SMOKE)
    (folder / ".venv").symlink_to(sys.prefix)
    runs = sorted(p.parent for p in (folder / "results/runs").glob("*/*/record.json"))
    for run in runs[:2]:  # results of another machine, for `merge`
        there = folder / "OTHER" / run.relative_to(folder)
        shutil.copytree(run, there)
    return folder


def environment(project):
    """What a reader's shell has after the quick start's first step, and nothing of ours besides."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("EBREPLICATE_", "PYTEST_", "PYTHON"))}
    path = os.pathsep.join([str(project / ".venv/bin"), os.environ["PATH"]])
    return {**ours, "PATH": path, "PYTHONPATH": str(project), "OMP_NUM_THREADS": "1"}


def follow(project, page, root=ROOT):
    """Do in `project` what a page of `root` says: write its files, add its lines, run its commands in one shell."""
    for block in page_blocks(page, root):
        kind, where = block.mark or ("", "")
        if kind == "file":
            (project / where).write_text(block.text)
        elif kind == "line":
            add_line(project, where, block.text)
    commands = [c for c in page_commands(page, root) if c.reason is None]
    script = ["set -e", *(f"echo '@@ {i}' >&2\n{runnable(c.text)[0]}" for i, c in enumerate(commands))]
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=project,
        env=environment(project),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    reached = [int(n) for n in re.findall(r"^@@ (\d+)$", done.stdout, re.M)]
    told = [f"{c.name}  ({runnable(c.text)[1] or 'as it stands'})" for c in (commands[i] for i in reached)]
    print("\n".join(told))
    last = done.stdout.rsplit("@@", 1)[-1][-4000:]
    assert done.returncode == 0, f"{told[-1] if told else page} failed:\n{last}"
    assert len(reached) == len(commands)


def add_line(project, where, text):
    """Add a page's line to a file, below the last line that starts with the words it names, and indented as that."""
    path, after = re.fullmatch(r'(\S+) after (".+")', where).groups()
    lines = (project / path).read_text().splitlines(keepends=True)
    (above,) = (i for i, line in enumerate(lines) if line.lstrip().startswith(after))
    indent = lines[above][: len(lines[above]) - len(lines[above].lstrip())]
    lines.insert(above + 1, indent + text)
    (project / path).write_text("".join(lines))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project in which the quick start has been followed."""
    folder = copy_of_the_project(tmp_path_factory.mktemp("docs"))
    follow(folder, FIRST)
    return folder


def test_the_quick_start_leaves_its_figure(project):
    assert (project / REAL[0]).is_file()


@pytest.mark.parametrize("page", [p for p in PAGES if page_commands(p) and p != FIRST])
def test_every_command_of_a_page_runs(project, page):
    follow(project, page)


LEFT = [c for page in PAGES for c in page_commands(page) if c.reason]


@pytest.mark.parametrize("command", LEFT, ids=lambda c: c.name)
def test_left_out(command):
    pytest.skip(f"{command.name}: {command.reason}")


def test_a_page_that_tells_something_wrong_is_caught(project):
    wrong = "docs/wrong.md"
    text = "```bash\ntrue\nebreplicate plan --scale huge\n```\n"
    (project / wrong).write_text(text)
    said = r"(?s)docs/wrong\.md:3 ebreplicate plan --scale huge.*unknown name 'huge'"
    with pytest.raises(AssertionError, match=said):
        follow(project, wrong, project)

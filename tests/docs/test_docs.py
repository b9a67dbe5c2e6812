"""The documentation's pages: links lead somewhere, no command hides, each is one that its program takes.

Here commands are read only; tests/docs runs them (`make docs-test`).
"""

import ast
import contextlib
import io
import re
import shlex
import subprocess

import pytest
from commands import (
    COMMAND,
    OTHERS,
    PAGES,
    ROOT,
    SHELLS,
    blocks,
    commands_of,
    page_blocks,
    page_commands,
    runnable,
    stray,
)

from ebreplicate.cli import parser

COMMANDS = [c for page in PAGES for c in page_commands(page)]
each_page = pytest.mark.parametrize("page", PAGES)


def anchors(text):
    """What headings of a page can be linked by."""
    heads = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in heads}


@each_page
def test_links_lead_to_a_file_and_a_heading(page):
    path = ROOT / page
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if target.startswith(("https://", "http://")):
            continue
        file, _, anchor = target.partition("#")
        goal = (path.parent / file).resolve() if file else path
        assert goal.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(goal.read_text()), f"{page}: {target}"


def test_every_page_is_in_the_index():
    index = (ROOT / "docs/README.md").read_text()
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", index))
    assert {p.name for p in (ROOT / "docs").glob("*.md")} - {"README.md"} == linked


@each_page
def test_no_command_hides_from_the_tests(page):
    assert stray((ROOT / page).read_text()) == []
    for block in page_blocks(page):
        assert block.language in SHELLS + OTHERS, f"{page}:{block.line}: no language, or one that is not read"
        if block.language in SHELLS:
            assert commands_of(block), f"{page}:{block.line}"


def test_there_are_commands_and_what_is_not_run_says_why():
    assert len(COMMANDS) > 40
    left = [c for c in COMMANDS if c.reason]
    assert len(left) < len(COMMANDS) / 6
    assert all(len(c.reason.split()) >= 1 for c in left)


@each_page
def test_the_shell_can_read_them(page):
    script = "\n".join(c.text for c in page_commands(page))
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def arguments(command, program):
    """Words behind `program` in a command, up to a pipe or the end; None if it does not run it."""
    words = shlex.split(re.sub(r"\$\(.*?\)|\"\$\w+\"|\$\w+", "VALUE", command), comments=True)
    for i in range(len(words)):
        if words[i : i + len(program)] == list(program):
            rest = words[i + len(program) :]
            return rest[: next((j for j, w in enumerate(rest) if w in ("|", ">", "&&", ";", "}")), len(rest))]
    return None


FOREIGN = re.compile(r"podman ")


@pytest.mark.parametrize(
    "command", [c for c in COMMANDS if not (c.reason and FOREIGN.match(c.text))], ids=lambda c: c.name
)
def test_its_options_exist(command):
    """Of the project's commands by its parser, of Snakemake's by Snakemake's; make's targets are in the Makefile."""
    for program in (("ebreplicate",), ("python", "-m", "ebreplicate"), ("-m", "ebreplicate")):
        given = arguments(command.text, program)
        if given:
            with contextlib.redirect_stderr(io.StringIO()) as said:
                try:
                    parser().parse_args(given)
                except SystemExit:
                    pytest.fail(said.getvalue())
            return
    given = arguments(command.text, ("make",))
    if given is not None:
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
        assert set(given) <= set(targets)
        return
    given = arguments(command.text, ("snakemake",))
    if given is not None:
        from snakemake.cli import get_argument_parser

        known = {option for action in get_argument_parser()._actions for option in action.option_strings}
        used = {w.partition("=")[0] for w in given if w.startswith("-")}
        assert used <= known, used - known
        return
    if re.match(r"\w+=", command.text):  # a variable for the commands below it
        return
    assert COMMAND.match(command.text), "a program that the tests do not know: mark its block <!-- not run: REASON -->"


@each_page
def test_python_blocks_are_python_whose_imports_exist(page):
    for block in page_blocks(page):
        if block.language != "python":
            continue
        text = block.text if block.mark is None or block.mark[0] != "line" else "{" + block.text + "}"
        imports = [n for n in ast.parse(text).body if isinstance(n, (ast.Import, ast.ImportFrom))]
        exec(compile(ast.Module(imports, []), f"{page}:{block.line}", "exec"), {})


PAGE = """\
# A page

```bash
# a comment
one 'over
two lines'   # said
two \\
  lines
```

<!-- not run: needs a telescope -->
```console
$ three
printed
```

    snakemake --cores all

```python
x = 1
```
"""


def test_blocks_and_commands_are_found_where_they_stand():
    shown = blocks("p.md", PAGE)
    assert [(b.line, b.language) for b in shown] == [(4, "bash"), (13, "console"), (20, "python")]
    found = [(c.line, c.text, c.reason) for b in shown[:2] for c in commands_of(b)]
    assert found == [
        (5, "one 'over\ntwo lines'   # said", None),
        (7, "two \\\n  lines", None),
        (13, "three", "needs a telescope"),
    ]
    assert stray(PAGE) == ["    snakemake --cores all"]


@pytest.mark.parametrize(
    ("text", "run"),
    [
        ("make test  # the suite", "make test --dry-run"),
        (
            "snakemake --cores all --config scale=paper   # long",
            "snakemake --cores all --config scale=paper --dry-run --quiet",
        ),
        ("snakemake -n figures/quick/x.svg", "snakemake -n figures/quick/x.svg"),
        ("snakemake --cores 2 figures/smoke/fig3_mask_distance.svg", None),
        ("timeout 8h snakemake --cores 2", "timeout 8h snakemake --cores 2 --dry-run --quiet"),
        ("python -m ebreplicate verify", None),
    ],
)
def test_what_takes_hours_is_planned_and_the_rest_runs_as_it_stands(text, run):
    assert runnable(text)[0] == (run or text)


def test_the_first_screen_is_read_in_two_minutes():
    """At most 700 words in README.md, without the table that is generated (its numbers come and go)."""
    text = (ROOT / "README.md").read_text()
    table = text.partition("<!-- headline: begin -->")[2].partition("<!-- headline: end -->")[0]
    assert len(text.replace(table, "").split()) <= 700

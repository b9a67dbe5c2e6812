"""The commands of the documentation: found in its pages, and how each is run by a test.

A fenced block marked bash or console holds commands. A mark in the line above a block is read by these tests:

    <!-- not run: REASON -->            its commands cannot be run here
    <!-- file: PATH -->                 its text is the file PATH
    <!-- line: PATH after "TEXT" -->    its text is a line of PATH, below the one that starts with "TEXT"
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "results/README.md", *sorted(f"docs/{p.name}" for p in ROOT.glob("docs/*.md")))
SHELLS = ("bash", "console")
OTHERS = ("python", "yaml", "toml", "text", "json", "csv")
MARK = re.compile(r"<!-- (not run|file|line): (.+) -->")
PROGRAMS = r"(make|snakemake|python|ebreplicate|torchrun|pytest|pip|uv|conda|git|rm|ls|cat|tail|source|\.ci/run|\.)"
COMMAND = re.compile(rf"(?:\w+=\S* )*(?:timeout \S+ )?{PROGRAMS}(?= |$)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its page and first line (1-based), language, mark (kind and text) and content."""

    page: str
    line: int
    language: str
    mark: tuple[str, str] | None
    text: str


@dataclass(frozen=True)
class Command:
    """One command of a page, which may span lines, and why it is not run, if it is not."""

    page: str
    line: int
    text: str
    reason: str | None

    @property
    def name(self) -> str:
        """What a test's report calls it."""
        return f"{self.page}:{self.line} {self.text.splitlines()[0]}"


def blocks(page: str, text: str) -> list[Block]:
    """Every fenced block of a page."""
    found, lines = [], text.splitlines()
    start = None
    for number, line in enumerate(lines, 1):
        if not line.startswith("```"):
            continue
        if start is None:
            start = number
            continue
        above = MARK.fullmatch(lines[start - 2]) if start > 1 else None
        body = "\n".join(lines[start : number - 1]) + "\n"
        found.append(Block(page, start + 1, lines[start - 1][3:].strip(), above and (above[1], above[2]), body))
        start = None
    assert start is None, f"{page}:{start}: a block that does not end"
    return found


def _whole(text: str) -> bool:
    """True if the shell would not ask for another line: no open quote, no backslash at the end."""
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return False
    return not text.endswith("\\")


def commands_of(block: Block) -> list[Command]:
    """The commands of a block; in a console block, those behind a prompt, without what they print."""
    assert block.language in SHELLS
    found: list[Command] = []
    gathered, first = "", 0
    for number, line in enumerate(block.text.splitlines(), block.line):
        if gathered:
            gathered += "\n" + line
        elif block.language == "console":
            if not line.startswith("$ "):
                continue
            gathered, first = line[2:], number
        elif not line.strip() or line.startswith("#"):
            continue
        else:
            gathered, first = line, number
        if _whole(gathered):
            reason = block.mark[1] if block.mark and block.mark[0] == "not run" else None
            found.append(Command(block.page, first, gathered, reason))
            gathered = ""
    assert not gathered, f"{block.page}:{first}: a command that does not end"
    return found


def page_blocks(page: str, root: Path = ROOT) -> list[Block]:
    """Every fenced block of a page of the project at `root`."""
    return blocks(page, (root / page).read_text())


def page_commands(page: str, root: Path = ROOT) -> list[Command]:
    """Every command of a page of the project at `root`, in order."""
    return [c for b in page_blocks(page, root) if b.language in SHELLS for c in commands_of(b)]


def stray(text: str) -> list[str]:
    """Lines that hold a command but stand in an indented block, where no test would see them."""
    inside, found = False, []
    for line in text.splitlines():
        if line.startswith("```"):
            inside = not inside
        elif not inside and re.match(rf"(?: {{4,}}|\t)(?:\$ )?{COMMAND.pattern}", line):
            found.append(line)
    return found


REAL = ("figures/smoke/fig3_mask_distance.svg", "figures/smoke/unpruned.svg")
"""Figures that snakemake makes for real, at a smoke scale that takes seconds."""


def runnable(text: str) -> tuple[str, str]:
    """The command that a test runs for `text`, and what was changed, "" for nothing.

    What would take hours here is planned and not run; make's recipes, and the suite itself, are what CI runs.
    """
    bare = re.sub(r"\s+#.*", "", text)
    if re.match(r"make\b", bare) and bare != "make help":
        return f"{bare} --dry-run", "make: dry run"
    if bare == ".ci/run":
        return "bash -n .ci/run", "syntax alone"
    if re.match(r"(\.venv/bin/)?pytest$", bare):
        return f"{bare} --collect-only -q tests/contract", "collected alone"
    if re.search(r"\bsnakemake\b", bare):
        if "--report" in bare:
            return bare.replace("all --report", f"all {REAL[0]} --report"), "report of one figure"
        asked = [word for word in bare.split() if word.startswith(("figures/", "results/"))]
        if asked and set(asked) <= set(REAL):
            return bare, ""
        return bare if re.search(r"(-n|--dry-run)\b", bare) else f"{bare} --dry-run --quiet", "dry run"
    return text, ""

"""Write the table of docs/faults.md from the fault tests and from a recorded run of them; --check says if it is stale.

python workflow/scripts/faults.py [RECORD] [--check]    RECORD: what `make faults` wrote; kept as docs/faults.json
"""

import argparse
import ast
import json
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
TESTS, PAGE, RECORD = ROOT / "tests" / "faults", ROOT / "docs" / "faults.md", ROOT / "docs" / "faults.json"
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"
MARKS = ("fault", "fast_fault")


class Fault(NamedTuple):
    """One row: the fault and what happens, as the test itself says, and where the test is."""

    what: str
    outcome: str
    file: str
    test: str


def declared(folder: Path = TESTS) -> list[Fault]:
    """Every test that says which fault it is of, in the order of the files; nothing is imported."""
    rows = []
    for path in sorted(folder.glob("test_*.py")):
        for node in (n for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef)):
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and getattr(mark.func, "id", "") in MARKS:
                    what, outcome = (ast.literal_eval(argument) for argument in mark.args)
                    rows.append(Fault(what, outcome, path.name, node.name))
    return rows


def seen(entry: dict[str, Any]) -> str:
    """What the recorded run says of one test."""
    figures = entry["figures"]
    if entry["outcome"] == "skipped":
        return f"skipped: {entry['reason'].removeprefix('Skipped: ')}"
    if len(figures) < 2:
        return "".join([entry["outcome"], *(f", {number:,} {name}" for name, number in figures.items())])
    parts = ", ".join(f"{name} {number:,}" for name, number in figures.items())
    return f"{entry['outcome']}, {sum(figures.values()):,}: {parts}"


def table(faults: list[Fault], run: dict[str, Any]) -> str:
    """The rows, and above them what was counted in all."""
    tests = run["tests"]
    kills, calls = (
        sum(tests[name]["figures"].values())
        for name in ("test_killed_at_random_moments", "test_killed_before_every_call_that_changes_a_file")
    )
    cases = sum(entry["figures"].get("cases", 0) for entry in tests.values())
    head = (
        f"Recorded run (Python {run['python']}, {run['system']}, one CPU thread a command): {kills} SIGKILLs at random "
        f"moments and {calls} at chosen calls, after each of which the finished results equalled the undisturbed ones; "
        f"{cases:,} fuzzed inputs, each of which was used or refused in one line.\n\n"
    )
    lines = ["| fault | what happens | test | recorded run |", "| --- | --- | --- | --- |"]
    for fault in faults:
        test = f"[`{fault.test.removeprefix('test_')}`](../tests/faults/{fault.file})"
        lines.append(f"| {fault.what} | {fault.outcome} | {test} | {seen(tests[fault.test])} |")
    return head + "\n".join(lines) + "\n"


def problems(faults: list[Fault], run: dict[str, Any]) -> list[str]:
    """Where tests and recorded run do not fit each other."""
    names, tests = {f.test for f in faults}, run["tests"]
    found = [f"{name}: not in the recorded run; run `make faults`" for name in sorted(names - set(tests))]
    return found + [f"{n}: {e['outcome']} in the recorded run" for n, e in tests.items() if e["outcome"] == "failed"]


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("record", nargs="?", type=Path, default=RECORD)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args(arguments)
    faults, run = declared(), json.loads(args.record.read_text())
    found = problems(faults, run)
    if found:
        print("\n".join(["error: docs/faults.md cannot be written:", *found]), file=sys.stderr)
        return 1
    text = PAGE.read_text()
    head, rest = text.split(BEGIN)
    new = f"{head}{BEGIN}\n{table(faults, run)}{END}{rest.split(END)[1]}"
    if args.check and new != text:
        print("error: docs/faults.md is stale: run `python workflow/scripts/faults.py`", file=sys.stderr)
        return 1
    if not args.check:
        if args.record != RECORD:
            shutil.copyfile(args.record, RECORD)
        PAGE.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())

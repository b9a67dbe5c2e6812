"""Write environment.yml from requirements.txt, so that conda users get the pinned versions; --check only compares."""

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==\S+")

HEADER = """\
# Generated from requirements.txt by workflow/scripts/environment.py (`make environment`); do not edit.
#
# conda provides python and pip only. Every package is pip's, at the version requirements.txt pins, so that the two
# files cannot name different versions. The pins are listed one by one, without their hashes, because pip refuses
# `-r requirements.txt` (hashed) beside `-e .` (which cannot be hashed) in the one run that conda makes of this list.
# To have the hashes checked as well, use `make venv`.
name: ebreplicate
channels:
  - conda-forge
dependencies:
  - python=3.11
  - pip
  - pip:
"""


def pins(requirements: str) -> list[str]:
    """The pins of a requirements file, with their environment markers and without hashes and comments."""
    found = []
    for line in requirements.replace("\\\n", " ").splitlines():
        text = line.split(" --hash=")[0].split(" #")[0].strip()
        if not text or text.startswith("#"):
            continue
        if not PIN.match(text):
            raise SystemExit(f"requirements.txt: not a pin, cannot be carried over: {text!r}")
        found.append(text)
    return found


def render(requirements: str) -> str:
    """Text of environment.yml."""
    # Markers hold single quotes only, so double quotes make every entry one YAML string.
    return HEADER + "".join(f'      - "{pin}"\n' for pin in pins(requirements)) + '      - "-e ."\n'


def main() -> int:
    """Write environment.yml, or with --check exit 1 if it is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether environment.yml is up to date")
    check = parser.parse_args().check
    text, target = render((ROOT / "requirements.txt").read_text()), ROOT / "environment.yml"
    if not check:
        target.write_text(text)
    elif not target.is_file() or target.read_text() != text:
        print("environment.yml is not what requirements.txt gives; run `make environment`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

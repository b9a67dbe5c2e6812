"""What share of the smoke run is not training, in CPU seconds, so that other work on the machine hardly matters.

    python benchmarks/orchestration.py [--jobs 2] [--targets figures/smoke/fig1_existence.svg ...]

Runs the workflow in a folder of its own, with a warm process of its own. Training is the epochs, evaluation of each
included, as `history.csv` has them; everything else is orchestration: Snakemake, the start of every job, loading and
building, counting FLOPs, drawing masks, tables, figures. Both are CPU seconds: a module that every Python process of
the run imports at its start (`sitecustomize`) has `history.csv` count the CPU time of its process, and leaves that of
the warm process and its children in a file, which no parent of theirs waits for.
"""

import argparse
import csv
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
OBSERVER = """\
import atexit, os, sys, time
time.perf_counter = time.process_time
_exit = os._exit
def note():
    with open(os.environ["ORCHESTRATION_LOG"], "a") as f:
        what = sys.argv[1] if sys.argv[0] == "ebreplicate" else "warm process"
        f.write(f"{what}\\t{time.process_time()}\\n")
def leave(code):
    note()
    _exit(code)
if sys.orig_argv[1:3] == ["-m", "ebreplicate.warm"]:
    os._exit = leave
    atexit.register(note)
"""


def project(folder: Path) -> None:
    """The project as it is here, without results."""
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("ebreplicate", "workflow"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "sitecustomize.py").write_text(OBSERVER)


def trained(folder: Path) -> tuple[float, int]:
    """CPU seconds of all epochs, and how many runs had any."""
    seconds, runs = 0.0, 0
    for path in folder.glob("results/runs/*/*/history.csv"):
        with path.open(newline="") as f:
            seconds += sum(float(row["train_seconds"]) + float(row["test_seconds"]) for row in csv.DictReader(f))
        runs += 1
    return seconds, runs


def main() -> None:
    """Run, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", default="2", help="cores that Snakemake is given (default: 2)")
    parser.add_argument("--targets", nargs="*", default=[], help="default: the whole smoke scale")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="eb", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        project(folder)
        environment = os.environ | {
            "PYTHONPATH": name,
            "TMPDIR": name,
            "EBREPLICATE_WARM": "1",
            "ORCHESTRATION_LOG": str(folder / "cpu.tsv"),
        }
        began = time.time()
        command = [sys.executable, "-m", "snakemake", "--quiet", "all", "--cores", args.jobs, *args.targets]
        subprocess.run(command, cwd=folder, env=environment, check=True)
        wall = time.time() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        while list(folder.glob("ebreplicate-*/*.sock")):  # the warm process ends when idle, and says what it used
            time.sleep(1)
        served = defaultdict(list)
        for line in (folder / "cpu.tsv").read_text().splitlines():
            what, seconds = line.split("\t")
            served[what].append(float(seconds))
        training, runs = trained(folder)
    outside = used.ru_utime + used.ru_stime
    total = outside + sum(map(sum, served.values()))
    print(f"snakemake, shells and clients   {outside:8.1f} CPU s")
    for what, seconds in sorted(served.items()):
        print(f"{what:24} {len(seconds):5}  {sum(seconds):8.1f} CPU s")
    print(f"training inside it       {runs:5}  {training:8.1f} CPU s")
    print(f"orchestration: {1 - training / total:.1%} of {total:.0f} CPU s; wall {wall:.0f} s")


if __name__ == "__main__":
    main()

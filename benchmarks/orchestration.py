"""What share of the smoke run is not training, in CPU seconds, so that other work on the machine hardly matters.

    python benchmarks/orchestration.py [--jobs 2] [--targets figures/smoke/fig1_existence.svg ...]

Runs the workflow in a folder of its own. Training is the epochs, evaluation of each included, as `history.csv` has
them; everything else is orchestration: Snakemake, the start of every job, loading and building, counting FLOPs, drawing
masks, tables, figures. Both are CPU seconds: a module that every Python process of the run imports at its start
(`sitecustomize`) has `history.csv` count the CPU time of its process.
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
from pathlib import Path

ROOT = Path(__file__).parents[1]
OBSERVER = "import time; time.perf_counter = time.process_time\n"


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
        environment = os.environ | {"PYTHONPATH": name, "TMPDIR": name}
        began = time.time()
        command = [sys.executable, "-m", "snakemake", "--quiet", "all", "--cores", args.jobs, *args.targets]
        subprocess.run(command, cwd=folder, env=environment, check=True)
        wall = time.time() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        training, runs = trained(folder)
    total = used.ru_utime + used.ru_stime
    print(
        f"{runs} trainings: {training:.1f} of {total:.1f} CPU s; the rest, {1 - training / total:.1%}, is orchestration"
    )
    print(f"training: {training:.1f} of {total:.1f} CPU s, {runs} runs; orchestration: {1 - training / total:.1%}")
    print(f"wall: {wall:.0f} s")


if __name__ == "__main__":
    main()

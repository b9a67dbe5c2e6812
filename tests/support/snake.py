"""Running the workflow in a folder of its own."""

import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def linked(folder: Path) -> Path:
    """A project at `folder` that is this one, with no results."""
    for name in ("Snakefile", "workflow", "environment.yml"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def copied(folder: Path, smoke: str) -> Path:
    """A project at `folder` with its own package and workflow, and `smoke` for its smoke scale."""
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("ebreplicate", "workflow"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "workflow" / "config" / "smoke.yaml").write_text(smoke)
    return folder


def snakemake(folder: Path, *arguments: str, seconds: float = 300, **more: str) -> subprocess.CompletedProcess[str]:
    """Run snakemake at `folder`, as `python` does."""
    return python(folder, "-m", "snakemake", *arguments, seconds=seconds, **more)


def read(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As `snakemake`, for commands that start no job: in a process forked from one that has imported Snakemake, which
    is most of what they take."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["snakemake.cli"])
    with tempfile.NamedTemporaryFile("r") as output:
        process = forks.Process(target=_command, args=(str(folder), arguments, output.name))
        process.start()
        process.join(300)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(arguments, 300)
        return subprocess.CompletedProcess(arguments, process.exitcode, output.read())


def _command(folder: str, arguments: tuple[str, ...], output: str) -> None:
    """What `python -m snakemake` does at `folder`."""
    with open(output, "w") as f:
        os.dup2(f.fileno(), 1)
        os.dup2(f.fileno(), 2)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(_environment(folder))
    sys.path[:0] = [folder, str(ROOT)]
    from snakemake.cli import main

    sys.argv = ["snakemake", *arguments]  # which the workflow reads the targets from
    main(list(arguments))


def _environment(folder: object, **more: str) -> dict[str, str]:
    environment = {k: v for k, v in os.environ.items() if k != "EBREPLICATE_DATA"}
    return environment | {"PYTHONPATH": os.pathsep.join(map(str, (folder, ROOT))), **more}


def python(folder: Path, *arguments: str, seconds: float = 300, **more: str) -> subprocess.CompletedProcess[str]:
    """Run Python at `folder`, whose package comes first; stdout and stderr in one."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=_environment(folder, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
    )


def planned(output: str) -> dict[str, int]:
    """Jobs per rule of a dry run's table; nothing if there is nothing to be done."""
    if "Nothing to be done" in output:
        return {}
    table = re.search(r"job +count\n[- ]+\n(.*?)\ntotal +(\d+)", output, re.S)
    assert table, output
    jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table[1], re.M)}
    assert sum(jobs.values()) == int(table[2])
    return jobs

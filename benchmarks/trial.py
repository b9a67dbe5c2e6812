"""The first minutes on a GPU: what has to hold there, how fast an epoch is, and a run of the paper's scale.

    python -m benchmarks.trial --output FOLDER --data DATA              # on a GPU: twelve minutes
    python -m benchmarks.trial --output FOLDER --device cpu --smoke     # a rehearsal, on a CPU

Steps: `capture`, whether steps captured as a CUDA graph give the same bits as without; `resume`, whether a search that
was stopped and resumed does; `speed`, seconds of a CIFAR epoch in every precision, with and without graphs and
compiled, beside the plain loop; `paper`, VGG16 on CIFAR-10 at the paper's scale for the minutes that remain. Each runs
in processes of its own, and one that fails stops no other. FOLDER/trial.csv has every number so far; FOLDER/results the
runs, which the same command continues where the time ended them.
"""

import argparse
import csv
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from torch import multiprocessing

from benchmarks import gpu
from benchmarks.alone import Alone
from benchmarks.setting import Setting, pictures
from benchmarks.table import Row, machine, text, write
from ebreplicate.experiments.fig1 import runs as fig1
from ebreplicate.interrupt import CONTINUE
from ebreplicate.specs.scale import Scale, load_scale
from ebreplicate.specs.spec import Retrain, Search, canonical, key
from ebreplicate.store.store import CHECKPOINT, Store

ROOT = Path(__file__).parents[1]
DATASET, MODEL, EPOCH, RATIOS = "cifar10", "vgg16", 20, [0.3, 0.5]
"""Of the step `paper`: the paper's names, the epoch at which tickets are drawn, the fractions of channels removed."""
PRECISIONS = ("bf16", "tf32", "fp32")
SHORT, SPEED = 1 / 8, 1 / 5
"""Limits as shares of the whole time: of a command at smoke size, and of the epochs of one network."""
NOTICE = 20
"""Seconds before the end at which trainings are told to stop."""
SAME = "the same bits"


class Failed(Exception):
    """A process that ended otherwise than it should."""


@dataclass(frozen=True)
class Trial:
    """Where and how a trial runs, for how many `seconds` in all, and the `time.monotonic` at its `end`."""

    output: Path
    data: Path
    device: str
    smoke: bool
    precision: str
    seconds: float
    end: float

    def left(self) -> float:
        """Seconds that remain."""
        return max(0.0, self.end - time.monotonic())

    def begin(self, command: Sequence[str], log: str, **environment: str) -> "subprocess.Popen[bytes]":
        """Start a command in the project's root; what it says goes to a file of that name."""
        path = self.output / "logs" / f"{log}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as out:
            return subprocess.Popen(command, stdout=out, stderr=out, cwd=ROOT, env=os.environ | environment)

    def finish(self, process: "subprocess.Popen[bytes]", log: str, seconds: float) -> int:
        """Exit code of a process of `begin`, 0 or CONTINUE: that it was ended, by itself or by SIGTERM after `seconds`.

        Raises Failed for any other.
        """
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.terminate()  # a training ends its epoch and writes its checkpoint
            try:
                code = process.wait(NOTICE)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
            code = CONTINUE if code in (-signal.SIGTERM, -signal.SIGKILL) else code
        if code not in (0, CONTINUE):
            said = (self.output / "logs" / f"{log}.log").read_text(errors="replace").strip().splitlines()
            raise Failed(f"exit code {code}: {said[-1] if said else 'it said nothing'}")
        return code

    def command(self, spec: Search | Retrain, results: Path, *options: str) -> list[str]:
        """The command that trains a run."""
        where = ["--results", str(results), "--data", str(self.data), "--device", self.device]
        return [sys.executable, "-m", "ebreplicate", spec.stage, canonical(spec), *where, *options]


def losses(folder: Path) -> list[tuple[bytes, str]]:
    """Of a finished search, for every epoch from 0: the bytes of its scores, and its losses as they are written."""
    with (folder / "history.csv").open(newline="") as f:
        said = ["", *(f"{row['train_loss']} {row['test_loss']}" for row in csv.DictReader(f))]
    return [(row.tobytes(), of_epoch) for row, of_epoch in zip(np.load(folder / "scores.npy"), said, strict=True)]


def compared(one: Path, other: Path) -> str:
    """Whether two finished searches have the same scores and losses to the bit."""
    for epoch, (a, b) in enumerate(zip(losses(one), losses(other), strict=True)):
        if a != b:
            return f"DIFFERENT from epoch {epoch} on"
    return SAME


def small(model: str) -> Search:
    """A search of three epochs on digits, by a narrow network that stands for the paper's `model`."""
    spec = load_scale("smoke").search(model, DATASET, seed=0)
    return replace(spec, recipe=replace(spec.recipe, epochs=3, milestones=(2,)))


def _searched(trial: Trial, spec: Search, name: str, graph: str) -> Path:
    """The folder of a search at smoke size, trained with graphs on ("1") or off; where a step that should be captured
    cannot be, that is an error."""
    store = Store(trial.output / "bits" / name)
    if not store.done(spec):
        environment = {"EBREPLICATE_CUDA_GRAPH": graph, "PYTHONWARNINGS": "error:EBREPLICATE_CUDA_GRAPH"}
        log, limit = f"{name}-{spec.model}", SHORT * trial.seconds
        if trial.finish(trial.begin(trial.command(spec, store.root), log, **environment), log, limit) == CONTINUE:
            raise Failed(f"{log}: not done after {limit:.0f} s")
    return store.folder(spec)


def capture(trial: Trial) -> Iterator[Row]:
    """Compare captured steps with steps without a graph."""
    for spec in map(small, ("vgg16", "preresnet101")):
        on, off = (_searched(trial, spec, name, graph) for name, graph in (("captured", "1"), ("uncaptured", "0")))
        yield Row(spec.model, "scores and losses, captured and not", compared(on, off))


def resume(trial: Trial) -> Iterator[Row]:
    """Compare a search that was stopped after its first epoch and resumed by another process with one that was not."""
    spec = small(MODEL)
    whole, results = _searched(trial, spec, "captured", "1"), trial.output / "bits" / "resumed"
    if not Store(results).done(spec):
        command = trial.command(spec, results, "--time-limit", "0")
        process = trial.begin(command, "stopped", EBREPLICATE_CHECKPOINT_SECONDS="0")
        if trial.finish(process, "stopped", SHORT * trial.seconds) != CONTINUE:
            raise Failed("the search did not stop at its time limit")
    yield Row(spec.model, "scores and losses, resumed and not", compared(_searched(trial, spec, "resumed", "1"), whole))


def ways() -> Iterator[tuple[str, bool, bool]]:
    """(precision, graphs, compiled) of the timed epochs, the most telling first: compiling takes longest."""
    for compiled in (False, True):
        for on in (True, False):
            for precision in PRECISIONS:
                yield precision, on, compiled


def epochs(name: str, setting: Setting, seconds: float, tell: Callable[[Row], object]) -> None:
    """Tell the seconds of an epoch of a network, plainly and in each of `ways`, until the seconds are over."""
    data, end, plain = pictures(setting.images), time.monotonic() + seconds, None
    try:
        loop = Alone(name, setting)
        loop()  # starts the loader's workers and chooses kernels
        plain = loop().wall
        tell(Row(name, "epoch, plain", plain, unit="s"))
    except Exception as e:  # what is not to be had here says so, and the rest is measured
        tell(_failure(name, "epoch, plain", e))
    for precision, on, compiled in ways():
        how = f"epoch, {precision}, {'compiled, ' * compiled}graphs {'on' if on else 'off'}"
        if time.monotonic() > end:
            tell(Row(name, how, "not measured: no time left"))
            continue
        try:
            took = gpu.way(name, setting, data, precision, on, compiled)[1]().wall
        except Exception as e:
            tell(_failure(name, how, e))
            continue
        tell(Row(name, how, took, unit="s"))
        if plain is not None:
            tell(Row(name, f"plain / {how.removeprefix('epoch, ')}", plain / took, unit="x"))


def _failure(name: str, what: str, error: Exception) -> Row:
    said = str(error).strip().splitlines()
    return Row(name, what, f"FAILED: {said[0] if said else type(error).__name__}")


def _epochs_to(there: Connection, name: str, setting: Setting, seconds: float) -> None:
    torch.set_num_threads(2)
    epochs(name, setting, seconds, there.send)


def speed(trial: Trial, name: str) -> Iterator[Row]:
    """Rows of `epochs`, from a process of its own, which a fault of the GPU may end."""
    setting = Setting(torch.device(trial.device), 256, gpu.EPOCH, workers=min(8, os.cpu_count() or 1))
    if trial.smoke:
        setting = replace(setting, batch_size=8, images=16, workers=0, width=0.125)
    seconds = min(SPEED * trial.seconds, trial.left())
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_epochs_to, args=(there, name, setting, seconds))
    process.start()
    there.close()
    end = time.monotonic() + seconds + SHORT * trial.seconds  # a compilation that was begun may end
    try:
        while here.poll(max(0.0, min(end, trial.end) - time.monotonic())):
            yield here.recv()
        yield Row(name, "epochs", f"stopped after {seconds:.0f} s")
    except EOFError:  # all was told
        process.join(SHORT * trial.seconds)
    finally:
        code = process.exitcode
        process.kill()
        process.join()
    if code:
        raise Failed(f"the process of {name} ended with exit code {code}")


def scale_of(trial: Trial) -> Scale:
    """The scale of the step `paper`."""
    return load_scale("smoke" if trial.smoke else "paper", {"precision": trial.precision, "ratios": RATIOS})


def tickets(scale: Scale) -> list[Retrain]:
    """The retrains of the step `paper`."""
    drawn = fig1.retrains(scale, DATASET, MODEL, seed=0).items()
    return [run for (_, draw), run in drawn if draw == str(EPOCH)]


def paper(trial: Trial) -> Iterator[Row]:
    """Train the dense network, then its tickets side by side; what the time ends leaves a checkpoint."""
    scale = scale_of(trial)
    search = scale.search(MODEL, DATASET, seed=0)
    yield from _trained(trial, [search], "--keep-epochs", str(scale.epoch(EPOCH)))
    if Store(trial.output / "results").done(search):
        yield from _trained(trial, tickets(scale))


def _trained(trial: Trial, runs: Sequence[Search | Retrain], *options: str) -> Iterator[Row]:
    """Train runs at the same time, on one GPU."""
    results = trial.output / "results"
    limit = ["--time-limit", f"{max(1.0, trial.left() - NOTICE):.0f}", *options]
    begun = [
        (run, trial.begin(trial.command(run, results, *limit), key(run), EBREPLICATE_GPU_SLOTS=str(len(runs))))
        for run in runs
    ]
    for run, process in begun:
        name = run.model if isinstance(run, Search) else f"ticket {run.ticket.ratio:g}"
        try:
            stopped = trial.finish(process, key(run), trial.left()) == CONTINUE
        except Failed as e:
            yield _failure(name, "training", e)
            continue
        if stopped:
            saved = (Store(results).folder(run) / CHECKPOINT).is_file()
            yield Row(
                name, "training", f"stopped at the time limit; the same command {'continues' if saved else 'begins'} it"
            )
            continue
        record = Store(results).read(run)
        assert record is not None  # exit code 0
        yield Row(name, "status", record["status"])
        if record["status"] == "ok":
            yield Row(name, "test accuracy after the last epoch", record["metrics"]["last_accuracy"], unit="%")
            yield Row(name, "training, evaluation included", record["cost"]["seconds"], unit="s")


STEPS: dict[str, Callable[[Trial], Iterator[Row]]] = {
    "capture": capture,
    "resume": resume,
    "speed": lambda trial: speed(trial, "vgg16"),
    "speed of a deep network": lambda trial: speed(trial, "preresnet20" if trial.smoke else "preresnet101"),
    "paper": paper,
}


def run(trial: Trial, steps: dict[str, Callable[[Trial], Iterator[Row]]], rows: list[Row]) -> int:
    """Run steps, print and write every row as it comes; number of steps that failed."""
    failed, path = 0, trial.output / "trial.csv"
    for name, step in steps.items():
        print(f"# {name}; {trial.left():.0f} s left", flush=True)
        try:
            for found in step(trial):
                rows.append(found)
                print(text(found), flush=True)
                write(rows, path)
        except Exception as e:  # the next step may well work
            failed += 1
            rows.append(_failure(name, "step", e))
            print(text(rows[-1]), flush=True)
            write(rows, path)
    return failed


def pack(output: Path) -> Path:
    """Everything but weights and checkpoints in one small archive, to be carried off the machine."""
    path = output.with_name(output.name + ".tar.gz")
    with tarfile.open(path, "w:gz") as archive:
        archive.add(output, output.name, filter=lambda part: None if part.name.endswith((".pt", ".lock")) else part)
    return path


def main(argv: Sequence[str] | None = None) -> int:
    """Run the trial; 1 if a step failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trial", description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="folder for numbers, logs and runs")
    parser.add_argument("--data", type=Path, default=Path("data"), help="data root with CIFAR-10 (default: data)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--smoke", action="store_true", help="small networks and digits: a rehearsal")
    parser.add_argument("--precision", choices=PRECISIONS, default="bf16", help="of the step paper (default: bf16)")
    parser.add_argument("--minutes", type=float, default=12.0, help="time for everything (default: 12)")
    parser.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS), help="steps to run (default: all)")
    args = parser.parse_args(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device: torch sees no GPU; a rehearsal takes --device cpu --smoke")
    started, load, seconds = time.time(), os.getloadavg()[0], 60 * args.minutes
    where = (path.expanduser().resolve() for path in (args.output, args.data))
    trial = Trial(*where, args.device, args.smoke, args.precision, seconds, time.monotonic() + seconds)
    rows = list[Row]()
    failed = run(trial, {name: STEPS[name] for name in args.only}, rows)
    write([*machine(torch.device(args.device), started, load), *rows], trial.output / "trial.csv")
    print(f"written: {trial.output / 'trial.csv'}; without weights: {pack(trial.output)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

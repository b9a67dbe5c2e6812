"""The campaign: a scale's runs in the order that answers the most cells first, within a time budget.

Snakemake enumerates everything and runs it in whatever order its graph allows; a campaign is for a device at hand for a
limited time. Runs are taken one after another by each worker, in the same results folder Snakemake uses, so either can
go on where the other stopped. Several campaigns may share a folder: a run belongs to whoever holds its lock.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ebreplicate import locking, machine, manifest
from ebreplicate.errors import UserError
from ebreplicate.plan.plan import Plan, parents, requests, root_of
from ebreplicate.plan.scale import Scale
from ebreplicate.plan.spec import Spec, key
from ebreplicate.records import Store
from ebreplicate.training import interruption
from ebreplicate.training.interruption import CONTINUE

ORDER = ("fig1_existence", "table2", "detector_study")
"""Items whose runs go first; the rest follow in the registry's order."""
STAGE_RANK = {"draw": 0, "retrain": 1, "search": 2, "sparse": 2, "graph": 2}
"""Within one panel: what is nearly answered before what has just begun."""
POLL_SECONDS = 2.0


def ordered(scale: Scale, items: Iterable[str]) -> tuple[Plan, list[Spec]]:
    """The plan of `items`, and its runs in campaign order: by seed, then VGG16 first, CIFAR-10 first, then item.

    Of one item alone, the order is its own.
    """
    names = sorted(items, key=lambda i: ORDER.index(i) if i in ORDER else len(ORDER))
    rank: dict[str, int] = {}  # by key
    for number, item in enumerate(names):
        for name in Plan(requests(scale, [item])).runs:
            rank.setdefault(name, number)
    plan = Plan(requests(scale, names))
    if len(names) == 1:
        return plan, list(plan.runs.values())

    def place(spec: Spec) -> tuple[Any, ...]:
        root = root_of(spec)
        return root.seed, not root.model.startswith("vgg"), root.dataset, rank[key(spec)], STAGE_RANK[spec.stage]

    return plan, sorted(plan.runs.values(), key=place)


def work(scale: Scale, items: list[str], results: Path, data: Path, device: str, threads: int, until: float) -> int:
    """One worker: take the first run that is ready, until `until` (of the monotonic clock, in seconds) or the end.

    Returns 0 when everything is done, CONTINUE when time ran out, 1 when a run failed.
    """
    store = Store(results)
    plan, runs = ordered(scale, items)
    failed: set[str] = set()
    while True:
        waiting = False
        for spec in runs:
            name = key(spec)
            if name in failed or store.done(spec):
                continue
            if time.monotonic() >= until or interruption.wanted():
                return CONTINUE
            if any(key(p) in failed for p in parents(spec)):
                failed.add(name)
                waiting = True  # what builds on this one, and stands earlier, has still to learn of it
                continue
            if any(not store.done(p) for p in parents(spec)):
                waiting = True
                continue
            outcome = _attempt(spec, plan, store, data, device, threads, until)
            if outcome == locking.BUSY:  # another worker has it
                waiting = True
                continue
            if outcome == CONTINUE:
                return CONTINUE
            if outcome:
                failed.add(name)
            break
        else:
            if not waiting:
                return 1 if failed else 0
            time.sleep(POLL_SECONDS)


def _attempt(spec: Spec, plan: Plan, store: Store, data: Path, device: str, threads: int, until: float) -> int:
    """Run one spec as its own command, which takes its lock; its exit code, BUSY if another process is at it, or is
    training its search again, which it may need as well."""
    # Asked here as well, because starting a command takes seconds.
    if not locking.free(store.folder(spec)) or not locking.free(store.folder(root_of(spec)), locking.AGAIN):
        return locking.BUSY
    return _command(spec, plan, store, data, device, threads, until)


def _command(spec: Spec, plan: Plan, store: Store, data: Path, device: str, threads: int, until: float) -> int:
    name = key(spec)
    argv = [spec.stage, name, "--results", str(store.root), "--data", str(data), "--device", device]
    argv += ["--threads", str(threads), "--time-limit", f"{max(1.0, until - time.monotonic()):.0f}", "--no-wait"]
    log = store.root / "logs" / spec.stage / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with log.open("a") as out:
        code = _finished(subprocess.Popen([sys.executable, "-m", "ebreplicate", *argv], stdout=out, stderr=out))
    if code == locking.BUSY:
        return code
    word = {0: "done", CONTINUE: "stopped, to be continued"}.get(code, f"FAILED ({_ended(code)}), see {log}")
    print(f"{time.strftime('%H:%M:%S')} {spec.stage} {name}: {word}, {time.monotonic() - began:.0f} s", flush=True)
    return code


def _finished(job: subprocess.Popen[bytes]) -> int:
    """Exit code of a command, once it has one; whoever asks this worker to stop asks the command.

    One that then does not succeed is to be continued: it may have been asked before it could listen.
    """
    asked = False
    while True:
        try:
            code = job.wait(POLL_SECONDS)
            return CONTINUE if asked and code else code
        except subprocess.TimeoutExpired:
            if interruption.wanted() and not asked:
                job.terminate()
                asked = True


def _ended(code: int) -> str:
    """How a failed command ended, in words where the system ended it."""
    if code != -signal.SIGKILL:
        return str(code)
    return "killed: out of memory, if nobody did it"


def _worker(*arguments: Any) -> int:
    """`work` in a forked process: what goes wrong is said here, not where the process was forked."""
    try:
        return work(*arguments)
    except Exception as e:
        said = str(e) if isinstance(e, UserError) else machine.gave_out(e)
        if said is None:
            traceback.print_exc()
        else:
            print(f"error: {said}", file=sys.stderr, flush=True)
        return 1


def run(
    scale: Scale, items: list[str], results: Path, data: Path, device: str, workers: int, threads: int, budget: float
) -> int:
    """Work through a scale with `workers` processes for at most `budget` seconds; 0, CONTINUE or 1 as `work`.

    Raises UserError for a number of workers or a budget that is not positive.
    """
    if workers < 1:
        raise UserError(f"--workers: must be at least 1, got {workers}")
    if not budget > 0:
        raise UserError(f"--budget: must be positive, got {budget:g} hours")
    Store(results).check_writable()
    manifest.write(Plan(requests(scale, items)), results)
    until = time.monotonic() + budget  # a clock that is set back makes no budget longer
    os.environ["EBREPLICATE_WARM"] = os.environ.get("EBREPLICATE_WARM", "1")
    children: list[int] = []

    def stop(*_: object) -> None:
        interruption.request()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    for _ in range(workers):
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, lambda *_: interruption.request())
            os._exit(_worker(scale, items, results, data, device, threads, until))
        children.append(child)
        if interruption.wanted():  # in the meantime, when this child was not yet among them
            stop()
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    return 1 if any(c not in (0, CONTINUE) for c in codes) else max(codes)
